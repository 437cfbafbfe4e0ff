"""Micro-programs on rows on a programmable core: exact on the functional simulator without a hazard, at the interval that slots allow, refused with the reason."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph, parse_graph
from acg.predictor import predict
from acg.timing.core import packets
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program, run_on_iss
from tests.compiler.test_compiler_interpolation import CASES, SHAPE, graph_of
from tests.compiler.test_compiler_rowwise import drawn, layer_model, softmax_model
from tests.support.architectures import text_of
from tests.support.models import I8, dequantize, model_of, node, parameters, quantize
from verif.hazards import find_hazards
from verif.random.cores.machines import random_core
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference

TINY, DSP = load_graph("dsp_tiny"), load_graph("dsp")


def check(model, graph=TINY, seed=0, inputs=None):
    """Equal to the definition, without a hazard; returns packets of the core."""
    program = compile_network(read_network(model), graph)
    inputs = drawn(model, seed) if inputs is None else inputs
    found, expected = run_on_iss(program, graph, inputs), Reference(model).run(inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=f"seed {seed}")
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    return sum(packets(i.fields) for i in program.instructions if graph.engines[i.engine].tables)


@pytest.mark.parametrize("shape", [(1, 2), (5, 17), (33, 3)], ids=str)
def test_softmax(shape):
    """Channels that fill their last granule and such that do not, pixels that fill their last vector and such that do not."""
    check(softmax_model(shape, scale=0.11), seed=shape[1])
    check(softmax_model(shape, kind="u8", scale=0.013), seed=shape[1])


@pytest.mark.parametrize("shape", [(4, 3), (17, 10), (2, 40)], ids=str)
def test_layer_normalization(shape):
    check(layer_model(shape, seed=shape[1]), seed=shape[1])
    check(layer_model(shape, kind="u8", zero=131, scale=0.4, beta=False), seed=shape[1])


def test_a_long_row_is_reduced_in_parts():
    """120 channels are 30 granules of 4: sums and largest bytes of 24 of them go on in the next kernel. Exponentials have three digits."""
    check(softmax_model((3, 300), scale=0.05), seed=1)
    check(layer_model((2, 120)), seed=1)


def test_softmax_is_near_the_packets_that_its_slots_allow():
    """128 rows of 128 channels on dsp, 16 vectors of 8 planes: 8 packets a plane for tables (REQB), 10 for results (6 allowed: two products a quarter, the
    spread of the sums beside them), and 17 and 21 a vector for what reduces; prologues and drains."""
    assert check(softmax_model((128, 128)), DSP) <= 16 * (8 * (8 + 10) + 17 + 21) + 400


def test_random_networks():
    """Softmax and LayerNormalization among convolutions; axes, types and scales drawn."""
    for seed in range(2):
        model = random_network(seed, size="tiny", ops=("softmax", "layernorm", "conv"), form="qdq")
        check(model, seed=seed, inputs=random_inputs(model, seed))


@pytest.mark.parametrize(("operation", "capability"), [("PERM", ""), ("EST", "ESTIMATE("), ("LMAC", "=MAC(")])
def test_what_the_slots_lack_is_refused_with_the_reason(operation, capability):
    lines = text_of("dsp_tiny").replace(f", {operation}", "").splitlines(keepends=True)
    graph = parse_graph("".join(line for line in lines if not capability or capability not in line), name="less.yaml")
    with pytest.raises(UnsupportedError) as caught:
        compile_network(read_network(softmax_model((4, 8))), graph)
    assert [entry.reason.partition("kernel for it: ")[2] for entry in caught.value.entries] == [f"no slot issues {operation}"]


@pytest.mark.parametrize(("old", "new"), [("registers: 32", "registers: 16"), ("parameter_sets: 2", "parameter_sets: 1"), ("in_streams: 3", "in_streams: 4"),
                                          ("vector_bytes: 32", "vector_bytes: 16"), ("vector_bytes: 32", "vector_bytes: 64")])  # fmt: skip
def test_other_cores_are_exact(old, new):
    """Fewer registers, one set of numbers, a stream more, quarters of one pixel and of four: other kernels, the same bytes."""
    graph = parse_graph(text_of("dsp_tiny").replace(old, new), name="other.yaml")
    check(layer_model((5, 10)), graph)
    check(instance_model((1, 6, 5, 7)), graph, inputs={"x": np.random.default_rng(1).integers(-128, 128, (1, 6, 5, 7)).astype(np.int8)})


@pytest.mark.parametrize("shape", [(9, 5), (2, 300)], ids=str)
@pytest.mark.parametrize("operator", ["Softmax", "ArgMax"])
def test_results_of_32_bits(operator, shape):
    """float32 that leaves the network as it is, and numbers of channels that no byte holds."""
    constants = parameters(**{"": (0.05, np.int8(5))})
    out = (onnx.TensorProto.INT64, (shape[0], 1)) if operator == "ArgMax" else (onnx.TensorProto.FLOAT, shape)
    check(model_of([dequantize("x", "f"), node(operator, "f", "y", axis=-1)], {"x": (I8, shape)}, {"y": out}, constants, opset=17), seed=shape[1])


def instance_model(shape, seed=0):
    rng, channels = np.random.default_rng(seed), shape[1]
    constants = {"g": rng.normal(1, 0.3, channels).astype(np.float32), "b": rng.normal(0, 0.4, channels).astype(np.float32),
                 **parameters(**{"": (0.04, np.int8(5)), "q": (6 / 256, np.int8(2))})}
    nodes = [dequantize("x", "f"), node("InstanceNormalization", "f g b", "h", epsilon=1e-5), quantize("h", "y", "q")]
    return model_of(nodes, {"x": (I8, shape)}, {"y": (I8, shape)}, constants, opset=17)


@pytest.mark.parametrize("shape", [(2, 5, 9, 3), (1, 6, 33, 40)], ids=str)
def test_sums_over_pixels(shape):
    """Images that end within a vector, and one that takes several strips, each of which comes twice."""
    x = np.random.default_rng(shape[1]).integers(-128, 128, shape).astype(np.int8)
    check(instance_model(shape), inputs={"x": x})


@pytest.mark.parametrize(("operator", "seed"), [("lrn", 0), ("groupnorm", 1), ("quotient", 3), ("sums", 4)])
def test_random_networks_of_others(operator, seed):
    """Sums over neighbouring channels and of groups of them, by products whose int32 sums stay on chip; chains of floats."""
    model = random_network(seed, size="tiny", ops=(operator,), form="qdq")
    check(model, seed=seed, inputs=random_inputs(model, seed))


@pytest.mark.parametrize("case", ["one digit", "all of two digits", "low of two digits"])
def test_interpolation(case):
    graph = graph_of(CASES[case])
    check_program(graph, compile_network(graph, TINY), TINY, {edge.name: np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8) for edge in graph.inputs})


def test_random_cores_are_exact_or_refuse_with_the_reason():
    """Slots, streams, sizes and latencies drawn; a reason names what is lacking. Replay: the seed is that of the core and of the network."""
    reasons = []
    for seed, operator in [(9, "reduce"), (19, "combine"), (29, "several"), (41, "combine"), *((n, ("softmax", "groupnorm", "lrn", "sums")[n % 4]) for n in range(60, 66))]:
        model = random_network(seed, size="tiny", ops=(operator,), form="qdq")
        try:
            check(model, random_core(seed), seed=seed, inputs=random_inputs(model, seed))
        except UnsupportedError as error:
            reasons += [entry.reason for entry in error.entries]
    assert reasons and all("no kernel for it: " in reason or "no engine" in reason for reason in reasons)
