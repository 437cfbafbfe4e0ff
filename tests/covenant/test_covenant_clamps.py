"""Relu, ReLU6 and Clip written as Max and Min with numbers, behind operators that nothing has quantised yet: the program and the bytes of Clip."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
RNG = np.random.default_rng(2)
CONSTANTS = {
    "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), "v": RNG.integers(-127, 128, (3, 4, 3, 3)).astype(np.int8),
    "b": RNG.normal(0, 0.3, 4).astype(np.float32), "zero": np.float32(0), "zero1": np.float32([0]), "zero4": np.zeros((1, 1, 1, 1), np.float32),
    "zeros": np.zeros((4, 1, 1), np.float32), "high": np.float32(3), "high4": np.full((1, 1, 1, 1), 3, np.float32), "highs": np.full((4, 6, 6), 3, np.float32),
    "low": np.float32(-1), "q0": np.uint8(4), "q10": np.uint8([10]), "axes": np.array([2, 3]), "shape": np.array([1, 3, 8, 8]),
    **parameters(x=(0.0413, 127), y=(0.02, 60), w=(0.01, np.int8(0)), k=(0.5, np.uint8(4))),
}  # fmt: skip
#: c to p, and the bounds that it is clamped to, as names of constants.
FORMS = {
    "max": ([node("Max", "c zero", "p")], "zero", ""),
    "max, number first": ([node("Max", "zero1 c", "p")], "zero", ""),
    "max of four dimensions": ([node("Max", "c zero4", "p")], "zero", ""),
    "max of channels": ([node("Max", "zeros c", "p")], "zero", ""),
    "max of a dequantised number": ([node("DequantizeLinear", "q0 sk zk", "n"), node("Max", "c n", "p")], "zero", ""),
    "min": ([node("Min", "c high", "p")], "", "high"),
    "min of max": ([node("Max", "c zero", "m"), node("Min", "high m", "p")], "zero", "high"),
    "max of min": ([node("Min", "high4 c", "m"), node("Max", "m zero4", "p")], "zero", "high"),
    "min of relu": ([node("Relu", "c", "m"), node("Min", "m high", "p")], "zero", "high"),
    "relu of min": ([node("Min", "c high", "m"), node("Relu", "m", "p")], "zero", "high"),
    "dequantised numbers": ([node("Relu", "c", "m"), node("DequantizeLinear", "q10 sk zk", "n"), node("Min", "n m", "p")], "zero", "high"),
    "hardtanh": ([node("Max", "c low", "m"), node("Min", "m high", "p")], "low", "high"),
    "several numbers": ([node("Max", "c zero low", "m"), node("Min", "m high", "p")], "zero", "high"),
    "a relu between": ([node("Max", "c low", "m"), node("Relu", "m", "r"), node("Min", "r high", "p")], "zero", "high"),
}  # fmt: skip
#: x to c.
HEADS = {
    "Conv": [node("Conv", "d wd b", "c")],
    "Add": [node("Conv", "d wd b", "e"), quantize("e", "f", "y"), dequantize("f", "g", "y"), node("MaxPool", "g", "h", kernel_shape=[3, 3], pads=[1] * 4),
            quantize("h", "i", "y"), dequantize("i", "j", "y"), node("Add", "g j", "c")],
    "ConvTranspose": [node("ConvTranspose", "d vd b", "c", pads=[2] * 4)],
    "AveragePool": [node("Conv", "d wd b", "e"), quantize("e", "f", "y"), dequantize("f", "g", "y"), node("AveragePool", "g", "c", kernel_shape=[3, 3], pads=[1] * 4)],
    "InstanceNormalization": [node("Conv", "d wd b", "e"), quantize("e", "f", "y"), dequantize("f", "g", "y"), node("InstanceNormalization", "g b b", "c")],
    "Softmax": [node("Conv", "d wd b", "e"), quantize("e", "f", "y"), dequantize("f", "g", "y"), node("Softmax", "g", "c", axis=1)],
}  # fmt: skip


def network(head, nodes):
    named = [dequantize("x", "d", "x"), dequantize("w", "wd", "w"), dequantize("v", "vd", "w"), *HEADS[head], *nodes, quantize("p", "y", "y")]
    used = {name for n in named for name in n.input}
    return model_of(named, {"x": (U8, (1, 3, 8, 8))}, {"y": (U8, (1, 4, 6, 6))}, {name: array for name, array in CONSTANTS.items() if name in used})


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", FORMS)
def test_a_clip(form, head):
    nodes, low, high = FORMS[form]
    model, clip = network(head, nodes), network(head, [node("Clip", f"c {low or '-'} {high}", "p")])
    graphs = [read_network(m) for m in (model, clip)]
    programs = [compile_network(g, TINY) for g in graphs]
    assert [n.attrs for n in graphs[0].nodes if n.op == "Unary"] == [] and [n.op for n in graphs[0].nodes] == [n.op for n in graphs[1].nodes]
    assert [i.fields for i in programs[0].instructions] == [i.fields for i in programs[1].instructions]
    inputs = random_inputs(model, 5)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(expected, Reference(clip).run(inputs)["y"])
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1 and len(np.unique(expected)) > 3


@pytest.mark.parametrize("on", ["iss", pytest.param("rtl", marks=pytest.mark.rtl)])
@pytest.mark.parametrize("form", ["min of relu", "max of min"])
def test_on_the_machine(form, on):
    model = network("Conv", FORMS[form][0])
    report, _ = judge_network(CompiledNetwork("clamp", TINY, compile_network(read_network(model), TINY), model), [random_inputs(model, 7)], on=on)
    assert report["exact"] and report["outputs"]["y"]["onnxruntime"]["max_abs_diff_steps"] == 0


def test_a_number_with_more_dimensions():
    """The result has them too."""
    model = network("Conv", [node("Max", "c zero5", "q"), node("Reshape", "q out", "p")])
    model.graph.initializer.extend(model_of([], {}, {}, {"zero5": np.zeros((1, 1, 1, 1, 1), np.float32), "out": np.array([1, 4, 6, 6])}).graph.initializer)
    inputs, plain = random_inputs(model, 5), network("Conv", [node("Relu", "c", "p")])
    np.testing.assert_array_equal(Reference(model).run(inputs)["y"], Reference(plain).run(inputs)["y"])
    report, _ = judge_network(CompiledNetwork("clamp", TINY, compile_network(read_network(model), TINY), model), [inputs], on="iss")
    assert report["exact"]
