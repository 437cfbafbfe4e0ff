"""Softmax spelled out in elementary operators: bytes equal the definition, onnxruntime's are at most a step away."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates import softmax
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.quantise import quantise
from covenant.quantise.prepare import prepared
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference
from verif.reference.recognise.around import recognised
from verif.reference.recognise.softmax import softmax as softmax_of

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}
SHAPE = (2, 5, 24)
CONSTANTS = {"low": np.float32(-np.inf), "last": np.array([2]), "kept": np.array([2, 5, 1]), "whole": np.array(SHAPE), "middle": np.array([1])}
FORMS = {
    "plain": [node("ReduceMax", "d", "m", axes=[-1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e last", "t"), node("Div", "e t", "p")],
    "jax": [node("ReduceMax", "d", "m", axes=[2], keepdims=0), node("Max", "low m", "n"), node("Reshape", "n kept", "o"), node("Expand", "o whole", "b"),
            node("Sub", "d b", "s"), node("Exp", "s", "e"), node("ReduceSum", "e last", "t", keepdims=0), node("Reshape", "t kept", "u"),
            node("Expand", "u whole", "v"), node("Div", "e v", "p")],
    "without the largest": [node("Exp", "d", "e"), node("ReduceSum", "e last", "t", keepdims=0), node("Unsqueeze", "t last", "u"), node("Reciprocal", "u", "r"),
                            node("Mul", "r e", "p")],
    "another axis": [node("ReduceMax", "d", "m", axes=[1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e middle", "t"),
                     node("Div", "e t", "p")],
}  # fmt: skip
#: What is no Softmax: the sum is of something else, along another axis, or the largest is.
OTHERS = {
    "other sum": [node("Exp", "d", "e"), node("Mul", "e e", "q"), node("ReduceSum", "q last", "t"), node("Div", "e t", "p")],
    "two sums": [node("Exp", "d", "e"), node("ReduceSum", "e last", "t"), node("ReduceSum", "t middle", "u"), node("Div", "e u", "p")],
    "square": [node("Exp", "d", "e"), node("ReduceSum", "e last", "t", keepdims=0), node("Reshape", "t row", "u"), node("Div", "e u", "p")],
}  # fmt: skip


def model(nodes, shape=SHAPE, **constants):
    named = [dequantize("x", "d", "x"), *nodes, quantize("p", "y", "y")]
    return model_of(named, {"x": (U8, shape)}, {"y": (U8, shape)}, {**parameters(x=(0.0413, 127), y=(1 / 255, 0)), **CONSTANTS, **constants})


@pytest.mark.parametrize("form", FORMS)
def test_softmax(form):
    network = model(FORMS[form])
    inputs, graph = random_inputs(network, 5), read_network(network)
    expected = Reference(network).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert "Softmax" in {type(n.attrs).__name__ for n in graph.nodes}
    machine = GRAPHS[list(GRAPHS)[len(form) % 2]]
    assert check_program(graph, compile_network(graph, machine), machine, inputs) > 0
    assert np.abs(expected.astype(int) - Golden(network).run(inputs)["y"]).max() <= 1
    assert len(np.unique(expected)) > 20


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_none_stays(form):
    """The square: a row of sums over as many rows, which a Reshape lays along the other axis."""
    shape = (5, 5) if form == "square" else SHAPE
    network = model(OTHERS[form], shape, last=np.array([len(shape) - 1]), row=np.array([1, 5]))
    inferred = onnx.shape_inference.infer_shapes(network, data_prop=True)
    assert restored(inferred, [softmax.WHOLE]) is inferred and recognised(network, [softmax_of]) is network


def test_a_largest_number_along_another_axis_is_no_part_of_it():
    """It is a Softmax, of the differences."""
    nodes = [node("ReduceMax", "d", "m", axes=[1]), node("Sub", "d m", "s"), node("Exp", "s", "e"), node("ReduceSum", "e last", "t"), node("Div", "e t", "p")]
    inferred = onnx.shape_inference.infer_shapes(model(nodes), data_prop=True)
    for changed in (restored(inferred, [softmax.WHOLE]), recognised(inferred, [softmax_of])):
        assert [list(n.input) for n in changed.graph.node if n.op_type == "Softmax"] == [["s"]]


def test_the_quantiser_sees_a_softmax():
    """Of its parts onnxruntime's quantiser knows none, and what it leaves in floats would not compile at the end of a network."""
    nodes = [node("Identity", "x", "d"), *FORMS["jax"][:-1], node("Div", "e v", "y")]
    made = prepared(model_of(nodes, {"x": (F32, SHAPE)}, {"y": (F32, SHAPE)}, CONSTANTS), name="softmax")
    samples = [{"x": np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)} for seed in range(3)]
    quantised = quantise(made, samples, name="softmax").model
    assert [n.op_type for n in quantised.graph.node if "Linear" not in n.op_type] == ["Softmax"]
    assert [type(n.attrs).__name__ for n in read_network(quantised).nodes if type(n.attrs).__name__ != "Reshape"] == ["Softmax"]
