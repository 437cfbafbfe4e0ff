"""LogSoftmax on the machine: bytes equal the definition, onnxruntime is at most a step away."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.ir.log_softmax import LogSoftmax, inverses, logarithms, powers
from compiler.ir.network import NUMPY_TYPES
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import evaluate, run_on_iss
from tests.support.architectures import text_of
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards
from verif.reference import Reference
from verif.reference.rows.log_softmax import logarithm

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16", "wide")}
#: Of elements that may be one step from onnxruntime's float kernel.
ONE_STEP_RATE = 0.002


def log_model(shape, *, axis=-1, kind="i8", scale=0.05, y_scale=None, opset=17):
    """The result's scale by default that of all numbers it can have."""
    number, channels = NUMPY_TYPES[kind], shape[axis]
    y_scale = y_scale or (255 * scale + np.log(channels)) / 255
    constants = parameters(**{"": (scale, number(5)), "q": (y_scale, number(np.iinfo(number).max))})
    nodes = [dequantize("x", "f"), node("LogSoftmax", "f", "g", axis=axis), quantize("g", "y", "q")]
    kinds = {"i8": I8, "u8": U8}
    return model_of(nodes, {"x": (kinds[kind], shape)}, {"y": (kinds[kind], shape)}, constants, opset=opset)


def drawn(model, seed):
    """Rows of different spread, one all equal."""
    rng = np.random.default_rng(seed)
    shape, dtype = next(iter(Reference(model).inputs.values()))
    info = np.iinfo(dtype)
    rows = rng.normal(rng.integers(info.min, info.max, (*shape[:-1], 1)), rng.uniform(0.3, 90, (*shape[:-1], 1)), shape)
    rows.reshape(-1, shape[-1])[0] = info.max
    return {"x": np.clip(np.rint(rows), info.min, info.max).astype(dtype)}


def onnxruntime_steps(model, inputs):
    """Outputs of float kernels."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def check(model, arch, seed=0, inputs=None):
    graph = GRAPHS[arch]
    network = read_network(model)
    program, inputs = compile_network(network, graph), inputs or drawn(model, seed)
    found, expected = run_on_iss(program, graph, inputs)["y"], Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")
    np.testing.assert_array_equal(evaluate(network, inputs)["y"], expected, err_msg=f"seed {seed}")
    difference = np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int))
    assert difference.max() <= 1 and (difference > 0).sum() <= max(1, ONE_STEP_RATE * difference.size), f"seed {seed}: {(difference > 0).sum()}"
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    return found


@pytest.mark.parametrize("arch", GRAPHS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 10), (9, 16), (5, 17), (20, 64), (2, 255), (2, 256), (2, 1000)], ids=str)
def test_rows(shape, arch):
    """Two stages from 256 channels on; two digits an exponential and three."""
    for kind, scale in (("i8", 0.11), ("u8", 0.013)):
        check(log_model(shape, kind=kind, scale=scale), arch, seed=shape[1])
    check(log_model(shape, y_scale=0.002), arch, seed=shape[1])


@pytest.mark.parametrize(("axis", "shape"), [(1, (1, 12, 3, 5)), (1, (2, 6, 7)), (-2, (2, 3, 5, 4)), (0, (6, 8)), (2, (2, 3, 20))], ids=str)
def test_any_axis(axis, shape):
    check(log_model(shape, axis=axis), "tiny", seed=3)


def test_long_rows():
    check(log_model((1, 32768), scale=0.02), "edge16")
    check(log_model((1, 20000), scale=1e-4, y_scale=0.05), "wide", inputs={"x": np.full((1, 20000), 3, np.int8)})


def test_extremes():
    """All equal, one far above the rest, the widest range."""
    x = np.full((3, 40), -128, np.int8)
    x[1, 17], x[2] = 127, np.linspace(-128, 127, 40).astype(np.int8)
    for scale in (1e-6, 0.02, 3.0):
        check(log_model((3, 40), scale=scale), "tiny", inputs={"x": x})


def test_before_opset_13_all_axes_from_one_on():
    """As onnx's converter leaves it, the opset being older than those that are read."""
    model = log_model((2, 3, 4), axis=1, opset=12)
    inputs = drawn(model, 4)
    program = compile_network(read_network(model), GRAPHS["tiny"])
    np.testing.assert_array_equal(run_on_iss(program, GRAPHS["tiny"], inputs)["y"], Reference(model).run(inputs)["y"])


def test_the_logarithm():
    """Within 2e-5 of the logarithm over all that a sum can be, the constants being what the module says."""
    for most in (255, 32768):
        numbers = np.unique(np.concatenate([np.geomspace(1, most, 200_000), np.arange(1, most + 1) + 0.5, np.arange(1, most + 1)])).clip(1, most)
        found = logarithm(numbers.astype(np.float32), most)
        assert np.abs(found - np.log(numbers.astype(np.float32).astype(np.float64))).max() < 2e-5
    assert powers(128).max() == 15 and powers(1).max() == 7 and powers(128)[0] == 0
    high, low = (digit.astype(int) for digit in logarithms())
    np.testing.assert_array_equal((255 * high + low)[79:], np.rint(-np.log(inverses() / 256) * 32768)[79:])


def test_planes_follow_the_bound():
    fine, coarse = LogSoftmax(0.05, 0, 0.1, 127), LogSoftmax(0.05, 0, 0.001, 127)
    assert [fine.planes(n) for n in (2, 815, 817)] == [2, 2, 3] and coarse.planes(10) == 3


def test_a_function_of_multiples_in_front():
    """A temperature: multiples of the operand's numbers are integers of another scale."""
    model = log_model((4, 24))
    model.graph.node[1].input[0] = "t"
    model.graph.node.insert(1, node("Mul", "f two", "t"))
    model.graph.initializer.extend(model_of([], {}, {}, {"two": np.float32(0.5)}).graph.initializer)
    check(model, "tiny")


@pytest.mark.rtl
def test_on_rtl():
    for shape in ((3, 10), (1, 300)):
        model, graph = log_model(shape), GRAPHS["tiny"]
        program = compile_network(read_network(model), graph)
        report, _ = judge_network(CompiledNetwork("log", graph, program, model), [drawn(model, 1)], on="rtl")
        assert report["exact"] and report["instructions"]["timeline_mismatches"] == 0 and report["cycles"]["measured"] == report["cycles"]["predicted"]


def test_refusals():
    with pytest.raises(UnsupportedError) as error:
        read_network(log_model((1, 40000)))
    assert [entry.reason for entry in error.value.entries] == [
        "The axes that Softmax, LayerNormalization, RMSNormalization and LRN reduce must have at most 32768 elements. Found 40000."
    ]
    text = text_of("tiny").replace("  - {from: acc, to: vector, port: b}\n", "")
    with pytest.raises(UnsupportedError) as error:
        compile_network(read_network(log_model((1, 10))), parse_graph(text, name="tiny.yaml"))
    assert str(error.value).splitlines()[-1].strip().startswith("n_g (LogSoftmax): no engines of tiny offer")


