"""The window unit's closed form against the recursion that it closes, and the promises it makes."""

import random

import pytest

from acg.timing.window import WindowTiming


def fields(blocks=1, box=(6, 5), positions=(6, 5), kernel=(3, 3), lead=(1, 1), step=(1, 1), multiply=1):
    counts = {f"n_{level}": count for level, count in enumerate((blocks, *box, *positions, *kernel))}
    return counts | {"y_lead": lead[0], "x_lead": lead[1], "y_step": step[0], "x_step": step[1], "multiply": multiply}


def word(f, oy, ox):
    """Number of the word of a box with which a window is complete."""
    return (f["y_lead"] + oy * f["y_step"]) * f["n_2"] + f["x_lead"] + ox * f["x_step"]


def recursion(unit, start, free, f):
    """(ready, stream free, retire) by the recursion of the module docstring, pass by pass."""
    first, last = word(f, 0, 0), word(f, f["n_3"] - 1, f["n_4"] - 1)
    load = (f["n_5"] * f["n_6"] if f["multiply"] else 1) + 2
    t, s = start, max(start + load, free)
    for _ in range(f["n_0"] - 1):
        t = s + 1 + unit.read_cycles + first
        s = max(t + load, s + max(f["n_1"] * f["n_2"], last - first + 1))
    decided = s + 1 + unit.read_cycles + first
    return decided, s + last + 1, decided + last - first + unit.sum_cycles + 1


@pytest.mark.parametrize("seed", range(30))
def test_closed_form_equals_the_recursion(seed):
    rng = random.Random(seed)
    print(f"seed {seed}")
    unit = WindowTiming(taps=rng.randint(1, 20), **{f"{port}_latency_cycles": rng.randint(1, 5) for port in ("activation", "weight", "accumulator")})
    ready = free = 0
    for _ in range(200):
        f = fields(*(tuple(rng.randint(1, most) for _ in range(2)) if most else rng.choice([1, 2, rng.randint(1, 9)]) for most in (0, 7, 5, 3)),
                   lead=(rng.randint(0, 3), rng.randint(0, 9)), step=(rng.randint(1, 3), rng.randint(1, 3)), multiply=rng.randint(0, 1))
        assert unit.ready_cycle == ready
        start = ready + rng.choice([0, 0, 0, rng.randint(0, 60)])
        ready, free, retire = recursion(unit, start, free, f)
        assert unit.start(start, f) == retire


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_a_position_a_cycle_where_a_box_has_as_many_words(blocks):
    unit = WindowTiming(taps=9, activation_latency_cycles=1, weight_latency_cycles=1, accumulator_latency_cycles=1)
    one = unit.start(0, fields(1))
    again = WindowTiming(taps=9, activation_latency_cycles=1, weight_latency_cycles=1, accumulator_latency_cycles=1)
    assert again.start(0, fields(blocks)) - one == 30 * (blocks - 1)


def test_constants_of_mobile16():
    unit = WindowTiming(taps=9, activation_latency_cycles=1, weight_latency_cycles=1, accumulator_latency_cycles=1)
    assert unit.start(0, fields()) == (9 + 2) + (1 + 1 + 6) + 29 + 7 + 1
    assert unit.ready_cycle == 11 + 8


def test_errors_say_what_to_do():
    arguments = {"taps": 9, "activation_latency_cycles": 1, "weight_latency_cycles": 1, "accumulator_latency_cycles": 1}
    with pytest.raises(ValueError) as caught:
        WindowTiming(**{**arguments, "taps": 0})
    assert str(caught.value) == "WindowTiming: taps must be at least 1, not 0"
    with pytest.raises(TypeError) as caught:
        WindowTiming(**{**arguments, "weight_latency_cycles": 1.0})
    assert str(caught.value) == "WindowTiming: weight_latency_cycles must be an integer, not 1.0"
    unit = WindowTiming(**arguments)
    unit.start(5, fields())
    with pytest.raises(ValueError) as caught:
        unit.start(7, fields())
    assert str(caught.value) == "WindowTiming: start at cycle 7, but the unit is not ready before cycle 24"
