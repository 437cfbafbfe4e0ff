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

from compiler.front.rewrite.net import Net, attributes, kind

#: Operators that do the same with transposed operands; those that reduce have axes to transpose too.
ELEMENTWISE = ("Abs", "Add", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sqrt", "Sub")
REDUCING = ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare")

#: Operators one behind the other that a transposition passes at most.
_DEEPEST = 100


class _Hoist:
    """What a graph's floats are computed of, and the nodes that are made for their transposes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.net = Net(model)
        self.known: dict[tuple[str, int], bool | None] = {}
        self.made: dict[tuple[str, tuple[int, ...]], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.extra: list[onnx.TensorProto] = []

    def axes(self, node: onnx.NodeProto) -> list[int] | None:
        """Axes of a reduction, counted from the front; None where they are not known or fall away."""
        axes = self.net.array(node.input[1]) if len(node.input) > 1 and node.input[1] else attributes(node).get("axes")
        rank = self.net.ranks.get(node.input[0])
        return None if axes is None or rank is None or attributes(node).get("keepdims", 1) != 1 else [int(a) % rank for a in np.asarray(axes).reshape(-1)]

    def reduces(self, name: str, rank: int, deep: int = _DEEPEST) -> bool | None:
        """Whether what computes a float from dequantised tensors reduces; None where a transposition cannot pass it."""
        if (name, rank) not in self.known:
            self.known[name, rank] = self._reduces(name, rank, deep - 1) if deep else None
        return self.known[name, rank]

    def _reduces(self, name: str, rank: int, deep: int) -> bool | None:
        node = self.net.producer.get(name)
        if not name or self.net.scalar(name) is not None:
            return False
        if node is None or self.net.ranks.get(name) != rank:
            return None
        if kind(node) == "DequantizeLinear":
            return False if all(self.net.scalar(p) is not None for p in node.input[1:]) else None
        if kind(node) in REDUCING:
            return None if self.axes(node) is None or self.reduces(node.input[0], rank, deep) is None else True
        below = [self.reduces(other, rank, deep) for other in node.input] if kind(node) in ELEMENTWISE else [None]
        return None if None in below else any(below)

    def transposed(self, name: str, permutation: tuple[int, ...], result: str = "") -> str:
        """Make nodes for the transpose of a float; return its name, `result` where that is given."""
        if not name or self.net.scalar(name) is not None:
            return name
        key = (name, permutation)
        if key in self.made:
            if result:
                self.nodes.append(helper.make_node("Identity", [self.made[key]], [result], name=f"{result}/again"))
            return result or self.made[key]
        node = self.net.producer[name]
        self.made[key] = out = result or f"{name}/transposed_{'_'.join(map(str, permutation))}"
        label = f"{node.name}/transposed"
        if kind(node) == "DequantizeLinear":
            self.nodes.append(helper.make_node("Transpose", [name], [out], name=label, perm=permutation))
            return out
        settings = attributes(node)
        inputs = [self.transposed(other, permutation) for other in (node.input[:1] if kind(node) in REDUCING else node.input)]
        if kind(node) in REDUCING:
            moved = sorted(permutation.index(axis) for axis in self.axes(node) or ())
            if len(node.input) > 1:
                inputs.append(f"{out}/axes")
                self.extra.append(numpy_helper.from_array(np.array(moved, np.int64), inputs[1]))
            else:
                settings["axes"] = moved
        self.nodes.append(helper.make_node(node.op_type, inputs, [out], name=label, **settings))
        return out


def hoist_transposes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with such transpositions above what they are transpositions of; the model itself where there are none."""
    if not any(node.op_type == "Transpose" for node in model.graph.node):
        return model
    found = _Hoist(model)
    changed = False
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        name = node.input[0] if kind(node) == "Transpose" else ""
        rank = found.net.ranks.get(name)
        source = found.net.producer.get(name)
        only_quantised = set(found.net.readers.get(node.output[0], [])) <= {"QuantizeLinear"}
        if rank is None or only_quantised or source is None or kind(source) == "DequantizeLinear" or not found.reduces(name, rank):
            nodes.append(node)
            continue
        found.transposed(name, tuple(attributes(node).get("perm", range(rank - 1, -1, -1))), node.output[0])
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
