"""settle_views and fold_reshapes: a residual sum between a network input and a product moves nothing in memory."""

import numpy as np

from acg.graph import load_graph
from compiler.ir import Add, Conv, EdgeInput, EdgeOutput, Graph, Node, Reshape, Tensor, verify
from compiler.passes.fold_reshapes import fold_reshapes
from compiler.passes.settle_views import settle_views
from compiler.pipeline import compile_graph
from tests.compiler.ir_reference import check_program


def residual():
    """in (1, 6, 20) -> product of its rows -> sum of both, seen as (1, 6, 1, 20)."""
    rng = np.random.default_rng(1)
    rows, image = (6, 20, 1, 1), (1, 6, 1, 20)
    shapes = {"x": image, "x rows": rows, "p": rows, "p image": image, "y": image}
    tensors = {name: Tensor(name, shape, "i8", 0.5 if name[0] == "p" else 0.25, 3) for name, shape in shapes.items()}
    conv = Conv(rng.integers(-90, 90, (20, 20, 1, 1)).astype(np.int8), None, 0.25, 3, np.float32([0.01]), 0, 0.5, 3)
    nodes = (
        Node("r1", Reshape(), ("x",), ("x rows",)), Node("c", conv, ("x rows",), ("p",)), Node("r2", Reshape(), ("p",), ("p image",)),
        Node("add", Add(0.5, 3, 0.25, 3, 0.25, 3), ("p image", "x"), ("y",), ("onnx_add",)),
    )  # fmt: skip
    graph = Graph("residual", (EdgeInput("in", "i8", (1, 6, 20), "x"),), (EdgeOutput("out", "i8", (1, 6, 20), "y"),), nodes, tensors)
    return verify(graph), {"in": rng.integers(-128, 128, (1, 6, 20)).astype(np.int8)}


def test_before_and_after():
    graph, _ = residual()
    after = fold_reshapes(settle_views(graph))
    assert [(n.op, n.inputs, n.outputs) for n in after.nodes] == [("Conv", ("x",), ("p",)), ("Add", ("p", "x"), ("y/settled",))]
    assert {t.shape for t in after.tensors.values()} == {(6, 20, 1, 1)}
    assert after.outputs[0].shape == (1, 6, 20) and after.nodes[1].origin == ("onnx_add",)


def test_the_result_is_the_same():
    graph, arrays = residual()
    after = fold_reshapes(settle_views(graph))
    for name in ("tiny", "wide"):
        cycles = [check_program(graph, compile_graph(g, load_graph(name)), load_graph(name), arrays) for g in (graph, after)]
        assert cycles[1] < cycles[0]


def test_nothing_changes_without_a_reshape():
    graph, _ = residual()
    settled = fold_reshapes(settle_views(graph))
    assert [(n.op, n.inputs, n.outputs) for n in settle_views(settled).nodes] == [(n.op, n.inputs, n.outputs) for n in settled.nodes]
