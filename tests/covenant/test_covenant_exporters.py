"""Graphs as exporters leave them: PyTorch's simulated and converted quantisation, inputs that nothing reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.run import execute_iss
from tests.compiler.ir_reference import check_program
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
RNG = np.random.default_rng(5)
WEIGHT = RNG.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8)
FACTORS = np.float32([0.5, -2, 0.02, 3, 0.7, 1e-3]).reshape(6, 1, 1)
ADDENDS = np.float32([1, -3, 0.25, 0, 1e-4, 2]).reshape(1, 6, 1, 1)
NORM = {"gamma": np.float32([1, 0.5, -0.7, 2, 0, 3]), "beta": np.float32([0.1, 0, -1, 2, 0.5, -0.2]), "mean": np.float32([0.3, -1, 0, 0.2, 1, 0]),
        "variance": np.float32([1, 0.01, 4, 2, 0.5, 1e-6])}  # fmt: skip
#: What stands between a convolution `c` and Relu.
CASES = {
    "div": [node("Div", "c factors", "g")],
    "mul": [node("Mul", "factors c", "g")],
    "norm of div": [node("Div", "c factors", "a"), node("BatchNormalization", "a gamma beta mean variance", "g")],
    "mul and add": [node("Mul", "c factors", "a"), node("Add", "a addends", "g")],
    "norm and add": [node("BatchNormalization", "c gamma beta mean variance", "a"), node("Add", "addends a", "g")],
    "all": [node("Div", "c factors", "a"), node("BatchNormalization", "a gamma beta mean variance", "b"), node("Mul", "b factors", "e"), node("Add", "e addends", "g")],
}


def convolution(case, *, bias=True):
    """x -> Conv -> the case -> Relu, all between quantisations; weights quantised in the graph, as simulated quantisation is exported."""
    known = {"factors": FACTORS, "addends": ADDENDS, **NORM}
    middle = CASES[case]
    constants = parameters(x=(0.03, np.uint8(120)), y=(0.4, np.uint8(7))) | {name: known[name] for n in middle for name in n.input if name in known}
    constants |= {"w": WEIGHT.astype(np.float32) * np.float32(0.02), "sw": np.full(6, 0.02, np.float32), "zw": np.zeros(6, np.int8)}
    constants |= {"bias": np.float32([0.5, -1, 2, 0, 0.1, -0.3])} if bias else {}
    nodes = [
        dequantize("x", "d", "x"), node("QuantizeLinear", "w sw zw", "wq", axis=0), node("DequantizeLinear", "wq sw zw", "wd", axis=0),
        node("Conv", "d wd bias" if bias else "d wd", "c", pads=[1, 1, 1, 1]), *middle, node("Relu", "g", "r"), quantize("r", "y", "y"),
    ]  # fmt: skip
    return model_of(nodes, {"x": (U8, (2, 3, 5, 4))}, {"y": (U8, (2, 6, 5, 4))}, constants)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", list(CASES))
def test_factors_of_channels(case, bias):
    """Factors and addends a channel join the convolution; onnxruntime's float arithmetic rounds elsewhere, by a step."""
    model = convolution(case, bias=bias)
    inputs = random_inputs(model, 4)
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["Conv"]
    expected = Reference(model).run(inputs)["y"]
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    np.testing.assert_array_equal(execute_iss(TINY, compile_network(graph, TINY), [inputs]).outputs[0]["y"], expected)
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= 4, f"{(steps > 0).sum()} of {steps.size}"


def test_a_factor_of_every_row_is_no_channels():
    """As many numbers as rows, along another axis than the channels': float operations."""
    model = convolution("mul")
    factors = next(i for i in model.graph.initializer if i.name == "factors")
    factors.CopyFrom(onnx.numpy_helper.from_array(np.arange(1, 6, dtype=np.float32)[:, None], "factors"))
    inputs = random_inputs(model, 4)
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["Move", "Expression"]
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(execute_iss(TINY, compile_network(graph, TINY), [inputs]).outputs[0]["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1 and len(np.unique(expected)) > 8


@pytest.mark.parametrize(("code", "number"), [(U8, np.uint8), (I8, np.int8)])
def test_casts_to_the_same_type(code, number):
    """Converted PyTorch networks cast every quantised tensor to the type that it has."""
    constants = parameters(x=(0.03, number(5)), y=(0.05, number(7)))
    nodes = [node("Cast", "x", "k", to=code), dequantize("k", "d", "x"), node("Sigmoid", "d", "g"), quantize("g", "q", "y"), node("Cast", "q", "y", to=code)]
    model = model_of(nodes, {"x": (code, (1, 256))}, {"y": (code, (1, 256))}, constants)
    inputs = {"x": np.arange(256, dtype=np.uint8).view(number)[None]}
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["Unary"]
    np.testing.assert_array_equal(Reference(model).run(inputs)["y"], Golden(model).run(inputs)["y"])
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0


def test_inputs_that_nothing_reads():
    """A model may declare them; they are given with the others and left where they are."""
    model = convolution("mul")
    model.graph.input.append(onnx.helper.make_tensor_value_info("spare", onnx.TensorProto.FLOAT, [1, 3]))
    program = compile_network(read_network(model), TINY)
    assert [item.name for item in program.inputs] == ["x"]
    samples = [random_inputs(model, seed) for seed in range(2)]
    assert set(samples[0]) == {"x", "spare"}
    report, _ = judge_network(CompiledNetwork("spare", TINY, program, model), samples, on="iss")
    assert report["exact"]
