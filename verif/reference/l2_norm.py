"""L2 normalisation: the operator LpNormalization with p = 2, and how exporters spell it out.

x over the norm of x along one axis, which may be bounded from below or have a number added, is one: as a Div, or as the product with one over the
norm. The norm is ReduceL2(x), or the root of a sum of squares. With d = q - z and B = sum of d d, an integer: v = B float32(1/n) + 2^-40,
r = 1 / sqrt(v) as in `verif.reference.normalise`, y = round(((d g) r) / y_scale) + y_zero with g = float32(1 / sqrt(n)). A bound of at most a step
of x, or a number below 2^-24 of a step, changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, shape_inference

from acg import primitives as p
from verif.reference.normalise import Normalised, divided, operand, root
from verif.reference.recognise import Expressions, replaced
from verif.reference.values import Value

#: Domain of the nodes that stand for one.
L2_DOMAIN = "an L2 normalisation"


def l2_normalization(call: Any) -> Value:
    """LpNormalization, p = 2."""
    x = operand(call)
    if call.attributes.get("p", 2) != 2:
        raise call.refuse("another norm")
    x_scale, x_zero = float(x.scale.reshape(())), int(x.zero.reshape(()))
    if call.attributes.get("least", 0.0) > x_scale or call.attributes.get("added", 0.0) > x_scale * 2.0**-24:
        raise call.refuse("a least norm above a step of the operand")
    axis = call.attributes.get("axis", -1)
    axis = axis if axis < 0 else axis - (x.array.ndim - 1)
    n = np.float32(x.array.shape[axis])

    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        d = rows - x_zero
        squares = p.int32_to_float32((d * d).sum(-1, keepdims=True))
        r = root(p.add(p.multiply(squares, np.array(np.float32(1) / n)), np.array(2.0**-40, np.float32)))
        return divided(p.multiply(p.multiply(p.int32_to_float32(d), np.array(np.float32(1) / np.sqrt(n))), r), y_scale)

    def exact(rows: np.ndarray) -> np.ndarray:
        return rows / np.maximum(np.sqrt((rows * rows).sum(-1, keepdims=True)), 1e-300)

    return Normalised((), np.zeros(0, np.int64), x=x, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]


def _quotients(found: Expressions, node: onnx.NodeProto) -> list[tuple[str, str]]:
    """Names (x, n) so that the node's result is x / n."""
    if node.op_type == "Div":
        return [(node.input[0], node.input[1])]
    pairs = []
    for x, factor in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
        maker = found.node_of.get(factor)
        if maker is not None and maker.op_type == "Reciprocal":
            pairs.append((x, maker.input[0]))
        elif maker is not None and maker.op_type == "Div" and found.number(maker.input[0]) == 1:
            pairs.append((x, maker.input[1]))
    return pairs


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _norm(found: Expressions, name: str, ranks: dict[str, int]) -> dict[str, Any] | None:
    """Operand, axis, and lower bounds of the norm that a value is."""
    result: dict[str, Any] = {"least": 0.0, "added": 0.0}
    power = 1.0  # 0.5 below a root
    while True:
        node = found.node_of.get(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        numbers = [found.number(other) for other in node.input]
        match node.op_type:
            case "Expand" if power == 1.0:
                name = node.input[0]
            case "Clip" if len(node.input) > 1 and numbers[1] is not None and not any(node.input[2:]):
                result["least"], name = max(result["least"], numbers[1] ** power), node.input[0]
            case "Max" | "Add" if len(node.input) == 2 and (numbers[0] is None) != (numbers[1] is None):
                number = next(v for v in numbers if v is not None)
                key = "least" if node.op_type == "Max" else "added"
                result[key], name = max(result[key], number**power), node.input[numbers.index(None)]
            case "Sqrt" if power == 1.0:
                power, name = 0.5, node.input[0]
            case "ReduceL2" | "ReduceSumSquare" | "ReduceSum" if (node.op_type == "ReduceL2") == (power == 1.0):
                break
            case _:
                return None
    x = node.input[0]
    if node.op_type == "ReduceSum":
        expression, square = found.of(x), found.node_of.get(x)
        if expression[0] != "Square" or square is None:
            return None
        x = square.input[0]
    axes = found.constants.get(node.input[1]) if len(node.input) > 1 else _attributes(node).get("axes")
    if axes is None or np.size(axes) != 1 or not _attributes(node).get("keepdims", 1) or not ranks.get(x):
        return None
    return {**result, "x": x, "axis": int(np.reshape(axes, -1)[0]) % ranks[x]}


def recognised_l2(model: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy in which each L2 normalisation is a node; shapes are those of the values of `original`, onnx's own operators."""
    if not {"ReduceL2", "ReduceSum", "ReduceSumSquare"} & {node.op_type for node in model.graph.node}:
        return model
    inferred = shape_inference.infer_shapes(original).graph
    values = [v for v in (*inferred.input, *inferred.value_info, *inferred.output) if v.type.tensor_type.HasField("shape")]
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in values}
    found = Expressions(model.graph)
    made: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        if node.op_type not in ("Div", "Mul") or node.domain not in ("", "ai.onnx"):
            continue
        for x, divisor in _quotients(found, node):
            norm = _norm(found, divisor, ranks)
            if norm is None or found.of(norm.pop("x")) != found.of(x) or ranks.get(node.output[0], ranks.get(x)) != ranks.get(x):
                continue
            made[node.output[0]] = helper.make_node("LpNormalization", [x], node.output, name=node.name, domain=L2_DOMAIN, **norm)
    return replaced(model, made)


__all__ = ["L2_DOMAIN", "l2_normalization", "recognised_l2"]
