"""settle_views and fold_reshapes: a residual sum between a network input and a product moves nothing in memory."""

import numpy as np

from acg.graph import load_graph
from compiler.graph_passes.fold_reshapes import fold_reshapes
from compiler.graph_passes.settle_views import settle_views
from compiler.ir.elementwise import Binary
from compiler.ir.network import Add, Conv, EdgeInput, EdgeOutput, Move, Network, Node, Reshape, Tensor, Unary
from compiler.ir.rules import verify
from compiler.passes import compile_network
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
    graph = Network("residual", (EdgeInput("in", "i8", (1, 6, 20), "x"),), (EdgeOutput("out", "i8", (1, 6, 20), "y"),), nodes, tensors)
    return verify(graph), {"in": rng.integers(-128, 128, (1, 6, 20)).astype(np.int8)}


def test_before_and_after():
    graph, _ = residual()
    after = fold_reshapes(settle_views(graph))
    assert [(n.op, n.inputs, n.outputs) for n in after.nodes] == [("Conv", ("x",), ("p",)), ("Add", ("p", "x"), ("y",))]
    assert {t.shape for t in after.tensors.values()} == {(6, 20, 1, 1)}
    assert after.outputs[0].shape == (1, 6, 20) and after.nodes[1].origin == ("onnx_add",)


def test_a_movement_is_seen_as_its_readers_want():
    """Move -> table -> constant sum -> Reshape -> product: no Reshape is left, and the constant takes the view too."""
    rng = np.random.default_rng(2)
    image, rows = (1, 6, 1, 20), (6, 20, 1, 1)
    shapes = {"x": rows, "m": image, "t": image, "s": image, "s rows": rows, "y": rows}
    tensors = {name: Tensor(name, shape, "i8", 0.25, 3) for name, shape in shapes.items()}
    constant = rng.integers(-90, 90, image).astype(np.int8)
    conv = Conv(rng.integers(-90, 90, (20, 20, 1, 1)).astype(np.int8), None, 0.25, 3, np.float32([0.01]), 0, 0.25, 3)
    nodes = (
        Node("m", Move(rng.permutation(120)), ("x",), ("m",)), Node("t", Unary(rng.permutation(256).astype(np.uint8)), ("m",), ("t",)),
        Node("s", Binary("add", np.float32([0.25]), 3, 0.125, 0, 0.25, 3, constant=constant), ("t",), ("s",)),
        Node("r", Reshape(), ("s",), ("s rows",)), Node("c", conv, ("s rows",), ("y",)),
    )  # fmt: skip
    graph = verify(Network("moved", (EdgeInput("in", "i8", (6, 20), "x"),), (EdgeOutput("out", "i8", (6, 20), "y"),), nodes, tensors))
    after = fold_reshapes(settle_views(graph))
    assert [n.op for n in after.nodes] == ["Move", "Unary", "Binary", "Conv"] and {t.shape for t in after.tensors.values()} == {rows}
    np.testing.assert_array_equal(after.nodes[2].attrs.constant, constant.reshape(rows))
    arrays = {"in": rng.integers(-128, 128, (6, 20)).astype(np.int8)}
    check_program(graph, compile_network(after, load_graph("tiny")), load_graph("tiny"), arrays)


def test_a_scale_a_channel_holds_its_view():
    tensors = {name: Tensor(name, (1, 6, 1, 20), "i8", 0.25, 3) for name in ("x", "y")} | {"z": Tensor("z", (6, 20, 1, 1), "i8", 0.25, 3)}
    scaled = Binary("mul", np.linspace(0.1, 0.6, 6, dtype=np.float32), 3, 1.0, 0, 0.25, 3, constant=np.ones((1, 6, 1, 1), np.int8))
    nodes = (Node("n", scaled, ("x",), ("y",)), Node("r", Reshape(), ("y",), ("z",)))
    graph = verify(Network("held", (EdgeInput("in", "i8", (6, 20), "x"),), (EdgeOutput("out", "i8", (6, 20), "z"),), nodes, tensors))
    assert settle_views(graph).tensors["y"].shape == (1, 6, 1, 20)


def test_the_result_is_the_same():
    graph, arrays = residual()
    after = fold_reshapes(settle_views(graph))
    for name in ("tiny", "wide"):
        cycles = [check_program(graph, compile_network(g, load_graph(name)), load_graph(name), arrays) for g in (graph, after)]
        assert cycles[1] < cycles[0]


def test_nothing_changes_without_a_reshape():
    graph, _ = residual()
    settled = fold_reshapes(settle_views(graph))
    assert [(n.op, n.inputs, n.outputs) for n in settle_views(settled).nodes] == [(n.op, n.inputs, n.outputs) for n in settled.nodes]
