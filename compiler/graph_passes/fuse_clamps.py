"""fuse_clamps: a Unary that only clamps, as a requantised Relu does, becomes part of the node before it.

before:  x -> Conv [-128, 127] -> y -> Unary max(q, zero point) -> z         (y read by nothing else, z quantised as y)
after:   x -> Conv [zero point, 127] -> z
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.edit import rebuild
from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.expression import Expression
from compiler.ir.floats import Quotient, Sum
from compiler.ir.interpolation import Interpolation
from compiler.ir.network import Add, Conv, Network, Node, Unary
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool
from compiler.ir.rules import verify

#: Nodes that clamp their result.
CLAMPING = (Conv, BlockwiseConv, Add, Binary, Sum, Quotient, Expression, Interpolation, Reduction, AveragePool, GlobalAveragePool, MaxPool)


def _clamp(network: Network, producer: Node, node: Node) -> tuple[int, int] | None:
    """Return the clamp of `producer` that does the work of the Unary `node` too; None where there is none."""
    x, y = (network.tensors[t] for t in (node.inputs[0], node.outputs[0]))
    attrs = producer.attrs
    if not isinstance(attrs, CLAMPING) or x.dtype == "i32":
        return None
    if (x.dtype, x.scale, x.zero_point) != (y.dtype, y.scale, y.zero_point):
        return None
    assert isinstance(node.attrs, Unary)
    q = np.arange(attrs.y_low, attrs.y_high + 1)
    raw = node.attrs.table[q & 0xFF]
    result = (raw.view(np.int8) if y.dtype == "i8" else raw).astype(int)
    low, high = int(result[0]), int(result[-1])
    return (low, high) if low <= high and np.array_equal(result, np.clip(q, low, high)) else None


def fuse_clamps(network: Network) -> Network:
    """Return `network` with clamping Unary nodes merged into the nodes before them."""
    nodes = {n.outputs[0]: n for n in network.nodes}
    for node in network.nodes:
        if not isinstance(node.attrs, Unary):
            continue
        producer = nodes.get(node.inputs[0])
        if producer is None or network.is_output(node.inputs[0]) or len(network.consumers(node.inputs[0])) != 1:
            continue
        clamp = _clamp(network, producer, node)
        if clamp is not None:
            attrs = replace(producer.attrs, y_low=clamp[0], y_high=clamp[1])  # type: ignore[arg-type]
            merged = replace(producer, attrs=attrs, outputs=node.outputs, origin=(*producer.origin, *node.origin))
            del nodes[node.inputs[0]]
            nodes[node.outputs[0]] = merged
    return verify(rebuild(network, nodes=_ordered(network, list(nodes.values()))))


def _ordered(network: Network, nodes: list[Node]) -> list[Node]:
    """Put merged nodes where the Unary stood: its readers come later, its inputs earlier."""
    place = {n.outputs[0]: i for i, n in enumerate(network.nodes)}
    return sorted(nodes, key=lambda n: place[n.outputs[0]])
