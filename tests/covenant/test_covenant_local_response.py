"""LRN on the machine: bytes against the definition, at most a step from onnxruntime."""

import numpy as np
import onnxruntime
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.ir.network import NUMPY_TYPES
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.support.architectures import text_of
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards
from verif.reference import Reference

#: Of elements that may be one step from onnxruntime's float kernel.
ONE_STEP_RATE = 0.002


def lrn_model(shape, *, size=5, kind="u8", scale=0.03, zero=3, y_scale=0.02, **attributes):
    number = NUMPY_TYPES[kind]
    nodes = [dequantize("x", "f"), node("LRN", "f", "g", size=size, **attributes), quantize("g", "y", "q")]
    constants = parameters(**{"": (scale, number(zero)), "q": (y_scale, number(zero))})
    kinds = {"i8": I8, "u8": U8}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, constants)


#: Shape, attributes of the model.
CASES = {
    "one channel": ((1, 1, 2, 2), {"alpha": 0.5}),
    "a block and some": ((2, 18, 3, 4), {"alpha": 0.1, "bias": 2.0}),
    "alexnet": ((1, 96, 5, 5), {"alpha": 1e-3, "beta": 0.75, "bias": 1.0, "y_scale": 0.03}),
    "root": ((1, 33, 5, 4), {"alpha": 2.0, "beta": 0.5, "size": 3, "kind": "i8"}),
    "quotient": ((1, 40, 3, 3), {"alpha": 0.2, "beta": 1.0, "size": 7, "bias": 0.5}),
    "all channels": ((1, 50, 2, 3), {"alpha": 3.0, "size": 151, "kind": "i8", "zero": -9}),
}


def judged(name, arch, on="iss"):
    shape, settings = CASES[name]
    model, graph = lrn_model(shape, **settings), load_graph(arch)
    program = compile_network(read_network(model, name=name), graph)
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    dtype = NUMPY_TYPES[settings.get("kind", "u8")]
    rng = np.random.default_rng(len(name))
    samples = [{"x": rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)} for _ in range(2)]
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), samples, on=on)
    assert report["exact"], report["outputs"]
    gold = report["outputs"]["y"]["onnxruntime"]
    assert gold["max_abs_diff_steps"] <= 1 and gold["mismatches"] <= max(1, ONE_STEP_RATE * 2 * np.prod(shape)), gold


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
@pytest.mark.parametrize("name", CASES)
def test_windows_and_powers(name, arch):
    judged(name, arch)


@pytest.mark.rtl
@pytest.mark.parametrize("name", ["a block and some", "root"])
def test_on_rtl(name):
    judged(name, "tiny", on="rtl")


def test_an_even_size_reaches_further_up():
    """onnxruntime has odd sizes only; the definition of ONNX is onnx.reference's."""
    model = lrn_model((1, 9, 2, 2), size=4, alpha=0.5)
    x = np.random.default_rng(4).integers(0, 256, (1, 9, 2, 2)).astype(np.uint8)
    real = (x.astype(np.float64) - 3) * np.float32(0.03)
    sums = np.stack([(real[:, max(0, c - 1) : c + 3] ** 2).sum(1) for c in range(9)], 1)
    expected = np.clip(np.rint(real / (1 + np.float32(0.5) / 4 * sums) ** 0.75 / np.float32(0.02)) + 3, 0, 255)
    np.testing.assert_array_equal(Reference(model).run({"x": x})["y"], expected)


def test_every_byte():
    """One channel with all bytes: the definition and onnxruntime agree on each."""
    model = lrn_model((1, 1, 16, 16), alpha=0.01)
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    (gold,) = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.testing.assert_array_equal(Reference(model).run({"x": x})["y"], gold)


REFUSED = {
    "The exponent beta of an LRN must be 0.5, 0.75 or 1. Found 0.6.": {"beta": 0.6},
    "The bias of an LRN must be between 2^-64 and 2^64, its alpha times the square of its input's scale between 0 and 2^64. "
    "Found a bias of 0 and an alpha of 0.0001 for an input of scale 0.03.": {"bias": 0.0},
    "The bias of an LRN must be between 2^-64 and 2^64, its alpha times the square of its input's scale between 0 and 2^64. "
    "Found a bias of 1 and an alpha of -2 for an input of scale 0.03.": {"alpha": -2.0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    with pytest.raises(UnsupportedError) as error:
        read_network(lrn_model((1, 8, 2, 2), **REFUSED[message]))
    assert [entry.reason for entry in error.value.entries] == [message]


def test_a_machine_without_roots_is_told():
    text = text_of("tiny").replace("      - (f32,4)=RSQRT_ESTIMATE((f32,4))\n", "")
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(lrn_model((1, 8, 2, 2))), parse_graph(text, name="tiny.yaml"))
    assert str(error.value).splitlines()[-1].strip() == (
        "n_g (LRN): no engines of tiny offer ADD + MAC + MATMUL + MUL + RSQRT_ESTIMATE + TABLE + REQUANTIZE on memories they share: "
        "no engine offers RSQRT_ESTIMATE"
    )
    compile_network(read_network(lrn_model((1, 8, 2, 2), beta=1.0)), parse_graph(text, name="tiny.yaml"))
