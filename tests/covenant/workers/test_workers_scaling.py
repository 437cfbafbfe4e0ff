"""The simulation of many workers, on cases that can be worked out by hand."""

import pytest

from covenant.workers import Task, workers
from covenant.workers.scaling import Measured, nothing, scheduler_seconds, simulate, task_bytes

PLAIN = Measured((2.0,), 0.0, 0.0, 0, 1.0, 0.0)


@pytest.mark.parametrize("count,round_points,seconds,utilisation", [
    (1, 8, 16.0, 1.0), (4, 8, 4.0, 1.0), (8, 8, 2.0, 1.0), (16, 8, 2.0, 0.5),  # more workers than a round has points wait
    (4, 6, 6.0, 16 / 24),  # 6 points on 4 workers take two turns, the 2 left one
])
def test_eight_tasks_of_two_seconds(count, round_points, seconds, utilisation):
    run = simulate(PLAIN, workers=count, points=8, round_points=round_points)
    assert (run.seconds, run.utilisation) == (seconds, pytest.approx(utilisation))
    assert run.per_hour(8) == 8 / seconds * 3600


def test_the_scheduler_is_one_server():
    run = simulate(Measured((0.5,), 1.0, 0.0, 0, 1.0, 0.0), workers=100, points=10, round_points=10)
    assert run.seconds == 10.5


def test_start_thought_bytes_and_what_is_known():
    assert simulate(Measured((2.0,), 0.0, 3.0, 10, 10.0, 5.0), workers=1, points=2, round_points=1).seconds == 5 + 2 * (1 + 2 + 3)
    assert simulate(PLAIN, workers=1, points=50, round_points=5, known=1.0).seconds == 0
    half = simulate(PLAIN, workers=1, points=1000, round_points=50, known=0.5, seed=3).seconds
    assert 900 < half < 1100 and half == simulate(PLAIN, workers=1, points=1000, round_points=50, known=0.5, seed=3).seconds


def test_what_is_measured():
    with workers(1) as pool:
        assert 0 < scheduler_seconds(pool, 50) < 1
    assert task_bytes(Task(nothing, (1,), "n"), b"x" * 1000) - task_bytes(Task(nothing, (1,), "n"), b"") == pytest.approx(1000, abs=4)
