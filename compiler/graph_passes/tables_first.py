"""tables_first: functions of what has been moved are computed before it moves.

before:  x -> Move -> Unary -> Move -> y          heads of a detector: transposed, requantised, joined
after:   x -> Unary -> Move -> Move -> y          one movement, see `fold_moves`

A table may be looked up before or after its operand moves. Before, movements meet each other and become one, tables meet each other and
the clamps of what computes x; nothing is gained where more elements would be looked up, as before a slice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.network import NUMPY_TYPES, Move, Network, Node, Unary
from compiler.ir.rules import verify


def _candidate(network: Network, node: Node) -> Node | None:
    """The movement that a table can be looked up before; None where there is none."""
    if not isinstance(node.attrs, Unary):
        return None
    moved = node.inputs[0]
    move = network.producer(moved)
    if move is None or not isinstance(move.attrs, Move) or network.is_output(moved) or len(network.consumers(moved)) != 1:
        return None
    elements = sum(network.tensors[t].elements for t in move.inputs)
    return move if elements <= network.tensors[moved].elements else None


def _exchanged(network: Network, table: Node, move: Node) -> Network:
    """The network with `table` looked up on each input of `move`."""
    assert isinstance(table.attrs, Unary) and isinstance(move.attrs, Move), "a table behind a movement"
    x, y = network.tensors[move.inputs[0]], network.tensors[table.outputs[0]]
    tensors, before = dict(network.tensors), []
    for number, name in enumerate(move.inputs):
        out = f"{y.name}/{number}"
        while out in tensors:
            out += "'"
        tensors[out] = replace(y, name=out, shape=network.tensors[name].shape)
        label = table.name if len(move.inputs) == 1 else f"{table.name}/{number}"
        before.append(replace(table, name=label, inputs=(name,), outputs=(out,)))
    constants = table.attrs.table[move.attrs.constants.astype(NUMPY_TYPES[x.dtype]).view(np.uint8)].view(NUMPY_TYPES[y.dtype])
    attrs = replace(move.attrs, constants=constants)
    after = replace(move, attrs=attrs, inputs=tuple(n.outputs[0] for n in before), outputs=table.outputs)
    nodes = [n for node in network.nodes if node is not table for n in ((*before, after) if node is move else (node,))]
    return rebuild(network, nodes=nodes, tensors=tensors)


def tables_first(network: Network) -> Network:
    """Return `network` with tables before movements."""
    while True:
        pair = next(((node, move) for node in network.nodes if (move := _candidate(network, node)) is not None), None)
        if pair is None:
            return verify(network)
        network = _exchanged(network, *pair)
