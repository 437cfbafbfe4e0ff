"""hoist_moves: a transposition for a product comes right behind what makes its operand; other movements stay where they are."""

import numpy as np

from compiler.front.import_onnx import import_onnx
from compiler.graph_passes.hoist_moves import hoist_moves
from compiler.ir.network import MatMul
from compiler.read_network import FRONT_PASSES
from covenant.bench.workload_transformer import encoder_block

SIZES = {"width": 24, "heads": 2, "tokens": 7, "hidden": 20}


def unhoisted():
    """An encoder block after the passes before this one."""
    graph = import_onnx(encoder_block(**SIZES))
    for run in FRONT_PASSES[: FRONT_PASSES.index(hoist_moves)]:
        graph = run(graph)
    return graph


def order(graph):
    """Names of the operators, transpositions of single elements apart."""
    return ["Transpose" if n.op == "Move" and (np.diff(n.attrs.index) == 1).mean() < 0.5 else n.op for n in graph.nodes]


def test_keys_are_transposed_beside_the_projections():
    graph = unhoisted()
    before, after = order(graph), order(hoist_moves(graph))
    assert (before.index("Transpose"), before[:4]) == (4, ["Conv", "Conv", "Conv", "Move"])
    assert after[:5] == ["Conv", "Transpose", "Conv", "Conv", "Move"] and after[5:] == before[5:]
    node = hoist_moves(graph).nodes[after.index("Transpose")]
    assert hoist_moves(graph).nodes[after.index("Transpose") - 1].outputs == node.inputs
    assert all(r.inputs[1] in node.outputs for r in graph.nodes if isinstance(r.attrs, MatMul) and set(node.outputs) & set(r.inputs))


def test_hoisting_again_changes_nothing():
    graph = hoist_moves(unhoisted())
    assert hoist_moves(graph) is graph
