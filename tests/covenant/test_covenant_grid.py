"""Operators that take dequantised tensors alone, of functions whose numbers are multiples of one of them: Relu without a quantisation behind it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program, run_on_iss
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
RNG = np.random.default_rng(11)
NORM = {"gamma": np.float32([1, 0.5, -0.7, 2, 3, 1]), "beta": np.float32([0.1, 0, -1, 2, 0.5, -0.2]), "mean": np.float32([0.3, -1, 0, 0.2, 1, 0]),
        "variance": np.float32([1, 0.1, 4, 2, 0.5, 1])}  # fmt: skip
WEIGHTS = {"Conv": (5, 6, 3, 3), "ConvTranspose": (6, 5, 2, 2), "Gemm": (6, 7), "MatMul": (6, 7)}
#: The operator on `f`, a function of `d`.
READERS = {
    "AveragePool": node("AveragePool", "f", "g", kernel_shape=[2, 2], strides=[2, 2]),
    "BatchNormalization": node("BatchNormalization", "f gamma beta mean variance", "g"),
    "Conv": node("Conv", "f wd", "g", pads=[1, 1, 1, 1]),
    "ConvTranspose": node("ConvTranspose", "f wd", "g", strides=[2, 2]),
    "Gemm": node("Gemm", "f wd", "g"),
    "LayerNormalization": node("LayerNormalization", "f gamma", "g", axis=-1),
    "MatMul": node("MatMul", "f wd", "g"),
    "Softmax": node("Softmax", "f", "g", axis=-1),
}
FUNCTIONS = {
    "relu": node("Relu", "d", "f"), "clip": node("Clip", "d low high", "f"), "abs": node("Abs", "d", "f"), "neg": node("Neg", "d", "f"),
    "half": node("Mul", "d half", "f"), "max": node("Max", "d none", "f"),
}  # fmt: skip


def grid_model(op, function, kind="u8"):
    code, number = {"i8": (I8, np.int8), "u8": (U8, np.uint8)}[kind]
    matrix = op in ("Gemm", "MatMul", "Softmax", "LayerNormalization")
    shape = (4, 6) if matrix else (2, 6, 4, 4)
    reader, made = READERS[op], FUNCTIONS[function]
    scale = np.float32(0.031)
    known = {"low": np.float32(-3) * scale, "high": np.float32(40) * scale, "half": np.float32(0.5), "none": np.float32(0), **NORM}
    constants = parameters(x=(float(scale), number(100 if kind == "u8" else -9)), y=(0.02 if op == "Softmax" else 0.05, number(90 if kind == "u8" else 3)))
    constants |= {name: np.asarray(known[name]) for n in (reader, made) for name in n.input if name in known}
    nodes = [dequantize("x", "d", "x"), made]
    if op in WEIGHTS:
        constants |= {"w": RNG.integers(-127, 128, WEIGHTS[op]).astype(np.int8), "sw": np.float32(0.004), "zw": np.int8(0)}
        nodes.append(node("DequantizeLinear", "w sw zw", "wd"))
    out = {"AveragePool": (2, 6, 2, 2), "Conv": (2, 5, 4, 4), "ConvTranspose": (2, 5, 8, 8), "Gemm": (4, 7), "MatMul": (4, 7)}.get(op, shape)
    return model_of([*nodes, reader, quantize("g", "y", "y")], {"x": (code, shape)}, {"y": (code, out)}, constants)


@pytest.mark.parametrize("function", list(FUNCTIONS))
@pytest.mark.parametrize("op", list(READERS))
def test_functions_on_the_grid(op, function):
    model = grid_model(op, function, ("i8", "u8")[len(op + function) % 2])
    inputs = random_inputs(model, 6)
    graph = read_network(model)
    expected = Reference(model).run(inputs)["y"]
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and (steps > 0).sum() <= max(2, steps.size // 50), f"{(steps > 0).sum()} of {steps.size}"
    assert len(np.unique(expected)) > 3


def test_a_function_off_the_grid_is_named():
    model = grid_model("Conv", "relu")
    model.graph.node[1].op_type = "Sigmoid"
    with pytest.raises(UnsupportedError) as error:
        read_network(model)
    assert str(error.value).splitlines()[1].strip() == (
        "n_g (Conv): An activation operand must come from DequantizeLinear of an 8-bit tensor. Found f, a float function of a dequantised tensor."
    )


@pytest.mark.parametrize("op", ["AveragePool", "BatchNormalization", "Softmax"])
def test_a_function_off_the_grid_of_those_that_take_any(op):
    """Averages and Softmax of its digits, operations on its numbers."""
    model = grid_model(op, "relu")
    model.graph.node[1].op_type = "Sigmoid"
    inputs = random_inputs(model, 6)
    graph = read_network(model)
    expected = Reference(model).run(inputs)["y"]
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    np.testing.assert_array_equal(run_on_iss(compile_network(graph, TINY), TINY, inputs)["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1 and len(np.unique(expected)) > 4


def test_two_readers_share_the_integers():
    model = grid_model("Conv", "relu")
    second = node("AveragePool", "f", "p", kernel_shape=[4, 4])
    model.graph.node.extend([second, quantize("p", "z", "y")])
    model.graph.output.append(helper.make_tensor_value_info("z", U8, (2, 6, 1, 1)))
    graph = read_network(model)
    assert sorted(n.op for n in graph.nodes) == ["AveragePool", "Conv", "Unary"]
