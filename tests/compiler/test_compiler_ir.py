"""The IR: its rules, each broken once; scales and divisors; the host's side of the edges."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest

import compiler.errors
import compiler.front.state.builder
import compiler.ir.network
from compiler.errors import IRError
from compiler.ir.network import Add, Conv, EdgeInput, EdgeOutput, Network, Node, Reshape, Tensor, Unary, averaging_scales
from compiler.ir.pools import AveragePool, MaxPool
from compiler.ir.rules import verify

X = Tensor("x", (1, 2, 4, 4), "u8", 0.5, 10)
Y = Tensor("y", (1, 3, 4, 4), "i8", 0.25, -3)
CONV = Conv(
    weight=np.ones((3, 2, 1, 1), np.int8), bias=np.zeros(3, np.int32), x_scale=0.5, x_zero=10, w_scale=np.ones(1, np.float32), w_zero=0,
    y_scale=0.25, y_zero=-3,
)  # fmt: skip
GRAPH = Network(
    "g",
    (EdgeInput("in", "f32", (1, 2, 4, 4), "x"),),
    (EdgeOutput("out", "f32", (1, 3, 4, 4), "y"),),
    (Node("c", CONV, ("x",), ("y",), ("conv",)),),
    {"x": X, "y": Y},
)


def with_node(attrs, x=X, y=Y):
    """The graph with another operator and other tensors; raw edges."""
    inputs = (EdgeInput("in", x.dtype, x.shape, "x"),)
    return Network("g", inputs, (EdgeOutput("out", y.dtype, y.shape, "y"),), (Node("c", attrs, ("x",), ("y",)),), {"x": x, "y": y})


SAME = replace(X, name="y")
IDENTITY = Unary(np.arange(256, dtype=np.uint8))

BROKEN = {
    "key": (replace(GRAPH, tensors={"x": X, "y": replace(Y, name="z")}), "tensor y: found name z; expected the name it is listed under"),
    "rank": (with_node(CONV, replace(X, shape=(1, 2, 4))), "tensor x: found shape (1, 2, 4); expected four positive dimensions"),
    "type": (with_node(CONV, replace(X, dtype="f16")), "tensor x: found type f16; expected i8, u8, i32 or f32"),
    "scale": (with_node(CONV, replace(X, scale=0.1)), "tensor x: found scale 0.1; expected a positive float32"),
    "zero": (with_node(CONV, replace(X, zero_point=-1)), "tensor x: found zero point -1; expected a value of u8"),
    "fed twice": (replace(GRAPH, inputs=GRAPH.inputs * 2), "input in: found tensor x; expected a listed tensor, fed once"),
    "input elements": (
        replace(GRAPH, inputs=(EdgeInput("in", "f32", (1, 2), "x"),)),
        "input in: found shape (1, 2); expected 32 elements",
    ),
    "input type": (
        replace(GRAPH, inputs=(EdgeInput("in", "i8", (32,), "x"),)),
        "input in: found i8 feeding u8; expected the tensor's type, or f32 and a scale",
    ),
    "names": (replace(GRAPH, nodes=GRAPH.nodes * 2), "node c: found a second node of this name; expected unique names"),
    "order": (replace(GRAPH, inputs=()), "node c: found input x that nothing before it feeds; expected topological order"),
    "unfed": (replace(GRAPH, tensors={"x": X, "y": Y, "z": replace(X, name="z")}), "network g: found tensors ['z'] that nothing feeds; expected none"),
    "output": (
        replace(GRAPH, outputs=(EdgeOutput("out", "f32", (1, 2, 4, 4), "x"),)),
        "output out: found tensor x; expected the output of a node",
    ),
    "function": (
        replace(GRAPH, outputs=(EdgeOutput("out", "f32", (1, 3, 4, 4), "y", (0,) * 255),)),
        "output out: found a function of 255 values; expected 256 for an f32 output of an 8-bit tensor",
    ),
    "function type": (
        replace(GRAPH, outputs=(EdgeOutput("out", "i8", (1, 3, 4, 4), "y", (0,) * 256),)),
        "output out: found a function of 256 values; expected 256 for an f32 output of an 8-bit tensor",
    ),
    "no effect": (replace(GRAPH, outputs=()), "node c: found a result that nothing reads; expected only nodes with an effect"),
    "arity": (
        replace(GRAPH, nodes=(Node("c", CONV, ("x", "x"), ("y",)),)),
        "node c (Conv): found 2 inputs, 1 outputs; expected 1, 1",
    ),
    "channels": (with_node(replace(CONV, group=2)), "node c (Conv): found 2 channels; expected 2 x 2 groups"),
    "output channels": (with_node(CONV, y=replace(Y, shape=(1, 4, 4, 4))), "node c (Conv): found 4 output channels; expected 3"),
    "window": (with_node(replace(CONV, pads=(-1, 0, 0, 0))), "node c (Conv): found window (1, 1) (1, 1) (1, 1) (-1, 0, 0, 0); expected positive sizes"),
    "size": (with_node(CONV, y=replace(Y, shape=(1, 3, 4, 5))), "node c (Conv): found output size 5 on axis 3; expected one of [4]"),
    "batch": (with_node(CONV, y=replace(Y, shape=(2, 3, 4, 4))), "node c (Conv): found batch 2; expected 1"),
    "bias": (with_node(replace(CONV, bias=np.zeros(2, np.int32))), "node c (Conv): found bias int32 (2,); expected int32 (3,)"),
    "weights": (with_node(replace(CONV, weight=np.ones((3, 2, 1, 1)))), "node c (Conv): found weights float64; expected int8, uint8 or int16"),
    "weight scales": (with_node(replace(CONV, w_scale=np.ones(2, np.float32))), "node c (Conv): found weight scales (2,); expected (3,) or (1,)"),
    "wide weights": (with_node(replace(CONV, weight=np.full((3, 2, 1, 1), -256, np.int16))), "node c (Conv): found int16 weights up to 256, zero point 0; "
                     "expected up to 255, zero point 0"),
    "weight zero": (with_node(replace(CONV, w_zero=128)), "node c (Conv): found weight zero point 128; expected a value of int8"),
    "quantisation": (with_node(replace(CONV, y_scale=0.5)), "node c (Conv): found scale 0.5, zero -3; expected those of y: 0.25, -3"),
    "clamp": (with_node(replace(CONV, y_low=-129)), "node c (Conv): found clamp [-129, 127]; expected a range within [-128, 127]"),
    "sums": (with_node(replace(CONV, y_scale=None)), "node c (Conv): found result i8 without a scale; expected i32"),
    "table": (with_node(Unary(np.zeros(255, np.uint8)), y=SAME), "node c (Unary): found table uint8 (255,); expected uint8 (256,)"),
    "table shape": (with_node(IDENTITY), "node c (Unary): found output (1, 3, 4, 4); expected (1, 2, 4, 4)"),
    "elements": (with_node(Reshape(), y=replace(SAME, shape=(1, 2, 4, 5))), "node c (Reshape): found 40 elements; expected 32"),
    "reshape type": (with_node(Reshape(), y=replace(SAME, dtype="i8")), "node c (Reshape): found a change of type from u8 to i8; expected one type"),
    "pool type": (with_node(MaxPool((1, 1)), y=replace(SAME, dtype="i8")), "node c (MaxPool): found 2 channels i8; expected 2 u8"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BROKEN))
def test_each_rule(case):
    graph, message = BROKEN[case]
    with pytest.raises(IRError) as error:
        verify(graph)
    assert str(error.value) == f"{message}; report the model and the pass that ran last"


def test_a_right_graph_passes():
    assert verify(GRAPH) is GRAPH
    assert (GRAPH.producer("y").name, GRAPH.producer("x"), GRAPH.consumers("x"), GRAPH.is_output("y")) == ("c", None, GRAPH.nodes, True)
    assert GRAPH.macs(GRAPH.nodes[0]) == 1 * 3 * 16 * 2


def test_tensors_cannot_be_changed():
    with pytest.raises(TypeError):
        GRAPH.tensors["x"] = Y  # type: ignore[index]


@pytest.mark.parametrize("module", [compiler.ir.network, compiler.errors, compiler.front.state.builder])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_scale_rounds_at_each_step():
    rng = np.random.default_rng(0)
    w_scale = rng.uniform(0.001, 0.1, 3).astype(np.float32)
    conv = replace(CONV, w_scale=w_scale, x_scale=float(np.float32(0.3)), y_scale=float(np.float32(0.7)), alpha=float(np.float32(0.9)))
    expected = [np.float32(np.float32(np.float32(np.float32(0.9) * np.float32(0.3)) * s) / np.float32(0.7)) for s in w_scale]
    assert conv.scale.tolist() == expected


def test_averaging_scales():
    scale, divisor = averaging_scales(0.1, 0.3, 9)
    assert (scale, divisor) == (float(np.float32(0.1) / (np.float32(0.3) * np.float32(9))), 1.0)


def test_divisors():
    pool = AveragePool((3, 3), 0.1, 0, 0.1, 0, strides=(2, 2), pads=(1, 1, 0, 0))
    assert pool.divisors((4, 4), (2, 2)).tolist() == [[4, 6], [6, 9]]
    assert replace(pool, count_include_pad=True).divisors((4, 4), (2, 2)).tolist() == [[9, 9], [9, 9]]


def test_edges_quantise_and_dequantise():
    edge = EdgeInput("in", "f32", (2, 2), "t")
    tensor = Tensor("t", (2, 2, 1, 1), "i8", 0.5, 3)
    found = edge.to_device(np.array([[0.25, 0.75], [1000, -1000]], np.float32), tensor)
    assert (found.dtype, found.shape, found.ravel().tolist()) == (np.int8, (2, 2, 1, 1), [3, 5, 127, -128])
    back = EdgeOutput("out", "f32", (4,), "t").from_device(found, tensor)
    assert (back.dtype, back.tolist()) == (np.float32, [0.0, 1.0, 62.0, -65.5])


def test_edges_refuse_what_they_cannot_take():
    edge = EdgeInput("in", "f32", (2,), "t")
    tensor = Tensor("t", (1, 2, 1, 1), "i8", 0.5, 3)
    with pytest.raises(IRError) as shape:
        edge.to_device(np.zeros(3, np.float32), tensor)
    assert str(shape.value).startswith("input in: found float32 (3,); expected float32 (2,);")
    with pytest.raises(IRError) as nan:
        edge.to_device(np.array([0, np.nan], np.float32), tensor)
    assert str(nan.value).startswith("input in: found a NaN; expected numbers;")


def test_add_needs_equal_shapes():
    wide, narrow = Tensor("a", (1, 2, 4, 4), "u8", 0.5, 10), Tensor("b", (1, 2, 1, 1), "u8", 0.5, 10)
    inputs = (EdgeInput("a", "u8", wide.shape, "a"), EdgeInput("b", "u8", narrow.shape, "b"))
    add = Add(0.5, 10, 0.5, 10, 0.5, 10, 0, 255)
    graph = Network("g", inputs, (EdgeOutput("y", "u8", X.shape, "y"),), (Node("n", add, ("a", "b"), ("y",)),), {"a": wide, "b": narrow, "y": SAME})
    with pytest.raises(IRError) as error:
        verify(graph)
    assert str(error.value) == (
        "node n (Add): found shapes (1, 2, 4, 4) + (1, 2, 1, 1) = (1, 2, 4, 4); expected three equal shapes;"
        " report the model and the pass that ran last"
    )
