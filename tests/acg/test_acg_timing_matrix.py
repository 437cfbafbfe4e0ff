"""The matrix unit's closed form against the recursion that it closes, and the promises it makes."""

import itertools
import random

import pytest

from acg.timing.matrix import MatrixTiming


def fields(passes, positions):
    return {"n_0": passes, "n_1": 1, "n_2": 1, "n_3": 1, "n_4": 1, "n_5": positions}


def recursion(unit, start, free, passes, positions):
    """(ready, stream free, last s) by the recursion of the module docstring, pass by pass."""
    period = max(positions, unit.hazard_cycles)
    t = start
    s = max(t + unit.lead_cycles, free)
    for _ in range(passes - 1):
        t = max(t + unit.load_cycles, s)
        s = max(t + unit.lead_cycles, s + period)
    return max(t + unit.load_cycles, s), s + period, s


@pytest.mark.parametrize("seed", range(40))
def test_closed_form_equals_the_recursion(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    unit = MatrixTiming(rows=rng.randint(1, 20), columns=rng.randint(1, 20), organisation=rng.choice(["systolic", "dot"]),
                        activation_latency_cycles=rng.randint(1, 5), weight_latency_cycles=rng.randint(1, 5),
                        accumulator_latency_cycles=rng.randint(1, 5), registers={"address": rng.randint(0, 1), "multiply": rng.randint(0, 2)})
    ready = free = 0
    for _ in range(200):
        passes = rng.choice([1, 1, 2, 3, rng.randint(1, 12)])
        positions = rng.choice([1, 2, rng.randint(1, 40)])
        assert unit.ready_cycle == ready
        start = ready + rng.choice([0, 0, 0, rng.randint(0, 60)])
        retire = unit.start(start, fields(passes, positions))
        ready, free, last = recursion(unit, start, free, passes, positions)
        assert retire == last + positions + unit.read_cycles + unit.array_cycles + 2


@pytest.mark.parametrize("organisation", ["systolic", "dot"])
@pytest.mark.parametrize("positions", [1, 2, 3, 15, 16, 17, 100])
@pytest.mark.parametrize("passes", [1, 2, 7])
def test_steady_state_has_no_bubble(organisation, positions, passes):
    unit = MatrixTiming(rows=16, columns=16, organisation=organisation, activation_latency_cycles=2, weight_latency_cycles=1,
                        accumulator_latency_cycles=1)
    retires = [unit.start(unit.ready_cycle, fields(passes, positions)) for _ in range(20)]
    period = passes * max(positions, 3, 16)
    assert [b - a for a, b in itertools.pairwise(retires)] == [period] * 19


def test_constants_of_edge16():
    systolic = MatrixTiming(rows=16, columns=16, organisation="systolic", activation_latency_cycles=1, weight_latency_cycles=1,
                            accumulator_latency_cycles=1)
    assert systolic.start(0, fields(1, 1)) == 1 + 1 + 1 + 32 + 2
    dot = MatrixTiming(rows=16, columns=16, organisation="dot", activation_latency_cycles=1, weight_latency_cycles=1,
                       accumulator_latency_cycles=1)
    assert dot.start(0, fields(1, 1)) == 16 + 1 + 1 + (2 + 2) + 2


def test_registers_are_waited_for_once():
    """By hand: an address register and two behind each product are three cycles of the first result, and none of the next pass."""
    common = {"rows": 4, "columns": 4, "organisation": "systolic", "activation_latency_cycles": 1, "weight_latency_cycles": 1, "accumulator_latency_cycles": 1}
    usual, deep = MatrixTiming(**common), MatrixTiming(**common, registers={"address": 1, "multiply": 2})
    assert usual.start(0, fields(3, 9)) == 1 + 2 * 9 + 9 + 1 + 8 + 2
    assert deep.start(0, fields(3, 9)) == 1 + 2 * 9 + 9 + 1 + 8 + 2 + 3
    assert deep.ready_cycle == usual.ready_cycle


def test_errors_say_what_to_do():
    arguments = {"rows": 4, "columns": 4, "organisation": "dot", "activation_latency_cycles": 1, "weight_latency_cycles": 1,
                 "accumulator_latency_cycles": 1}
    with pytest.raises(ValueError) as caught:
        MatrixTiming(**{**arguments, "rows": 0})
    assert str(caught.value) == "MatrixTiming: rows must be at least 1, not 0"
    with pytest.raises(TypeError) as caught:
        MatrixTiming(**{**arguments, "weight_latency_cycles": 1.0})
    assert str(caught.value) == "MatrixTiming: weight_latency_cycles must be an integer, not 1.0"
    with pytest.raises(ValueError) as caught:
        MatrixTiming(**{**arguments, "organisation": "tree"})
    assert str(caught.value) == "MatrixTiming: organisation must be one of systolic, dot, not 'tree'"
    unit = MatrixTiming(**arguments)
    unit.start(5, fields(1, 1))
    with pytest.raises(ValueError) as caught:
        unit.start(7, fields(1, 1))
    assert str(caught.value) == "MatrixTiming: start at cycle 7, but the unit is not ready before cycle 9"
