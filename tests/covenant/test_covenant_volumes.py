"""Convolutions of volumes, as a convolution of images and two movements: bytes against the definition and onnxruntime."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize

#: Input (N, C, D, H, W), filters, kernel, attributes.
CASES = {
    "same": ((1, 3, 4, 5, 6), 5, (3, 3, 3), {"pads": [1] * 6}),
    "whole depth": ((1, 3, 4, 5, 6), 18, (4, 3, 2), {}),
    "flat": ((2, 4, 3, 5, 5), 7, (1, 3, 3), {"pads": [0, 1, 1, 0, 1, 1]}),
    "strides": ((1, 2, 7, 6, 5), 4, (3, 2, 3), {"strides": [2, 1, 2], "pads": [1, 0, 1, 2, 1, 0]}),
    "dilations": ((1, 2, 6, 6, 6), 4, (2, 2, 2), {"dilations": [3, 2, 1]}),
    "groups": ((1, 6, 4, 4, 4), 4, (2, 2, 2), {"group": 2}),
    "depthwise": ((1, 5, 4, 4, 4), 5, (3, 3, 3), {"group": 5, "pads": [1] * 6}),
    "auto_pad": ((1, 2, 5, 5, 4), 3, (2, 3, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2, 1]}),
}

#: Shape of the result: left to onnx.
OPEN = [f"o{axis}" for axis in range(5)]


def volume_model(name, *, qlinear):
    shape, filters, kernel, attributes = CASES[name]
    rng = np.random.default_rng(len(name))
    inner = shape[1] // attributes.get("group", 1)
    weights = rng.integers(-127, 127, (filters, inner, *kernel), np.int8, endpoint=True)
    scale = np.float32(0.02 * 0.01 * 74 * 74 * np.sqrt(inner * np.prod(kernel)) / 40)
    constants = {"w": weights, **parameters(x=(0.02, 120), w=(np.linspace(0.005, 0.015, filters), np.zeros(filters, np.int8)), y=(scale, 130))}
    constants["b"] = rng.integers(-900, 900, filters, np.int32)
    if qlinear:
        nodes = [node("QLinearConv", "x sx zx w sw zw sy zy b", "y", **attributes)]
        return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, OPEN)}, constants)
    constants |= {"sb": (np.float32(0.02) * constants["sw"]).astype(np.float32), "zb": np.zeros(filters, np.int32)}
    nodes = [
        quantize("x", "xq", "x"), dequantize("xq", "xd", "x"), dequantize("w", "wd", "w", axis=0), dequantize("b", "bd", "b", axis=0),
        node("Conv", "xd wd bd", "c", kernel_shape=list(kernel), **attributes), node("Relu", "c", "r"), quantize("r", "yq", "y"),
        dequantize("yq", "y", "y"),
    ]
    return model_of(nodes, {"x": (F32, shape)}, {"y": (F32, OPEN)}, constants)


def judged(name, arch, *, qlinear, on="iss"):
    model, graph = volume_model(name, qlinear=qlinear), load_graph(arch)
    program = compile_network(read_network(model, name=name), graph)
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=1, count=2), on=on)
    assert report["exact"], report["outputs"]
    assert report["outputs"]["y"]["elements"] > 0
    assert report["outputs"]["y"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    return report


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("name", CASES)
def test_bytes_equal_the_definition_and_onnxruntime(name, arch):
    judged(name, arch, qlinear=True)


@pytest.mark.parametrize("name", ["same", "whole depth", "strides"])
def test_between_quantise_and_dequantise(name):
    judged(name, "wide", qlinear=False)


@pytest.mark.rtl
def test_on_rtl():
    assert judged("strides", "tiny", qlinear=True, on="rtl")["instructions"]["timeline_mismatches"] == 0


def test_four_dimensions_are_refused():
    shape = (1, 1, 3, 3, 3, 3)
    constants = {"w": np.ones((1, 1, 2, 2, 2, 2), np.int8), **parameters(x=(0.5, 0), w=(0.5, np.int8(0)), y=(0.5, 0))}
    model = model_of([node("QLinearConv", "x sx zx w sw zw sy zy", "y")], {"x": (U8, shape)}, {"y": (U8, [*OPEN, "o5"])}, constants)
    with pytest.raises(UnsupportedError) as caught:
        read_network(model, name="four")
    assert "n_y (QLinearConv): Convolution windows must have one, two or three spatial dimensions. Found an input of shape (1, 1, 3, 3, 3, 3)." in str(caught.value)
