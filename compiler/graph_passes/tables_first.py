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
from compiler.ir.graph import NUMPY_TYPES, Graph, Move, Node, Unary
from compiler.ir.rules import verify


def _candidate(graph: Graph, node: Node) -> Node | None:
    """The movement that a table can be looked up before; None where there is none."""
    if not isinstance(node.attrs, Unary):
        return None
    moved = node.inputs[0]
    move = graph.producer(moved)
    if move is None or not isinstance(move.attrs, Move) or graph.is_output(moved) or len(graph.consumers(moved)) != 1:
        return None
    elements = sum(graph.tensors[t].elements for t in move.inputs)
    return move if elements <= graph.tensors[moved].elements else None


def _exchanged(graph: Graph, table: Node, move: Node) -> Graph:
    """The graph with `table` looked up on each input of `move`."""
    assert isinstance(table.attrs, Unary) and isinstance(move.attrs, Move), "a table behind a movement"
    x, y = graph.tensors[move.inputs[0]], graph.tensors[table.outputs[0]]
    tensors, before = dict(graph.tensors), []
    for number, name in enumerate(move.inputs):
        out = f"{y.name}/{number}"
        while out in tensors:
            out += "'"
        tensors[out] = replace(y, name=out, shape=graph.tensors[name].shape)
        label = table.name if len(move.inputs) == 1 else f"{table.name}/{number}"
        before.append(replace(table, name=label, inputs=(name,), outputs=(out,)))
    constants = table.attrs.table[move.attrs.constants.astype(NUMPY_TYPES[x.dtype]).view(np.uint8)].view(NUMPY_TYPES[y.dtype])
    attrs = replace(move.attrs, constants=constants)
    after = replace(move, attrs=attrs, inputs=tuple(n.outputs[0] for n in before), outputs=table.outputs)
    nodes = [n for node in graph.nodes if node is not table for n in ((*before, after) if node is move else (node,))]
    return rebuild(graph, nodes=nodes, tensors=tensors)


def tables_first(graph: Graph) -> Graph:
    """Return `graph` with tables before movements."""
    while True:
        pair = next(((node, move) for node in graph.nodes if (move := _candidate(graph, node)) is not None), None)
        if pair is None:
            return verify(graph)
        graph = _exchanged(graph, *pair)
