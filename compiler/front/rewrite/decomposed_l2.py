"""An L2 normalisation that an exporter wrote as elementary operators becomes one node: LpNormalization, the norm at least some number.

before:  n = Clip(ReduceL2(x), least), Max(.., least) or Add(.., least); y = Div(x, Expand(n)), Mul(x, Reciprocal(n)) or Mul(x, Div(1, n))
         n = Sqrt(Max(ReduceSumSquare(x) or ReduceSum(Mul(x, x)), least squared)), and so on
after:   y = LpNormalization(x) of DOMAIN, along one axis

x may be dequantised once for each of its readers. Of what lies between, nodes that something else reads stay, and the others fall away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from compiler.front.rewrite.decomposed import Net, squared

#: Domain of the nodes that are made; the importer alone knows it.
DOMAIN = "covenant.l2_normalization"


@dataclass(frozen=True)
class Norm:
    """The norm of `x` along `axis`, at least `least`, or with `added` added."""

    x: str
    axis: int
    least: float = 0.0
    added: float = 0.0


def _divided(net: Net, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
    """Pairs (x, n) so that a node's result is x / n."""
    if node.op_type == "Div":
        yield node.input[0], node.input[1]
        return
    for x, factor in (node.input, reversed(node.input)):
        inverse, quotient = net.made_by(factor, "Reciprocal"), net.made_by(factor, "Div")
        if inverse is not None:
            yield x, inverse.input[0]
        elif quotient is not None and net.scalar(quotient.input[0]) == 1.0:
            yield x, quotient.input[1]


def _bounded(net: Net, name: str) -> tuple[str, float, float]:
    """What a value is, apart from a lower bound, and from a number that is added: its name, the bound, the number."""
    node = net.producer.get(name)
    if node is None or node.domain not in ("", "ai.onnx"):
        return name, 0.0, 0.0
    if node.op_type == "Clip" and len(node.input) > 1 and (len(node.input) < 3 or not node.input[2]):
        least = net.scalar(node.input[1])
        return (node.input[0], least, 0.0) if least is not None else (name, 0.0, 0.0)
    if node.op_type in ("Max", "Add") and len(node.input) == 2:
        for value, constant in (node.input, reversed(node.input)):
            number = net.scalar(constant)
            if number is not None:
                return (value, number, 0.0) if node.op_type == "Max" else (value, 0.0, number)
    return name, 0.0, 0.0


def _axis(net: Net, node: onnx.NodeProto, ranks: dict[str, int]) -> int | None:
    axes, rank = net.axes_of(node), ranks.get(node.input[0])
    return axes[0] % rank if axes is not None and len(axes) == 1 and rank else None


def _squares(net: Net, name: str, ranks: dict[str, int]) -> tuple[str, int] | None:
    """What a value is the sum of the squares of, and along which axis."""
    node = net.made_by(name, "ReduceSumSquare") or net.made_by(name, "ReduceSum")
    axis = _axis(net, node, ranks) if node is not None else None
    if node is None or axis is None:
        return None
    x = node.input[0] if node.op_type == "ReduceSumSquare" else squared(net, node.input[0])
    return None if x is None else (x, axis)


def norm(net: Net, name: str, ranks: dict[str, int]) -> Norm | None:
    """Return what a value is the norm of; None for any other value."""
    expanded = net.made_by(name, "Expand")
    inner, least, added = _bounded(net, name if expanded is None else expanded.input[0])
    node = net.made_by(inner, "ReduceL2")
    if node is not None:
        axis = _axis(net, node, ranks)
        return None if axis is None else Norm(node.input[0], axis, least, added)
    root = net.made_by(inner, "Sqrt")
    if root is None:
        return None
    square, lowest, more = _bounded(net, root.input[0])
    found = _squares(net, square, ranks)
    if found is None or min(lowest, more) < 0:
        return None
    return Norm(*found, max(least, float(np.sqrt(lowest))), max(added, float(np.sqrt(more))))


def restore_l2(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with LpNormalization nodes of DOMAIN in place of the decomposition; the model itself where there is none."""
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}
    net = Net(graph)
    replaced: dict[int, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type not in ("Div", "Mul") or node.domain not in ("", "ai.onnx"):
            continue
        for x, divisor in _divided(net, node):
            found = norm(net, divisor, {name: len(shape) for name, shape in shapes.items()})
            if found is not None and net.same(found.x, x) and x in shapes and shapes.get(node.output[0], shapes[x]) == shapes[x]:
                replaced[id(node)] = helper.make_node(
                    "LpNormalization", [x], node.output, name=node.name or node.output[0], domain=DOMAIN, axis=found.axis, least=found.least,
                    added=found.added,
                )  # fmt: skip
    if not replaced:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = [replaced.get(id(node), node) for node in graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


__all__ = ["DOMAIN", "Norm", "norm", "restore_l2"]
