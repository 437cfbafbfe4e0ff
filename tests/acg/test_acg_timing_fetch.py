"""Fetch timing by hand-computed schedules, and against the recursion of the module's docstring stated a second time."""

import random
import re

import pytest

from acg.timing.fetch import FetchTiming


def walk(timing, rooms):
    return [timing.dispatch(room) for room in rooms]


def test_one_buffer_serialises_whole_round_trips():
    # Asked at 0, beats at 5 and 6, dispatched at 7; the next is asked at 8.
    timing = FetchTiming(instruction_bytes=16, bus_bytes=8, read_latency_cycles=5, outstanding_bursts=1)
    assert walk(timing, [0, 0, 0]) == [7, 15, 23]


def test_enough_buffers_are_limited_by_the_bus():
    # Two beats an instruction: one every other cycle once the first has arrived.
    timing = FetchTiming(instruction_bytes=16, bus_bytes=8, read_latency_cycles=5, outstanding_bursts=8)
    assert walk(timing, [0] * 5) == [7, 9, 11, 13, 15]


def test_a_full_queue_delays_and_buffered_instructions_follow_each_cycle():
    # The second waits until 20; the third (asked at 8) is buffered by then; the fourth is asked at 21.
    timing = FetchTiming(instruction_bytes=8, bus_bytes=8, read_latency_cycles=3, outstanding_bursts=2)
    assert walk(timing, [0, 20, 0, 0]) == [4, 20, 21, 25]


def test_random_schedules_obey_the_recursion():
    seed = 5
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        beats, latency, buffers = rng.choice([1, 2, 4, 16]), rng.randint(1, 30), rng.randint(1, 6)
        rooms, clock = [], 0
        for _ in range(40):
            clock += rng.choice([0, 1, 3, 60])
            rooms.append(clock)
        asked, last, dispatch = [], [], []
        for i, room in enumerate(rooms):
            asked.append(max(asked[i - 1] + 1 if i else 0, dispatch[i - buffers] + 1 if i >= buffers else 0))
            last.append(max(last[i - 1] + 1 if i else 0, asked[i] + latency) + beats - 1)
            dispatch.append(max(last[i] + 1, dispatch[i - 1] + 1 if i else 0, room))
        timing = FetchTiming(instruction_bytes=8 * beats, bus_bytes=8, read_latency_cycles=latency, outstanding_bursts=buffers)
        assert walk(timing, rooms) == dispatch


@pytest.mark.parametrize("change, error, message", [
    ({"outstanding_bursts": 0}, ValueError, "FetchTiming: outstanding_bursts must be at least 1, not 0"),
    ({"read_latency_cycles": 1.5}, TypeError, "FetchTiming: read_latency_cycles must be an integer, not 1.5"),
    ({"instruction_bytes": 20}, ValueError, "FetchTiming: instruction_bytes must be a multiple of bus_bytes 8, not 20"),
])
def test_impossible_parameters_are_refused(change, error, message):
    parameters = {"instruction_bytes": 16, "bus_bytes": 8, "read_latency_cycles": 1, "outstanding_bursts": 1} | change
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        FetchTiming(**parameters)
