"""docs/scaling.md, by ``python -m covenant.bench.scaling SPACE.yaml``: a search on 1 and on 2 processes, its simulation, what more workers would do."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from covenant.explore.explore import digest_of, explore, network_files
from covenant.explore.journal import Journal
from covenant.explore.points import PointTask, evaluate
from covenant.explore.space import Space, point_name, read_space
from covenant.files import write_text
from covenant.terminal.show import table
from covenant.workers import Task, workers
from covenant.workers.scaling import Measured, scheduler_seconds, simulate, task_bytes

__all__ = ["page"]

_POINTS, _ROUND = 64, 16
_COUNTS = (1, 2, 8, 64, 256, 1000)
#: Of a data centre's network; a task is small enough that it hardly matters.
_BYTES_PER_SECOND = 100e6


def _searched(space: Space, jobs: int, things: dict[str, bytes], digests: dict[str, str]) -> tuple[float, float]:
    """Seconds of a search, and those until its first worker was there."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        with workers(jobs, things=things) as pool:
            scheduler_seconds(pool, 2 * jobs)
            started = time.perf_counter() - begin
            journal = Journal(Path(folder) / "journal.jsonl")
            try:
                explore(space, pool, journal, digests)
            finally:
                journal.close()
        return time.perf_counter() - begin, started


def _task(space: Space, point: tuple[int, ...], digests: dict[str, str]) -> PointTask:
    sizes, engines = space.settings(point)
    networks = tuple((name, weight, digests[name]) for name, weight in space.networks)
    return PointTask(space.base.description, point_name(space.base.name, space.choices(point)), tuple(sizes.items()), tuple(engines.items()), networks,
                     space.limits, space.objectives)


def page(path: str) -> str:
    """The page, with figures of this machine as it is now."""
    space = replace(read_space(path), points=_POINTS, round=_ROUND)
    contents = {name: file.read_bytes() for name, file in network_files(space).items()}
    digests = {name: digest_of(data) for name, data in contents.items()}
    things = {digests[name]: data for name, data in contents.items()}
    seconds = []
    with workers(1, things=things), tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        with workers(1, things=things) as pool:
            found = explore(space, pool, journal, digests)
        journal.close()
        evaluate(_task(space, space.base_point(), digests))
        for item in found.found:
            begin = time.perf_counter()
            result = evaluate(_task(space, item.point, digests))
            seconds.append(time.perf_counter() - begin)
        last = _task(space, found.found[-1].point, digests)
    carried = task_bytes(Task(evaluate, (last,), last.name), result)
    with workers(2) as pool:
        scheduler_seconds(pool, 100)
        local = scheduler_seconds(pool)
    with workers(cluster="local:2") as pool:
        scheduler_seconds(pool, 100)
        dask = scheduler_seconds(pool, 1000)
    rows = []
    for jobs in (1, 2):
        took, started = _searched(space, jobs, things, digests)
        one = Measured(tuple(seconds), local if jobs > 1 else 0.0, 0.0, carried, _BYTES_PER_SECOND, started)
        told = simulate(one, workers=jobs, points=_POINTS, round_points=_ROUND)
        rows.append((jobs, f"{took:.1f}", f"{told.seconds:.1f}", f"{100 * (told.seconds - took) / took:+.0f}%", f"{3600 * _POINTS / took:,.0f}"))
    measured = Measured(tuple(seconds), dask, 0.0, carried, _BYTES_PER_SECOND, 5.0)
    many = []
    for count in _COUNTS:
        for size in (32, 4096):
            run = simulate(measured, workers=count, points=100_000, round_points=size)
            many.append((count, size, f"{run.per_hour(100_000):,.0f}", f"{100 * run.utilisation:.0f}%"))
    mean = sum(seconds) / len(seconds)
    return "\n".join([
        "# Many workers", "",
        f"Written by `python -m covenant.bench.scaling {path}`. A task compiles and predicts the networks of a point; it depends on its arguments alone. "
        "Any worker may do it, twice if need be. What 1,000 would do is simulated (`covenant/workers/scaling.py`) with what is measured here.", "",
        f"- {_POINTS} points of {space.name}: {mean:.2f} s a task, the longest {max(seconds):.2f} s, refused ones included; networks are read once a worker.",
        f"- A task and its result are {carried:,} bytes; the networks, {sum(map(len, contents.values())):,} bytes, go to each worker once.",
        f"- A task costs the scheduler {1e6 * local:,.0f} us where processes of this machine are the workers, {1e6 * dask:,.0f} us with Dask "
        f"({1 / dask:,.0f} tasks a second).",
        "- A search that goes on, or is asked again, finds every point in its journal: no task at all.", "",
        "## The simulation against this machine", "", _markdown(("workers", "measured s", "simulated s", "error", "points an hour"), rows), "",
        "## More workers", "",
        "100,000 points by Dask. With rounds of 32 points most workers wait for the round's last; `round:` in the space is for that, at the price of a search "
        "that learns more rarely. Beyond that the scheduler is the limit: a task must be long enough to keep it from being so (several points a task).", "",
        _markdown(("workers", "points a round", "points an hour", "workers' time in tasks"), many), ""])


def _markdown(head: tuple[str, ...], rows: list[tuple]) -> str:
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---:|" * len(head), *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


if __name__ == "__main__":
    text = page(sys.argv[1])
    write_text(sys.argv[2] if len(sys.argv) > 2 else "docs/scaling.md", text)
    print(table(("page",), [(sys.argv[2] if len(sys.argv) > 2 else "docs/scaling.md",)]))
