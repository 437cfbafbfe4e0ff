"""Depthwise convolutions shared between two engines: same results, sooner; the input lies across two banks."""

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import Options, compile_network
from compiler.tiling import tile_shared
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch

EDGE16 = load_graph("edge16")


def chain(seed, channels=64, size=16, kernel=(3, 3), **more):
    s = Sketch(seed, "chain")
    x = s.conv(s.input((1, 16, size, size), "i8"), channels)
    x = s.conv(x, channels, kernel, group=channels, **more)
    return s, s.network(s.conv(x, 16))


def kinds_of(program, layer):
    return {EDGE16.engines[i.engine].kind for n, i in enumerate(program.instructions) if program.provenance[n][0] == layer}


@pytest.mark.parametrize("seed,more", [
    (1, {"pads": (1, 1, 1, 1)}), (2, {}), (3, {"pads": (0, 0, 1, 1), "strides": (2, 2)}), (4, {"dilations": (2, 2), "pads": (2, 2, 2, 2)}),
])
def test_both_engines_work_and_the_result_is_the_same(seed, more):
    s, graph = chain(seed, **more)
    program = compile_network(graph, EDGE16)
    assert kinds_of(program, 1) == {"load", "matrix", "vector"}
    check_program(graph, program, EDGE16, s.arrays())


def test_sharing_is_faster(monkeypatch):
    s, graph = chain(5, pads=(1, 1, 1, 1))
    arrays = s.arrays()
    shared = check_program(graph, compile_network(graph, EDGE16), EDGE16, arrays)
    monkeypatch.setattr(tile_shared, "WORTH", 1.0)
    program = compile_network(graph, EDGE16)
    assert kinds_of(program, 1) == {"load", "vector"}
    alone = check_program(graph, program, EDGE16, arrays)
    assert shared < 0.8 * alone


def test_the_engines_read_different_banks_at_the_same_time():
    _, graph = chain(6, pads=(1, 1, 1, 1))
    program = compile_network(graph, EDGE16)
    timeline = predict(EDGE16, program.instructions)
    spans = {"matrix": [], "vector": []}
    for number, instruction in enumerate(program.instructions):
        kind = EDGE16.engines[instruction.engine].kind
        if program.provenance[number][0] == 1 and (kind == "matrix" or instruction.fields.get("int_op")):
            spans[kind].append((timeline.start[number], timeline.retire[number]))
    overlap = sum(max(0, min(b, d) - max(a, c)) for a, b in spans["matrix"] for c, d in spans["vector"])
    assert overlap > 0.5 * sum(b - a for a, b in spans["vector"])


@pytest.mark.parametrize("arch", ["tiny", "edge16", "wide"])
def test_strips_of_an_external_input_alternate(arch):
    graph = load_graph(arch)
    s = Sketch(8, "strips")
    x = s.input((1, 48, 33, 21), "u8")
    ir = s.network(s.conv(x, 48, (3, 3), group=48, pads=(1, 1, 1, 1)))
    program = compile_network(ir, graph, options=Options(resident=False))
    kinds = [graph.engines[i.engine].kind for i in program.instructions]
    assert "matrix" in kinds and any(i.fields.get("int_op") for i in program.instructions)
    check_program(ir, program, graph, s.arrays())


def test_small_ones_stay_on_one_engine():
    s, graph = chain(7, channels=256, size=3, pads=(1, 1, 1, 1))
    program = compile_network(graph, EDGE16)
    assert kinds_of(program, 1) == {"load", "vector"}
    check_program(graph, program, EDGE16, s.arrays())
