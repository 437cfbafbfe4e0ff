"""Whole networks, compiled for four architectures and for random ones, run on the ISS against a reference: equality, no hazards."""

from dataclasses import replace

import numpy as np
import pytest

from acg.graph import ARCHITECTURES, load_graph, parse_graph
from acg.predictor import predict
from compiler.errors import CompilerError
from compiler.ir.network import Add
from compiler.ir.pools import GlobalAveragePool, MaxPool
from compiler.loader import check_program as check_loadable
from compiler.passes import Options, compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch, random_network
from verif.random.architectures import random_architecture

ARCHITECTURE_NAMES = ("tiny", "edge16", "dot16", "wide")
GRAPHS = {name: load_graph(name) for name in ARCHITECTURE_NAMES}


def compiled(graph, architecture, arrays, **options):
    """Compile, load-check and compare with the reference; returns (program, predicted cycles)."""
    program = compile_network(graph, architecture, options=Options(**options))
    check_loadable(program, architecture)
    return program, check_program(graph, program, architecture, arrays)


@pytest.mark.parametrize("seed", range(100))
def test_random_networks(seed):
    graph, arrays = random_network(seed)
    compiled(graph, GRAPHS[ARCHITECTURE_NAMES[seed % 4]], arrays)


@pytest.mark.parametrize("seed", range(200, 220))
def test_random_networks_with_every_tensor_in_external_memory(seed):
    graph, arrays = random_network(seed)
    compiled(graph, GRAPHS[ARCHITECTURE_NAMES[seed % 4]], arrays, resident=False)


@pytest.mark.parametrize("seed", [1, 3, 4, 6, 8, 9, 10, 11, 13, 14, 18, 21, 89, 108, 119, 123, 140])
def test_random_networks_on_random_architectures(seed):
    graph, arrays = random_network(seed)
    compiled(graph, random_architecture(seed), arrays)


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_names_of_nodes_change_nothing(seed):
    graph, _ = random_network(seed)
    plain, renamed = random_architecture(seed), random_architecture(seed, prefix="zz_")
    first, second = compile_network(graph, plain), compile_network(graph, renamed)
    names = dict(zip(plain.engines, renamed.engines, strict=True))
    assert [(names[i.engine], i.fields, {names[k]: v for k, v in i.waits.items()}) for i in first.instructions] == [
        (i.engine, i.fields, dict(i.waits)) for i in second.instructions
    ]
    assert first.segments == second.segments and first.inputs == second.inputs and first.outputs == second.outputs
    one, two = (predict(a, p.instructions) for a, p in ((plain, first), (renamed, second)))
    np.testing.assert_array_equal(one.retire, two.retire)


@pytest.mark.parametrize("change", [
    ("depth_words: 1024", "depth_words: 300"), ("depth_words: 512", "depth_words: 37"), ("depth_words: 128", "depth_words: 21"),
    ("depth_words: 32", "depth_words: 5"), ("queue_depth: 4", "queue_depth: 2"), ("bus_bits: 64", "bus_bits: 256"),
    ("read_latency_cycles: 1", "read_latency_cycles: 4"), ("banks: 4", "banks: 3"), ("banks: 2", "banks: 1"), ("rows: 4", "rows: 2"),
])
def test_any_number_of_an_architecture_may_change(change):
    text = (ARCHITECTURES / "tiny.yaml").read_text()
    assert change[0] in text
    text = text.replace(*change)
    if change[0].startswith("rows"):
        text = text.replace("(i32,4)=MATMUL((i9,4),(i9,4,4))", "(i32,4)=MATMUL((i9,2),(i9,2,4))")
    if change[1] == "banks: 1":
        text = text.replace("  - {from: acc, to: vector, port: b}\n", "")  # two operands of one memory need two banks
    for seed in (5, 7, 16):
        graph, arrays = random_network(seed)
        compiled(graph, parse_graph(text), arrays)


