"""The predictor: order, waits, queues, refusals. Engine formulas have tests of their own against RTL."""

import pytest

from acg.errors import InstructionError
from acg.graph import ARCHITECTURES, load_graph, parse_graph
from acg.isa import Instruction
from acg.predictor import predict

GRAPH = load_graph("tiny")


def _vector(count, **waits):
    return Instruction("vector", {"n_5": count}, waits)


def test_fetch_then_start_then_occupancy():
    line = predict(GRAPH, [_vector(1000), _vector(1000), Instruction("matrix", {})])
    beats, latency = 128 // 8, 9
    assert line.dispatch[0] == latency + beats
    assert line.start[0] == line.dispatch[0] + 1
    assert line.start[1] == line.start[0] + 1000
    assert line.retire[1] - line.retire[0] == 1000
    assert line.start[2] == line.dispatch[2] + 1 < line.start[1]
    assert line.engine.tolist() == [2, 2, 1]
    assert line.total_cycles > line.retire.max()


def test_a_wait_starts_one_cycle_after_the_retire():
    line = predict(GRAPH, [_vector(500), Instruction("matrix", {}, {"vector": 1})])
    assert line.start[1] == line.retire[0] + 1


def test_a_full_queue_holds_back_dispatch():
    line = predict(GRAPH, [_vector(1000)] * 6 + [Instruction("matrix", {})])
    assert line.dispatch[4] == line.start[0] + 1 or line.dispatch[4] > line.start[0]
    assert line.dispatch[5] == line.start[1] + 1
    assert line.dispatch[6] > line.dispatch[5]


def test_a_queue_holds_as_many_as_it_is_deep():
    """The first vector instruction waits for a long one; three stand behind it, the next is dispatched one cycle after it has started."""
    line = predict(GRAPH, [Instruction("matrix", {"n_4": 60, "n_5": 60}), _vector(1, matrix=1), *[_vector(1)] * 4])
    assert line.start[1] == line.retire[0] + 1
    assert line.dispatch[4] < line.start[1] and line.dispatch[5] == line.start[1] + 1


@pytest.mark.parametrize(("before", "awaited"), [(0x7FFF + 1, 1), (0x7FFF + 5, 5)])
def test_a_wait_may_reach_back_half_the_counter(before, awaited):
    line = predict(GRAPH, [*[_vector(1)] * before, Instruction("matrix", {}, {"vector": awaited})])
    assert line.start[-1] == line.dispatch[-1] + 1
    with pytest.raises(InstructionError, match=f"^instruction {before + 1}: waits for {awaited} retired instructions of vector, of which {before + 1} precede it; "
                       "expected a count not beyond that, the program would never end$"):
        predict(GRAPH, [*[_vector(1)] * (before + 1), Instruction("matrix", {}, {"vector": awaited})])


def test_a_wait_beyond_the_wrap_of_the_counter_means_the_latest():
    count = (1 << 16) + 4
    line = predict(GRAPH, [*[_vector(1)] * (count - 1), _vector(900), Instruction("matrix", {}, {"vector": 4})])
    assert line.start[-1] == line.retire[-2] + 1


def test_queue_depth_counts():
    deep = parse_graph((ARCHITECTURES / "tiny.yaml").read_text().replace("queue_depth: 4", "queue_depth: 8"))
    program = [_vector(1000)] * 6 + [Instruction("matrix", {})]
    assert predict(deep, program).start[6] < predict(GRAPH, program).start[6]


def test_waiting_for_what_does_not_precede_is_refused():
    with pytest.raises(InstructionError, match=(
        r"^instruction 1: waits for 2 retired instructions of vector, of which 1 precede it; expected a count not beyond that, the program would never end$"
    )):
        predict(GRAPH, [_vector(1), Instruction("matrix", {}, {"vector": 2})])


def test_fields_left_out_count_as_one():
    full = predict(GRAPH, [Instruction("vector", {f"n_{level}": 1 for level in range(6)})])
    assert predict(GRAPH, [Instruction("vector", {})]).retire[0] == full.retire[0]


def test_an_empty_program_ends():
    assert predict(GRAPH, []).total_cycles >= 0
