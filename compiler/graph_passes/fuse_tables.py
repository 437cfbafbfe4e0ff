"""fuse_tables: a Unary after a Unary becomes one, and a Unary that changes no byte becomes none.

before:  x -> Unary f -> y -> Unary g -> z         (y read by nothing else)
after:   x -> Unary g(f) -> z
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.network import Network, Node, Unary
from compiler.ir.rules import verify


def _composed(network: Network) -> Network:
    made: dict[str, Node] = {}
    nodes = []
    for node in network.nodes:
        before = made.get(node.inputs[0])
        if isinstance(node.attrs, Unary):
            if before is not None and isinstance(before.attrs, Unary) and len(network.consumers(node.inputs[0])) == 1:
                table = node.attrs.table[before.attrs.table]
                node = replace(node, attrs=Unary(table), inputs=before.inputs, origin=(*before.origin, *node.origin))
            made[node.outputs[0]] = node
        nodes.append(node)
    return rebuild(network, nodes=nodes)


def _without_copies(network: Network) -> Network:
    fed = {e.tensor for e in network.inputs}
    instead = {}
    for node in network.nodes:
        if isinstance(node.attrs, Unary) and np.array_equal(node.attrs.table, np.arange(256)):
            x, y = (network.tensors[t] for t in (node.inputs[0], node.outputs[0]))
            same = (x.dtype, x.scale, x.zero_point) == (y.dtype, y.scale, y.zero_point)
            if same and not (network.is_output(y.name) and x.name in fed):
                instead[y.name] = x.name
    return rebuild(network, instead=instead)


def fuse_tables(network: Network) -> Network:
    """Return `network` with chains of Unary nodes composed."""
    return verify(_without_copies(_composed(network)))
