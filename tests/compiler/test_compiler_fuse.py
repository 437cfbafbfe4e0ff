"""Each front pass on a graph made for it: before and after, and what must not be touched."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.front.import_onnx import import_onnx
from compiler.graph_passes.fold_reshapes import fold_reshapes
from compiler.graph_passes.fuse_clamps import fuse_clamps
from compiler.graph_passes.fuse_flatten import fuse_flatten
from compiler.graph_passes.fuse_tables import fuse_tables
from compiler.ir.network import Network, Unary
from compiler.read_network import FRONT_PASSES
from tests.compiler.ir_reference import evaluate
from tests.support.models import F32, I8, U8, dequantize, model_of, node, parameters, quantize
from verif.random.networks import random_inputs, random_network

P = parameters(x=(0.1, 3), y=(0.25, 7), v=(0.3, np.int8(-7)), w=(0.02, np.int8(0)))
W = np.random.default_rng(0).integers(-100, 100, (5, 3, 2, 2)).astype(np.int8)
X, C = {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 5, 3, 3))}
CONV = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c")]


def run(passed, model):
    """The graph before and after a pass; both compute the same."""
    before = import_onnx(model)
    after = passed(before)
    inputs = random_inputs(model, 0)
    expected, found = evaluate(before, inputs), evaluate(after, inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    return before, after


def summary(graph: Network) -> list[str]:
    """The nodes as text."""
    return [f"{n.op} {' '.join(n.inputs)} -> {n.outputs[0]} {'x'.join(map(str, graph.tensors[n.outputs[0]].shape))}" for n in graph.nodes]


def test_clamp_after_a_convolution():
    nodes = [*CONV, quantize("c", "q", "y"), dequantize("q", "f", "y"), node("Relu", "f", "r"), quantize("r", "y", "y")]
    before, after = run(fuse_clamps, model_of(nodes, X, C, {**P, "w": W}))
    assert summary(before) == ["Conv x -> q 1x5x3x3", "Unary q -> y 1x5x3x3"]
    assert summary(after) == ["Conv x -> y 1x5x3x3"]
    assert (after.nodes[0].attrs.y_low, after.nodes[0].attrs.y_high) == (7, 255)
    assert after.nodes[0].origin == ("n_c", "n_q", "n_r", "n_y")


def test_clamps_follow_each_other():
    constants = {**P, "w": W, "six": np.float32(6), "low": np.float32(1)}
    nodes = [*CONV, quantize("c", "q", "y"), dequantize("q", "f", "y"), node("Clip", "f low six", "r"), quantize("r", "s", "y"),
             dequantize("s", "g", "y"), node("Relu", "g", "t"), quantize("t", "y", "y")]  # fmt: skip
    _, after = run(fuse_clamps, model_of(nodes, X, C, constants))
    assert summary(after) == ["Conv x -> y 1x5x3x3"]
    assert (after.nodes[0].attrs.y_low, after.nodes[0].attrs.y_high) == (11, 31)


@pytest.mark.parametrize("reason", ["other parameters", "read elsewhere", "an output", "no clamp", "after an input"])
def test_clamps_that_stay(reason):
    outputs = dict(C)
    nodes = [*CONV, quantize("c", "q", "y"), dequantize("q", "f", "y"), node("Relu", "f", "r"), quantize("r", "y", "y")]
    count = 2
    if reason == "other parameters":
        nodes[-1], outputs = quantize("r", "y", "v"), {"y": (I8, (1, 5, 3, 3))}
    elif reason == "read elsewhere":
        nodes += [node("Add", "f f", "a"), quantize("a", "z", "y")]
        outputs["z"], count = (U8, (1, 5, 3, 3)), 3
    elif reason == "an output":
        outputs["q"] = (U8, (1, 5, 3, 3))
    elif reason == "no clamp":
        nodes[5] = node("LeakyRelu", "f", "r", alpha=0.5)
    else:
        nodes, outputs, count = [dequantize("x", "f", "x"), node("Relu", "f", "r"), quantize("r", "y", "x")], {"y": (U8, (1, 3, 4, 4))}, 1
    before, after = run(fuse_clamps, model_of(nodes, X, outputs, {**P, "w": W}))
    assert summary(before) == summary(after)
    assert len(after.nodes) == count


def test_gemm_after_flatten_becomes_a_convolution():
    weight = np.random.default_rng(1).integers(-90, 90, (48, 6)).astype(np.int8)
    nodes = [node("MaxPool", "x", "p", kernel_shape=[1, 1]), dequantize("p", "d", "x"), node("Flatten", "d", "f"), dequantize("w", "e", "w"),
             node("Gemm", "f e", "g"), quantize("g", "y", "y")]  # fmt: skip
    before, after = run(fuse_flatten, model_of(nodes, X, {"y": (U8, (1, 6))}, {**P, "w": weight}))
    assert summary(before) == ["MaxPool x -> p 1x3x4x4", "Reshape p -> p/1x48x1x1 1x48x1x1", "Conv p/1x48x1x1 -> y 1x6x1x1"]
    assert summary(after) == ["MaxPool x -> p 1x3x4x4", "Conv p -> y 1x6x1x1"]
    np.testing.assert_array_equal(after.nodes[1].attrs.weight, weight.T.reshape(6, 3, 4, 4))


def test_flatten_that_does_not_begin_at_the_channels_stays():
    weight = np.random.default_rng(1).integers(-90, 90, (16, 6)).astype(np.int8)
    nodes = [node("MaxPool", "x", "p", kernel_shape=[1, 1]), dequantize("p", "d", "x"), node("Flatten", "d", "f", axis=2),
             dequantize("w", "e", "w"), node("MatMul", "f e", "g"), quantize("g", "y", "y")]  # fmt: skip
    before, after = run(fuse_flatten, model_of(nodes, X, {"y": (U8, (3, 6))}, {**P, "w": weight}))
    assert summary(before) == summary(after)
    assert [n.op for n in after.nodes] == ["MaxPool", "Reshape", "Conv"]


def test_reshapes_at_the_edges_are_the_hosts():
    constants = {**P, "w": np.ones((4, 5), np.int8), "shape": np.array([2, 6, 5])}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("MatMul", "d e", "m"), quantize("m", "q", "y"),
             dequantize("q", "f", "y"), node("Reshape", "f shape", "y")]  # fmt: skip
    before, after = run(fold_reshapes, model_of(nodes, {"x": (U8, (3, 2, 2, 4))}, {"y": (F32, (2, 6, 5))}, constants))
    assert summary(before) == ["Reshape x -> x/12x4x1x1 12x4x1x1", "Conv x/12x4x1x1 -> q 12x5x1x1"]
    assert summary(after) == ["Conv x -> q 12x5x1x1"]
    assert (after.tensors["x"].shape, after.inputs[0].shape, after.outputs[0].shape) == ((12, 4, 1, 1), (3, 2, 2, 4), (2, 6, 5))


def test_an_input_read_in_two_shapes_keeps_its_reshape():
    constants = {**P, "w": np.ones((4, 5), np.int8)}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("MatMul", "d e", "m"), quantize("m", "y", "y"),
             node("Relu", "d", "r"), quantize("r", "z", "y")]  # fmt: skip
    before, after = run(fold_reshapes, model_of(nodes, {"x": (U8, (1, 2, 3, 4))}, {"y": (U8, (1, 2, 3, 5)), "z": (U8, (1, 2, 3, 4))}, constants))
    assert summary(before) == summary(after)
    assert [n.op for n in after.nodes] == ["Reshape", "Conv", "Unary"]


def test_tables_compose():
    nodes = [dequantize("x", "d", "x"), node("LeakyRelu", "d", "l"), quantize("l", "q", "v"), dequantize("q", "f", "v"),
             node("Abs", "f", "a"), quantize("a", "y", "y")]  # fmt: skip
    before, after = run(fuse_tables, model_of(nodes, X, {"y": (U8, (1, 3, 4, 4))}, P))
    assert summary(before) == ["Unary x -> q 1x3x4x4", "Unary q -> y 1x3x4x4"]
    assert summary(after) == ["Unary x -> y 1x3x4x4"]
    assert after.nodes[0].origin == ("n_l", "n_q", "n_a", "n_y")


def test_a_table_read_twice_stays():
    nodes = [dequantize("x", "d", "x"), node("LeakyRelu", "d", "l"), quantize("l", "q", "v"), dequantize("q", "f", "v"),
             node("Abs", "f", "a"), quantize("a", "y", "y"), node("Neg", "f", "g"), quantize("g", "z", "y")]  # fmt: skip
    shape = (U8, (1, 3, 4, 4))
    before, after = run(fuse_tables, model_of(nodes, X, {"y": shape, "z": shape}, P))
    assert summary(before) == summary(after)
    assert len(after.nodes) == 3


def test_a_table_that_changes_nothing_goes():
    nodes = [*CONV, quantize("c", "q", "y"), dequantize("q", "f", "y"), node("Mul", "f one", "m"), quantize("m", "r", "y"),
             dequantize("r", "g", "y"), dequantize("v", "h", "y"), node("Add", "g h", "a"), quantize("a", "y", "y")]  # fmt: skip
    before, after = run(fuse_tables, model_of(nodes, {**X, "v": (U8, (1, 5, 3, 3))}, C, {**P, "w": W, "one": np.float32(1)}))
    assert [n.op for n in before.nodes] == ["Conv", "Unary", "Add"]
    assert summary(after) == ["Conv x -> q 1x5x3x3", "Add q v -> y 1x5x3x3"]


@pytest.mark.parametrize("passed", FRONT_PASSES, ids=lambda p: p.__name__)
def test_passes_settle(passed):
    """A second run changes nothing, on random networks."""
    for seed in range(30):
        graph = passed(import_onnx(random_network(seed)))
        assert summary(passed(graph)) == summary(graph), f"seed {seed}"


def test_front_passes_leave_no_unary_behind_a_clamping_producer():
    """After all passes a Unary is a real function, never the identity on equally quantised tensors."""
    seen = 0
    for seed in range(60):
        graph = import_onnx(random_network(seed))
        for passed in FRONT_PASSES:
            graph = passed(graph)
        for n in graph.nodes:
            if isinstance(n.attrs, Unary):
                seen += 1
                x, y = (graph.tensors[t] for t in (n.inputs[0], n.outputs[0]))
                same = (x.scale, x.zero_point, x.dtype) == (y.scale, y.zero_point, y.dtype)
                assert not (same and np.array_equal(n.attrs.table, np.arange(256)) and graph.producer(x.name)), f"seed {seed}, {n.name}"
    assert seen > 10
