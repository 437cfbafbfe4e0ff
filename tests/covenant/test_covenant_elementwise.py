"""Combinations of tensors, reductions, normalisations and decomposed activations, from ONNX to the machine: bytes equal the definition."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.ir.network import Unary
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.mobile import SHAPE, quantised_network
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.elementwise import ELEMENTWISE
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference

ARCHITECTURES = ("tiny", "edge16", "wide")
GRAPHS = {name: load_graph(name) for name in ARCHITECTURES}


def check(model, inputs, architectures=ARCHITECTURES):
    """Definition, IR and program on the ISS give the same bytes; returns the IR."""
    graph = read_network(model)
    expected, found = Reference(model).run(inputs), evaluate(graph, inputs)
    assert set(expected) == set(found)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    for name in architectures:
        assert check_program(graph, compile_network(graph, GRAPHS[name]), GRAPHS[name], inputs) > 0
    return graph


@pytest.mark.parametrize("op", list(ELEMENTWISE))
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(op, seed):
    model = random_network(seed, ops=(op, "pointwise"), form="qdq", max_nodes=3, size="tiny" if seed % 3 else "small")
    check(model, random_inputs(model, seed), ARCHITECTURES[seed % 3 : seed % 3 + 1])


SHAPES = {
    "equal": ((2, 5, 3, 4), (2, 5, 3, 4)), "channels": ((2, 20, 3, 4), (2, 20, 1, 1)), "channels of one image": ((2, 20, 3, 4), (20, 1, 1)),
    "one image": ((3, 5, 3, 4), (1, 5, 3, 4)), "rows": ((1, 5, 3, 4), (1, 5, 3, 1)), "columns": ((1, 5, 3, 4), (4,)), "one channel": ((1, 5, 3, 4), (1, 1, 3, 4)),
    "both": ((2, 5, 1, 4), (1, 5, 3, 1)), "a number": ((2, 5, 3, 4), (1, 1, 1, 1)), "tokens": ((2, 9, 24), (24,)), "vectors": ((3, 24), (24,)),
    "rank five": ((2, 3, 2, 2, 4), (3, 1, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("shapes", list(SHAPES))
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Min", "Max"])
def test_broadcasting(op, shapes):
    """Two tensors in either order, and in place of the second a quantised constant."""
    a, b = SHAPES[shapes]
    out = np.broadcast_shapes(a, b)
    rng = np.random.default_rng(1)
    constants = {**parameters(x=(0.0313, 130), v=(0.0217, 110), y=(0.0471, 120)), "k": rng.integers(0, 256, b).astype(np.uint8)}
    for number, order in enumerate(("d e", "e d", "d f")):
        nodes = [dequantize("x", "d", "x"), dequantize("v", "e", "v"), dequantize("k", "f", "v"), node(op, order, "m"), quantize("m", "y", "y")]
        inputs = {"x": (U8, a)} | ({} if "f" in order else {"v": (U8, b)})
        nodes = [n for n in nodes if n.output[0] not in ({"e"} if "f" in order else {"f"})]
        model = model_of(nodes, inputs, {"y": (U8, out)}, constants)
        arrays = random_inputs(model, number)
        check(model, arrays, ARCHITECTURES[number : number + 1])
        assert np.abs(Reference(model).run(arrays)["y"].astype(int) - Golden(model).run(arrays)["y"]).max() <= 1


def test_a_table_through_quantisations():
    """x * clip(x + 3, 0, 6) / 6 with its Q and DQ in between is one table, whatever stands in between."""
    constants = {**parameters(x=(0.0313, 130), v=(0.0236, 0), w=(0.071, 40), y=(0.0153, 20)), "three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}
    nodes = [dequantize("x", "d", "x"), node("Add", "d three", "a"), node("Clip", "a zero six", "c"), quantize("c", "q", "v"), dequantize("q", "e", "v"),
             node("Mul", "d e", "m"), quantize("m", "r", "w"), dequantize("r", "f", "w"), node("Div", "f six", "t"), quantize("t", "y", "y")]  # fmt: skip
    model = model_of(nodes, {"x": (U8, (1, 4, 8, 8))}, {"y": (U8, (1, 4, 8, 8))}, constants)
    graph = check(model, {"x": np.arange(256, dtype=np.uint8).reshape(1, 4, 8, 8)})
    assert [n.op for n in graph.nodes] == ["Unary"]
    assert graph.nodes[0].origin == ("n_a", "n_c", "n_q", "n_m", "n_r", "n_t", "n_y")


def test_a_quotient_of_functions_of_one_tensor():
    """x / (1 + exp(-x)) is a function of x, with the quantisations of both sides."""
    constants = {**parameters(x=(0.031, 120), v=(0.04, 128), w=(0.13, 0), y=(0.05, 20)), "one": np.float32(1)}
    nodes = [dequantize("x", "d", "x"), node("Neg", "d", "n"), quantize("n", "q", "v"), dequantize("q", "e", "v"), node("Exp", "e", "z"), node("Add", "z one", "s"),
             quantize("s", "r", "w"), dequantize("r", "f", "w"), node("Div", "d f", "t"), quantize("t", "y", "y")]  # fmt: skip
    model = model_of(nodes, {"x": (U8, (1, 256))}, {"y": (U8, (1, 256))}, constants)
    inputs = {"x": np.arange(256, dtype=np.uint8)[None]}
    assert [n.op for n in check(model, inputs).nodes] == ["Unary"]
    np.testing.assert_array_equal(Reference(model).run(inputs)["y"], Golden(model).run(inputs)["y"])


def test_values_that_cannot_occur_may_have_no_number():
    """The root of a square: negative bytes of an int8 tensor with zero point 0 never occur, and need no root."""
    constants = parameters(x=(0.031, np.int8(5)), v=(0.13, np.int8(0)), y=(0.03, np.int8(-100)))
    nodes = [dequantize("x", "d", "x"), node("Mul", "d d", "m"), quantize("m", "q", "v"), dequantize("q", "e", "v"), node("ReduceMean", "e", "r", axes=[1]),
             quantize("r", "s", "v"), dequantize("s", "f", "v"), node("Sqrt", "f", "t"), quantize("t", "y", "y")]  # fmt: skip
    model = model_of(nodes, {"x": (3, (2, 16, 3))}, {"y": (3, (2, 1, 3))}, constants)
    graph = check(model, random_inputs(model, 0))
    assert [n.op for n in graph.nodes] == ["Unary", "Reduction", "Unary"]


@pytest.mark.parametrize(("signed", "decomposed", "operators", "mean"), [
    (True, False, False, "GlobalAveragePool"), (False, True, False, "ReduceMean"), (True, True, True, "GlobalAveragePool"),
    (False, False, True, "ReduceMean"),
])  # fmt: skip
def test_a_mobile_network(signed, decomposed, operators, mean, tmp_path):
    """Squeeze and excitation, hard swish, residuals: quantised by onnxruntime, exact on three architectures.

    Behind HardSwish and Div, which it leaves in float, stand averages that have a float operand, some before QLinear operators.
    """
    model = quantised_network(tmp_path, signed=signed, decomposed=decomposed, operators=operators, mean=mean)
    inputs = {"x": np.random.default_rng(100).normal(0, 1, SHAPE).astype(np.float32)}
    graph = check(model, inputs)
    kinds = [n.op for n in graph.nodes]
    assert kinds.count("Binary") == 2  # each gate times its tensor; every activation is a table
    assert sum(isinstance(n.attrs, Unary) for n in graph.nodes) <= 6 + 2 + 2 * kinds.count("Move")
    samples = {"x": np.random.default_rng(7).normal(0, 1, (20, *SHAPE[1:])).astype(np.float32)}
    (ours,), (theirs,) = (w.run(samples).values() for w in (Reference(model), Golden(model)))
    assert (ours.argmax(1) == theirs.argmax(1)).all()


MEANS = {
    "mean of the image": ("ReduceMean", {"axes": [2, 3]}, (1, 20, 1, 1)), "mean without axes kept": ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, (1, 20)),
    "mean of rows": ("ReduceMean", {"axes": [-1]}, (1, 20, 5, 1)), "mean of columns": ("ReduceMean", {"axes": [2]}, (1, 20, 1, 6)),
    "pool": ("GlobalAveragePool", {}, (1, 20, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MEANS))
@pytest.mark.parametrize("function", ["HardSwish", "Exp", "Tanh", "Abs"])
def test_averages_of_float_functions(case, function):
    """16 bits of the function's range are averaged: at most one step from onnxruntime, which averages float32 numbers."""
    op, attributes, shape = MEANS[case]
    rng = np.random.default_rng(len(function))
    constants = parameters(x=(rng.uniform(0.02, 0.03), 120), y=(rng.uniform(0.01, 0.03) * (4 if function == "Exp" else 1), 90))
    nodes = [dequantize("x", "d", "x"), node(function, "d", "f"), node(op, "f", "m", **attributes), quantize("m", "y", "y")]
    model = model_of(nodes, {"x": (U8, (1, 20, 5, 6))}, {"y": (U8, shape)}, constants)
    found = []
    for seed in range(3):
        inputs = random_inputs(model, seed)
        check(model, inputs, ARCHITECTURES[seed : seed + 1])
        found.append(np.abs(Reference(model).run(inputs)["y"].astype(int) - Golden(model).run(inputs)["y"]))
    every = np.concatenate([f.ravel() for f in found])
    print(f"{case} of {function}: {int((every != 0).sum())} of {every.size} elements differ")
    assert every.max() <= 1 and (every != 0).sum() <= max(1, every.size // 50)


@pytest.mark.parametrize("case", ["of a function", "of a sum", "of a convolution", "over channels and columns", "of integers", "clamped"])
def test_the_largest(case):
    """Of a float result it is found among the integers it is quantised to, as quantisation keeps order."""
    rng = np.random.default_rng(3)
    constants = {**parameters(x=(0.031, 120), w=(0.007, np.int8(0)), y=(0.05, 90)), "w": rng.integers(-128, 128, (6, 5, 1, 1)).astype(np.int8)}
    before = {"of a function": [node("HardSwish", "d", "f")], "of a convolution": [dequantize("w", "e", "w"), node("Conv", "d e", "f")],
              "clamped": [node("Tanh", "d", "f")]}.get(case, [node("Sub", "d d2", "f")])  # fmt: skip
    op = node("ReduceMax", "f", "m", axes=[1, 3]) if case == "over channels and columns" else node("GlobalMaxPool", "f", "m")
    after = [node("Relu", "m", "r")] if case == "clamped" else []
    nodes = [dequantize("x", "d", "x"), *before, op, *after, quantize(after[0].output[0] if after else "m", "y", "y")]
    inputs, shape = {"x": (U8, (2, 5, 4, 3))}, (2, 6 if case == "of a convolution" else 5, 1, 1)
    if before[0].op_type == "Sub":
        nodes.insert(0, dequantize("v", "d2", "x"))
        inputs["v"] = (U8, (2, 5, 4, 3))
    if case == "over channels and columns":
        shape = (2, 1, 4, 1)
    if case == "of integers":
        nodes, inputs = [node("ReduceMax", "x", "y", axes=[1, 3])], {"x": (U8, (2, 5, 4, 3))}
        shape = (2, 1, 4, 1)
    model = model_of(nodes, inputs, {"y": (U8, shape)}, constants)
    arrays = random_inputs(model, 1)
    check(model, arrays)
    np.testing.assert_array_equal(Reference(model).run(arrays)["y"], Golden(model).run(arrays)["y"])


def test_the_average_of_a_constant_function():
    constants = {**parameters(x=(0.03, 120), y=(0.02, 90)), "zero": np.float32(0), "half": np.float32(0.5)}
    for value, expected in (("zero", 90), ("half", 115)):
        nodes = [dequantize("x", "d", "x"), node("Mul", "d zero", "f"), node("Add", f"f {value}", "g"), node("GlobalAveragePool", "g", "m"), quantize("m", "y", "y")]
        model = model_of(nodes, {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 1, 1))}, constants)
        inputs = random_inputs(model, 0)
        check(model, inputs)
        assert np.all(Reference(model).run(inputs)["y"] == expected)


@pytest.mark.rtl
def test_on_rtl():
    """One network with many of them."""
    for seed in range(100):
        model = random_network(seed, ops=("combine", "excite", "constant", "prelu", "batchnorm", "activation"), form="qdq", max_nodes=7, size="tiny")
        kinds = {n.op_type for n in model.graph.node}
        if {"PRelu", "BatchNormalization", "GlobalAveragePool", "Mul"} <= kinds and len(kinds) > 9:
            break
    program = compile_network(read_network(model, name=f"seed {seed}"), GRAPHS["tiny"])
    report, _ = judge_network(CompiledNetwork(f"seed {seed}", GRAPHS["tiny"], program, model), draw(model_inputs(model), seed=seed, count=1), on="rtl")
    assert report["exact"], report.get("divergence")
    assert {"Binary", "Conv"} <= {layer.op for layer in program.layers}
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
