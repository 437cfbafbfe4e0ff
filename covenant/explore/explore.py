"""The search: rounds of points, tasks for workers, results in order, the front."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from covenant.explore.area import AreaModel
from covenant.explore.energy import Technology
from covenant.explore.front import front
from covenant.explore.journal import Journal
from covenant.explore.points import Evaluated, PointTask, evaluate
from covenant.explore.search import search_of
from covenant.explore.space import Point, Space, point_name
from covenant.hardware import cache_folder
from covenant.workers import Pool, Task, in_order
from covenant.zoo.quantised import model_file
from covenant.zoo.topologies import TOPOLOGIES

__all__ = ["Explored", "Found", "explore", "network_files", "tried_in_order"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Found:
    """A point that was tried."""

    number: int
    point: Point
    name: str
    result: Evaluated


@dataclass(frozen=True)
class Explored:
    """What a search found: all points in the order in which they were tried, and the numbers of those on the front, by the first objective."""

    space: Space
    found: tuple[Found, ...]
    front: tuple[int, ...]
    area: AreaModel | None
    technology: Technology | None
    known: int


def network_files(space: Space) -> dict[str, Path]:
    """The ONNX file of each network of a space; those of the zoo are quantised when first asked for."""
    return {name: model_file(name, cache_folder().parent / "models") if name in TOPOLOGIES else space.folder / name for name, _ in space.networks}


def tried_in_order(pool: Pool, journal: Journal, tasks: list[PointTask]) -> Iterator[Evaluated]:
    """Results of tasks in their order: from the journal, or from workers and then kept."""
    missing = [task for task in tasks if journal.find(task.key) is None]
    results = in_order(pool, [Task(evaluate, (task,), task.name) for task in missing])
    for task in tasks:
        known = journal.find(task.key)
        if known is None:
            known = next(results)
            journal.add(task.key, known)
        yield known


def explore(space: Space, pool: Pool, journal: Journal, digests: dict[str, str], *, area: AreaModel | None = None, technology: Technology | None = None,
            progress: Progress = lambda *_: None) -> Explored:
    """Search a space. ``digests``: of each network's file, which the pool's workers have under it. The same space gives the same points and front with
    any number of workers, and when it is interrupted and goes on."""
    search, known = search_of(space), 0
    found: list[Found] = []
    networks = tuple((name, weight, digests[name]) for name, weight in space.networks)
    wanted = min(space.points, space.size)
    while len(found) < wanted:
        points = search.ask()
        if not points:
            break
        points = points[: wanted - len(found)]
        tasks = [_task(space, point, networks, area, technology) for point in points]
        known += sum(journal.find(task.key) is not None for task in tasks)
        values = []
        for point, task, result in zip(points, tasks, tried_in_order(pool, journal, tasks), strict=True):
            found.append(Found(len(found), point, task.name, result))
            values.append(None if result.refused else tuple(result.quantities[name] for name in space.objectives))
            progress(len(found), wanted, task.name)
        if len(found) < wanted:
            search.tell(values)
    feasible = {item.number: tuple(item.result.quantities[name] for name in space.objectives) for item in found if item.result.refused is None}
    return Explored(space, tuple(found), tuple(front(feasible)), area, technology, known)


def _task(space: Space, point: Point, networks: tuple[tuple[str, int, str], ...], area: AreaModel | None, technology: Technology | None) -> PointTask:
    sizes, engines = space.settings(point)
    return PointTask(space.base.description, point_name(space.base.name, space.choices(point)), tuple(sizes.items()), tuple(engines.items()), networks,
                     space.limits, space.objectives, area, technology)


def digest_of(data: bytes) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(data).hexdigest()