@pytest.mark.parametrize("arch", ["tiny", "wide"])
def test_layers_larger_than_every_memory(arch):
    s = Sketch(1, "large")
    x = s.input((1, 70, 30, 31), "u8")
    x = s.conv(x, 80, (3, 3), pads=(1, 1, 1, 1), strides=(2, 1))
    x = s.conv(x, 90, (5, 3), dilations=(2, 1))
    y = s.conv(x, 90, (3, 3), pads=(1, 1, 1, 1), group=90)
    graph = s.network(s.add(x, y))
    compiled(graph, GRAPHS[arch], s.arrays())


def test_an_image_larger_than_the_memory_is_averaged_on_the_matrix_unit():
    s = Sketch(2, "average")
    x = s.input((1, 5, 90, 70), "i8")
    y = s.tensor((1, 5, 1, 1), "i8")
    graph = s.network(s.node(GlobalAveragePool(x.scale, x.zero_point, y.scale, y.zero_point), [x], y))
    program, _ = compiled(graph, GRAPHS["tiny"], s.arrays())
    assert {GRAPHS["tiny"].engines[i.engine].kind for i in program.instructions} == {"load", "matrix", "vector", "store"}


def test_a_window_without_any_element_and_a_tensor_added_to_itself():
    s = Sketch(3, "corner")
    x = s.input((2, 6, 5, 5), "i8")
    doubled = s.node(Add(x.scale, x.zero_point, x.scale, x.zero_point, x.scale, x.zero_point), [x, x], s.tensor(x.shape, "i8"))
    s.tensors[doubled.name] = doubled = replace(doubled, scale=x.scale, zero_point=x.zero_point)
    y = replace(doubled, name="pooled", shape=(2, 6, 3, 3))
    s.tensors["pooled"] = y
    s.node(MaxPool((2, 2), (2, 2), (1, 1), (0, 0, 1, 1)), [doubled], y)
    compiled(s.network(y), GRAPHS["edge16"], s.arrays())


def test_a_network_too_large_for_external_memory_is_refused():
    s = Sketch(4, "huge")
    graph = s.network(s.unary(s.input((1, 1024, 100, 100), "i8")))
    with pytest.raises(CompilerError) as error:
        compile_network(graph, GRAPHS["tiny"])
    assert str(error.value) == (
        "memory dram: found no room for 10240000 bytes of t1; expected a free stretch of its 16777216 bytes; use an architecture with larger memories"
    )


#: Multiplications of the convolution below over the 256 multipliers of edge16: cycles at its peak.
PEAK_CYCLES = 64 * 64 * 9 * 32 * 32 // 256


def convolution_64():
    s = Sketch(5, "conv64")
    x = s.input((1, 64, 32, 32), "i8")
    return s.network(s.conv(x, 64, (3, 3), pads=(1, 1, 1, 1))), s.arrays()


def test_no_bubbles_between_the_first_and_the_last_multiply():
    graph, arrays = convolution_64()
    arch = GRAPHS["edge16"]
    program, _ = compiled(graph, arch, arrays)
    timeline = predict(arch, program.instructions)
    matrix = [n for n, i in enumerate(program.instructions) if arch.engines[i.engine].kind == "matrix"]
    span = timeline.retire[matrix].max() - timeline.start[matrix].min()
    assert span >= PEAK_CYCLES, "faster than the peak: the prediction is wrong"
    assert PEAK_CYCLES / span >= 0.95, f"{PEAK_CYCLES / span:.3f} of the peak"


@pytest.mark.parametrize("resident", [True, False])
def test_from_and_to_external_memory_within_a_tenth_of_the_roofline(resident):
    graph, arrays = convolution_64()
    _, cycles = compiled(graph, GRAPHS["edge16"], arrays, resident=resident)
    assert PEAK_CYCLES == 147456 and PEAK_CYCLES <= cycles <= 1.1 * PEAK_CYCLES
