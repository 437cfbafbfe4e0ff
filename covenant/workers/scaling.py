"""What many workers would do: a simulation of a search's rounds, its numbers measured here.

The scheduler is one server: each task costs it ``scheduler_seconds``, one task after the other. A worker that is free takes the next task, whose bytes come
over its connection, and computes for as long as a measured task took, drawn by a seed. A round ends with its last task; the search then thinks for
``think_seconds``. Tasks that a journal or a cache knows cost nothing.
"""

from __future__ import annotations

import heapq
import pickle
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from covenant.workers.pool import Pool, Task, in_order

__all__ = ["Measured", "Run", "nothing", "scheduler_seconds", "simulate", "task_bytes"]


@dataclass(frozen=True)
class Measured:
    """Of one machine: seconds of each task that was tried, of the scheduler a task, of the search a round; bytes of a task and its result; bytes a second of
    a connection; seconds from the start of workers to their first task."""

    task_seconds: tuple[float, ...]
    scheduler_seconds: float
    think_seconds: float
    task_bytes: int
    bytes_per_second: float
    start_seconds: float


@dataclass(frozen=True)
class Run:
    """A simulated search: seconds from start to end, and the part of all workers' time that tasks took."""

    seconds: float
    utilisation: float

    def per_hour(self, points: int) -> float:
        """Points an hour."""
        return points / self.seconds * 3600


def simulate(measured: Measured, *, workers: int, points: int, round_points: int, known: float = 0.0, seed: int = 1) -> Run:
    """Time of a search of ``points`` in rounds of ``round_points`` on ``workers``, a part ``known`` of them not tried again."""
    drawn = random.Random(seed)
    free = [0.0] * workers
    now, busy, left = measured.start_seconds, 0.0, points
    transfer = measured.task_bytes / measured.bytes_per_second
    while left:
        count = min(round_points, left)
        left -= count
        scheduler = now
        ends = [now]
        free = [max(at, now) for at in free]
        heapq.heapify(free)
        for _ in range(count):
            if drawn.random() < known:
                continue
            scheduler += measured.scheduler_seconds
            seconds = measured.task_seconds[drawn.randrange(len(measured.task_seconds))]
            end = max(heapq.heappop(free), scheduler) + transfer + seconds
            heapq.heappush(free, end)
            busy += seconds
            ends.append(end)
        now = max(max(ends), scheduler) + measured.think_seconds
    return Run(now, busy / (workers * now) if now else 0.0)


def nothing(number: int) -> int:
    """The task that costs a scheduler what any task costs, and a worker nothing."""
    return number


def scheduler_seconds(pool: Pool, count: int = 2000) -> float:
    """Seconds a task of a pool's own: of tasks that do nothing."""
    begin = time.perf_counter()
    found = sum(1 for _ in in_order(pool, (Task(nothing, (number,), "nothing") for number in range(count))))
    return (time.perf_counter() - begin) / found


def task_bytes(task: Task, result: object) -> int:
    """Bytes that go to a worker and come back."""
    return len(pickle.dumps((task.function, task.arguments))) + len(pickle.dumps(result))


def speedups(measured: Measured, counts: Sequence[int], *, points: int, round_points: int) -> list[tuple[int, Run]]:
    """`simulate` for each number of workers."""
    return [(count, simulate(measured, workers=count, points=points, round_points=round_points)) for count in counts]
