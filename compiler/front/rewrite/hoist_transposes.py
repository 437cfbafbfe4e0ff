"""Transpositions of floats that a reduction goes into, moved up to the tensors that the floats are computed from.

before:  x -> DequantizeLinear -> d;  c = Sub(d, ReduceMean(d, axes = 1));  t = Transpose(c);  v = ReduceMean(Pow(t, 2), axes = -1)
after:   x -> DequantizeLinear -> d;  e = Transpose(d);  t = Sub(e, ReduceMean(e, axes = -1));  v = ReduceMean(Pow(t, 2), axes = -1)

An optimiser moves them down, between the operators that are one normalisation; above these they are a movement of 8-bit integers. Element-wise
operators and reductions that keep their dimensions do not mind. What one quantises and nothing else reads stays where it is.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Operators that do the same with transposed operands; those that reduce have axes to transpose too.
ELEMENTWISE = ("Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub")
REDUCING = ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare")


class _Graph:
    """Producers, readers, constants and ranks of a graph, and the nodes that are made for it."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.readers: dict[str, list[str]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node.op_type)
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.constants[node.output[0]] = numpy_helper.to_array(attribute.t)
        self.rank = {
            v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input, *graph.output) if v.type.tensor_type.HasField("shape")
        }
        self.known: dict[tuple[str, int], bool | None] = {}
        self.made: dict[tuple[str, tuple[int, ...]], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.extra: list[onnx.TensorProto] = []

    def axes(self, node: onnx.NodeProto) -> list[int] | None:
        """Axes of a reduction, counted from the front; None where they are not known or fall away."""
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axes = self.constants.get(node.input[1]) if len(node.input) > 1 and node.input[1] else given.get("axes")
        rank = self.rank.get(node.input[0])
        return None if axes is None or rank is None or given.get("keepdims", 1) != 1 else [int(a) % rank for a in np.asarray(axes).reshape(-1)]

    def reduces(self, name: str, rank: int) -> bool | None:
        """Whether what computes a float from dequantised tensors reduces; None where a transposition cannot pass it."""
        if (name, rank) not in self.known:
            self.known[name, rank] = self._reduces(name, rank)
        return self.known[name, rank]

    def _reduces(self, name: str, rank: int) -> bool | None:
        if name in self.constants or not name:
            return False if not name or self.constants[name].size == 1 else None
        node = self.producer.get(name)
        if node is None or self.rank.get(name) != rank:
            return None
        if node.op_type == "DequantizeLinear":
            return False if all(self.constants.get(p, np.zeros(2)).size == 1 for p in node.input[1:]) else None
        if node.op_type in REDUCING:
            return None if self.axes(node) is None or self.reduces(node.input[0], rank) is None else True
        if node.op_type not in ELEMENTWISE or node.domain not in ("", "ai.onnx"):
            return None
        any_reduces = False
        for other in node.input:
            below = self.reduces(other, rank)
            if below is None:
                return None
            any_reduces |= below
        return any_reduces

    def transposed(self, name: str, permutation: tuple[int, ...], result: str = "") -> str:
        """Make nodes for the transpose of a float; return its name, `result` where that is given."""
        if name in self.constants or not name:
            return name
        key = (name, permutation)
        if key in self.made:
            if result:
                self.nodes.append(helper.make_node("Identity", [self.made[key]], [result], name=f"{result}/again"))
            return result or self.made[key]
        node = self.producer[name]
        self.made[key] = out = result or f"{name}/transposed_{'_'.join(map(str, permutation))}"
        label = f"{node.name}/transposed"
        if node.op_type == "DequantizeLinear":
            self.nodes.append(helper.make_node("Transpose", [name], [out], name=label, perm=permutation))
            return out
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.transposed(other, permutation) for other in node.input]
        if node.op_type in REDUCING:
            moved = sorted(permutation.index(axis) for axis in self.axes(node) or ())
            if len(inputs) > 1:
                inputs[1] = f"{out}/axes"
                self.extra.append(numpy_helper.from_array(np.array(moved, np.int64), inputs[1]))
            else:
                attributes["axes"] = moved
        self.nodes.append(helper.make_node(node.op_type, inputs, [out], name=label, **attributes))
        return out


def hoist_transposes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with such transpositions above what they are transpositions of; the model itself where there are none."""
    if not any(node.op_type == "Transpose" for node in model.graph.node):
        return model
    found = _Graph(model.graph)
    changed = False
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        name = node.input[0] if node.input else ""
        rank = found.rank.get(name)
        source = found.producer.get(name)
        if node.op_type != "Transpose" or rank is None or source is None or source.op_type == "DequantizeLinear":
            nodes.append(node)
            continue
        only_quantised = set(found.readers.get(node.output[0], [])) <= {"QuantizeLinear"}
        if only_quantised or not found.reduces(name, rank):
            nodes.append(node)
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        found.transposed(name, tuple(given.get("perm", range(rank - 1, -1, -1))), node.output[0])
        nodes += found.nodes
        found.nodes, changed = [], True
    if not changed:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(found.extra)
    return result


__all__ = ["hoist_transposes"]
