"""Finds an RMSNormalization that was written as elementary operators, by the shape of its expression.

x over Sqrt(Add(Mean(Square(x)), epsilon)) is one, as a Div or as the product with one over the root, and so is its product with a constant. Where
something else stands between, the mean square of what is dequantised and x over the root of a number a row are two parts, nodes of RMS_DOMAIN.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, shape_inference

from verif.reference.recognise import Expression, Expressions, replaced

#: Domain of the nodes that stand for a part.
RMS_DOMAIN = "part of an RMSNormalization"


def _last_axes(axes: tuple[int, ...], rank: int) -> int:
    """How many last axes these are; 0 for any others."""
    counted = sorted({a % rank if rank else a for a in axes})
    expected = range(rank - len(axes), rank) if rank else [-1]
    return len(axes) if axes and counted == list(expected) else 0


def _quotient(found: Expressions, node: onnx.NodeProto) -> tuple[str, Expression, str] | None:
    """Of x / sqrt(e): the name of x, the expression of e, and its name."""
    if node.op_type == "Div":
        pairs = [(node.input[0], node.input[1])]
    else:
        pairs = []
        for x, other in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
            maker = found.node_of.get(other)
            if maker is not None and maker.op_type == "Reciprocal":
                pairs.append((x, maker.input[0]))
            elif maker is not None and maker.op_type == "Div" and found.number(maker.input[0]) == 1:
                pairs.append((x, maker.input[1]))
    for x, divisor in pairs:
        if found.of(divisor)[0] == "Sqrt":
            return x, found.of(divisor)[1], found.node_of[divisor].input[0]
    return None


def _mean_square(found: Expressions, e: Expression, rank: int) -> tuple[Expression, int] | None:
    """Of the mean square of a value over some last axes: its expression and their number."""
    if e[0] == "Mean" and e[2][0] == "Square" and _last_axes(e[1], rank):
        return e[2][1], len(e[1])
    return None


def _epsilon(found: Expressions, name: str) -> tuple[Expression, float] | None:
    """Of a sum of a value and a number: the expression of the value, and the number."""
    node = found.node_of.get(name)
    if node is None or node.op_type != "Add":
        return None
    for value, constant in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
        number = found.number(constant)
        if number is not None:
            return found.of(value), number
    return None


def _made(found: Expressions, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> tuple[list[str], int, float] | None:
    """Operands of what ends in a node; of a whole one the number of axes, 0 of a part, and epsilon."""
    if node.op_type == "ReduceMean":
        square = found.node_of.get(node.input[0])
        x = square.input[0] if square is not None else ""
        mean = _mean_square(found, found.of(node.output[0]), len(shapes.get(x, ())))
        whole = mean is not None and mean[0] == found.of(x) and mean[0][0] == "DequantizeLinear" and mean[1] == 1
        return ([x], 0, 0.0) if whole else None
    quotient = _quotient(found, node)
    if quotient is None:
        return None
    x, radicand, e = quotient
    shifted = _epsilon(found, e)
    mean = _mean_square(found, shifted[0], len(shapes.get(x, ()))) if shifted is not None else None
    if shifted is not None and mean is not None and mean[0] == found.of(x):
        return [x], mean[1], shifted[1]
    dequantised = found.of(x)[0] == radicand[0] == "DequantizeLinear"
    return ([x, e], 0, 0.0) if dequantised and x in shapes and shapes.get(e) == (*shapes[x][:-1], 1) else None


def recognised_rms(model: onnx.ModelProto, original: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Return `model`, or a copy in which each decomposed RMSNormalization, or part of one, is a node of that name.

    `original`: the model of onnx's own operators that it was made from, where it is none any more; shapes are those of its values.
    """
    graph = model.graph
    if not {"ReduceMean", "Sqrt"} & {node.op_type for node in graph.node}:
        return model
    inferred = shape_inference.infer_shapes(original or model).graph
    values = [v for v in (*inferred.input, *inferred.value_info) if v.type.tensor_type.HasField("shape")]
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    found = Expressions(graph)
    made: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        what = _made(found, node, shapes) if node.op_type in ("ReduceMean", "Div", "Mul") and node.domain in ("", "ai.onnx") else None
        if what is None:
            continue
        inputs, axes, epsilon = what
        if not axes:
            made[node.output[0]] = helper.make_node(("ReduceMean", "Div")[len(inputs) - 1], inputs, node.output, name=node.name, domain=RMS_DOMAIN)
            continue
        last, readers = node, [n for n in graph.node if node.output[0] in n.input]
        if len(readers) == 1 and readers[0].op_type == "Mul" and found.readers.count(node.output[0]) == 1:
            (other,) = (name for name in readers[0].input if name != node.output[0])
            size = int(np.prod(shapes[inputs[0]][-axes:])) if inputs[0] in shapes else 0
            if found.elements_along(other, axes) in (1, size) and size:
                last, inputs = readers[0], [*inputs, other]
        made[last.output[0]] = helper.make_node("RMSNormalization", inputs, [last.output[0]], name=node.name, axis=-axes, epsilon=epsilon)
    return replaced(model, made)
