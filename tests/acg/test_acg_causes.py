"""Where cycles go: idle and busy add up to the total, segments of the critical path follow one another from cycle 0 to the end."""

import numpy as np
import pytest

from acg.causes import Cause, bindings, critical_path, engine_cycles, spans
from acg.causes.conflicts import why
from acg.footprint import Access
from acg.graph import load_graph
from acg.isa import Instruction
from acg.predictor import predict
from verif.random.architectures import random_architecture
from verif.random.programs import random_program

EDGE = load_graph("edge16")


def analysed(graph, instructions):
    timeline = predict(graph, instructions)
    found = spans(graph, instructions, timeline)
    bound = bindings(graph, instructions, timeline, found)
    return timeline, found, bound


def machine(seed):
    return load_graph(("tiny", "edge16", "dot16", "wide")[seed % 4]) if seed % 3 else random_architecture(seed)


@pytest.mark.parametrize("seed", range(24))
def test_everything_adds_up(seed):
    graph = machine(seed)
    instructions = random_program(graph, seed, instructions=60).instructions
    timeline, found, bound = analysed(graph, instructions)
    for name, cycles in engine_cycles(graph, instructions, timeline, found, bound).items():
        assert cycles.busy + sum(cycles.idle.values()) == timeline.total_cycles, f"{name}, seed {seed}"
        assert cycles.working >= 0 and cycles.filling >= 0 and all(count > 0 for count in cycles.idle.values())
    path = critical_path(graph, timeline, found, bound)
    assert [path[0].first, *(segment.end for segment in path)] == [0, *(s.first for s in path[1:]), timeline.total_cycles], f"seed {seed}"
    for segment in path:
        assert segment.cycles > 0
        if segment.instruction >= 0:
            start, retire = found.start[segment.instruction], found.retire[segment.instruction]
            assert start <= segment.first and segment.end <= retire + 1


def test_an_empty_program():
    timeline, found, bound = analysed(EDGE, ())
    assert [(s.first, s.end, s.cause) for s in critical_path(EDGE, timeline, found, bound)] == [(0, timeline.total_cycles, Cause.END)]


def test_the_path_of_a_load_and_what_waits_for_it():
    load = Instruction("load", {"ext_address": 0, "local_address": 0, "n_3": 64})
    compute = Instruction("vector", {"n_3": 4, "a_select": 1, "a_stride_3": 1, "y_stride_3": 1, "y_base": 16384, "y_bound": 1, "x_bound": 1, "y_high": 255},
                          {"load": 1})
    timeline, found, bound = analysed(EDGE, (load, compute))
    assert [(b.cause, b.awaited) for b in bound] == [(Cause.DISPATCH, -1), (Cause.OPERAND, 0)]
    path = critical_path(EDGE, timeline, found, bound)
    assert [(s.instruction, s.cause) for s in path] == [(-1, Cause.DISPATCH), (0, Cause.OPERAND), (1, None), (-1, Cause.END)]
    cycles = engine_cycles(EDGE, (load, compute), timeline, found, bound)
    assert cycles["vector"].idle[Cause.OPERAND] == timeline.start[1] and cycles["vector"].working == 4
    assert cycles["matrix"].idle == {Cause.END: timeline.total_cycles}


def access(memory, write, lo, hi, bank):
    return Access(memory, "p", write, lo, hi, bank, bank)


@pytest.mark.parametrize("awaited,waiting,cause", [
    (("load", access("act", True, 0, 64, 0)), access("act", False, 32, 48, 0), Cause.OPERAND),
    (("matrix", access("acc", True, 0, 64, 0)), access("acc", False, 32, 48, 0), Cause.RESULT),
    (("matrix", access("act", False, 0, 64, 0)), access("act", True, 32, 48, 0), Cause.DRAIN),
    (("vector", access("act", True, 0, 64, 0)), access("act", True, 32, 48, 0), Cause.DRAIN),
    (("matrix", access("act", False, 0, 64, 0)), access("act", False, 64, 80, 0), Cause.BANK),
    (("matrix", access("act", False, 0, 64, 0)), access("act", False, 64, 80, 1), Cause.COUNT),
    (("matrix", access("act", False, 0, 64, 0)), access("wgt", True, 0, 64, 0), Cause.COUNT),
])
def test_why_one_awaits_another(awaited, waiting, cause):
    engine, before = awaited
    assert why(EDGE, engine, [before], [waiting]) is cause


def test_a_timeline_of_another_program_is_noticed():
    program = random_program(EDGE, 1, instructions=20).instructions
    timeline = predict(EDGE, program)
    shifted = type(timeline)(timeline.engine, timeline.dispatch, timeline.start + np.arange(len(program)) * 7, timeline.retire, timeline.total_cycles)
    with pytest.raises(AssertionError, match=r"for no reason$"):
        bindings(EDGE, program, shifted, spans(EDGE, program, shifted))
