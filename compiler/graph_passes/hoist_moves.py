"""hoist_moves: transpositions that make the right side of a product go right behind the node that makes their operand.

before:  Conv -> k; Conv -> q; Conv -> v; Move k -> kt; MatMul (q, kt)
after:   Conv -> k; Move k -> kt; Conv -> q; Conv -> v; MatMul (q, kt)

Such a movement goes to external memory, a few bytes at a time, while the matrix unit computes what comes next; engines that store keep
the order of the nodes.
"""

from __future__ import annotations

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.matmul import MatMul
from compiler.ir.move import Move
from compiler.ir.network import Network, Node
from compiler.ir.rules import verify

#: Part of the elements that follow their neighbour: movements above it are of rows, and soon done.
LONG_ROWS = 0.5


def _transposes(network: Network, node: Node) -> bool:
    """Whether a node moves single elements, and only for the right sides of products."""
    y = node.outputs[0]
    readers = network.consumers(y)
    right = all(isinstance(r.attrs, MatMul) and r.inputs[1] == y != r.inputs[0] for r in readers)
    if not isinstance(node.attrs, Move) or not readers or not right or network.is_output(y):
        return False
    steps = np.diff(node.attrs.index)
    return bool((steps == 1).sum() < LONG_ROWS * steps.size)


def hoist_moves(network: Network) -> Network:
    """Return `network` with those movements as early as their operands allow."""
    nodes: list[Node] = []
    for node in network.nodes:
        place = len(nodes)
        if _transposes(network, node):
            place = max((i + 1 for i, earlier in enumerate(nodes) if set(earlier.outputs) & set(node.inputs)), default=0)
        nodes.insert(place, node)
    return network if nodes == list(network.nodes) else verify(rebuild(network, nodes=nodes))
