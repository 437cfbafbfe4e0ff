"""Finds a LayerNormalization that was written as elementary operators, by the shape of its expression.

With d = Sub(x, Mean(x)), the quotient Div(d, Sqrt(Add(Mean(Square(d)), epsilon))) is one, and so are its product with a constant and the sum
of that with another. Two values are the same when their expressions are, whatever nodes compute them. Where something else stands between,
Mean(Square(d)) and Div(d, Sqrt(e)) are two parts of one, which become nodes of PART_DOMAIN: ReduceMean of x, Div of x and e.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

Expression = tuple[Any, ...]


#: Domain of the nodes that stand for a part.
PART_DOMAIN = "part of a LayerNormalization"


class Expressions:
    """Expressions of a graph's values over constants, and over values that no operator of the pattern makes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.node_of = {name: node for node in graph.node for name in node.output}
        self.readers = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.known: dict[str, Expression] = {}
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.constants[node.output[0]] = numpy_helper.to_array(attribute.t)

    def of(self, name: str) -> Expression:
        """Expression of a value."""
        if name not in self.known:
            self.known[name] = self._of(name)
        return self.known[name]

    def _of(self, name: str) -> Expression:
        if name in self.constants:
            array = self.constants[name]
            return "constant", str(array.dtype), array.shape, array.tobytes()
        node = self.node_of.get(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return "value", name
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        match node.op_type:
            case "Sub" | "Div" | "Sqrt":
                return node.op_type, *map(self.of, node.input)
            case "Transpose" if "perm" in attributes:
                return node.op_type, tuple(attributes["perm"]), self.of(node.input[0])
            case "DequantizeLinear" if "block_size" not in attributes:
                before = self._requantised(node)
                return before if before is not None else (node.op_type, attributes.get("axis", 1), *map(self.of, node.input))
            case "Pow" if self.number(node.input[1]) == 2:
                return "Square", self.of(node.input[0])
            case "Mul" if node.input[0] == node.input[1]:
                return "Square", self.of(node.input[0])
            case "Add" | "Mul":
                return node.op_type, *sorted(map(self.of, node.input), key=repr)
            case "ReduceMean" if attributes.get("keepdims", 1) == 1:
                axes = self.constants.get(node.input[1]) if len(node.input) > 1 else attributes.get("axes")
                return "Mean", () if axes is None else tuple(np.asarray(axes).reshape(-1).tolist()), self.of(node.input[0])
        return "value", name

    def _requantised(self, node: onnx.NodeProto) -> Expression | None:
        """What a DequantizeLinear gives back exactly: what was quantised so, was dequantised so before, and has only been transposed since."""
        quantise = self.node_of.get(node.input[0])
        if quantise is None or quantise.op_type != "QuantizeLinear" or any(self.number(name) is None for name in node.input[1:]):
            return None
        source = inner = self.of(quantise.input[0])
        while inner[0] == "Transpose":
            inner = inner[2]
        parameters = [self.of(name) for name in node.input[1:]]
        alike = inner[0] == "DequantizeLinear" and [*inner[3:]] == parameters == [self.of(name) for name in quantise.input[1:]]
        return source if alike else None

    def number(self, name: str) -> float | None:
        """A constant's only element."""
        array = self.constants.get(name)
        return array.item() if array is not None and array.size == 1 else None

    def along_channels(self, name: str) -> bool:
        """Whether a value is a constant, dequantised perhaps, with one element for all or one a channel of the last axis."""
        return self.elements_along(name, 1) > 0

    def elements_along(self, name: str, axes: int) -> int:
        """Elements of a constant, dequantised perhaps, that has them all along so many last axes; 0 of any other value."""
        node = self.node_of.get(name)
        array = self.constants.get(node.input[0] if node is not None and node.op_type == "DequantizeLinear" else name)
        return array.size if array is not None and array.size == int(np.prod(array.shape[-axes:])) else 0


def _normalised(found: Expressions, quotient: onnx.NodeProto, ranks: dict[str, int]) -> tuple[str, float] | None:
    """Operand and epsilon of the normalisation that a Div is."""
    expression = found.of(quotient.output[0])
    centred = found.node_of.get(quotient.input[0])
    root = found.node_of.get(quotient.input[1])
    shifted = found.node_of.get(root.input[0]) if root is not None and root.op_type == "Sqrt" else None
    if centred is None or centred.op_type != "Sub" or shifted is None or shifted.op_type != "Add":
        return None
    x = centred.input[0]
    for name in shifted.input:
        epsilon = found.number(name)
        if epsilon is None:
            continue
        for axes in ((-1,), (ranks.get(x, 0) - 1,)):
            for inner in ((-1,), (ranks.get(x, 0) - 1,)):
                d = "Sub", found.of(x), ("Mean", axes, found.of(x))
                variance = sorted((("Mean", inner, ("Square", d)), found.of(name)), key=repr)
                if expression == ("Div", d, ("Sqrt", ("Add", *variance))):
                    return x, epsilon
    return None


def _part(found: Expressions, node: onnx.NodeProto, ranks: dict[str, int]) -> onnx.NodeProto | None:
    """The node for a part that ends in `node`."""
    expression = found.of(node.output[0])
    chain = [node]  # nodes from here to the difference, along first operands
    while chain[-1].op_type in ("ReduceMean", "Pow", "Mul", "Div") and chain[-1].input[0] in found.node_of:
        chain.append(found.node_of[chain[-1].input[0]])
    if chain[-1].op_type != "Sub":
        return None
    x = chain[-1].input[0]
    for axes in ((-1,), (ranks.get(x, 0) - 1,)):
        d = "Sub", found.of(x), ("Mean", axes, found.of(x))
        if expression in [("Mean", inner, ("Square", d)) for inner in ((-1,), (ranks.get(x, 0) - 1,))]:
            return helper.make_node("ReduceMean", [x], node.output, name=node.name, domain=PART_DOMAIN)
        if expression[:2] == ("Div", d) and expression[2][0] == "Sqrt":
            return helper.make_node("Div", [x, found.node_of[node.input[1]].input[0]], node.output, name=node.name, domain=PART_DOMAIN)
    return None


def recognised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy in which each decomposed LayerNormalization, or part of one, is a node of that name."""
    graph = model.graph
    if not {"ReduceMean", "Sqrt", "Div"} <= {node.op_type for node in graph.node}:
        return model
    shaped = shape_inference.infer_shapes(model).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*shaped.input, *shaped.value_info) if v.type.tensor_type.HasField("shape")}
    found = Expressions(graph)
    made: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        match = _normalised(found, node, ranks) if node.op_type == "Div" else None
        if match is None:
            part = _part(found, node, ranks) if node.op_type in ("ReduceMean", "Div") else None
            made |= {node.output[0]: part} if part is not None else {}
            continue
        inputs, last = [match[0]], node
        for op in ("Mul", "Add"):
            following = [n for n in graph.node if last.output[0] in n.input]
            if len(following) != 1 or following[0].op_type != op or found.readers.count(last.output[0]) != 1:
                break
            (other,) = (name for name in following[0].input if name != last.output[0])
            if not found.along_channels(other):
                break
            last, inputs = following[0], [*inputs, other]
        made[last.output[0]] = helper.make_node("LayerNormalization", inputs, [last.output[0]], name=node.name, axis=-1, epsilon=match[1])
    return replaced(model, made)


def replaced(model: onnx.ModelProto, made: dict[str, onnx.NodeProto]) -> onnx.ModelProto:
    """Return a copy of `model` with the nodes `made` in place of those that make the same values, and without what nothing reads any more."""
    if not made:
        return model
    graph = model.graph
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = [made.get(node.output[0], node) for node in graph.node]
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del result.graph.node[:]
    result.graph.node.extend(reversed(kept))
    return result
