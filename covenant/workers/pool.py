"""One interface for workers: `concurrent.futures.Executor`.

A task is a function at the top of a module and its arguments, all of which pickle; its result depends on nothing else, so that a task may be repeated. A
worker that dies takes nothing with it: its tasks are given to others, up to `MOST_TRIES` times each.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from covenant.errors import UserError
from covenant.workers.given import give

__all__ = ["MOST_TRIES", "Pool", "Task", "WorkerLost", "in_order", "workers"]

#: A task during which so many workers died is given up: it is what kills them.
MOST_TRIES = 3
#: Tasks given to a pool beyond those that run, for each worker: so many wait while the results of others are looked at.
_AHEAD = 3


class WorkerLost(UserError):
    """A task that ended its worker each time."""


@dataclass(frozen=True)
class Task:
    """``function`` (at the top of a module) of ``arguments``; ``name`` is for messages."""

    function: Callable[..., Any]
    arguments: tuple
    name: str


@dataclass
class _Begun:
    """A task that was given to a pool, how often."""

    task: Task
    future: Future
    tries: int = 1


class Pool(Protocol):
    """Workers that take tasks."""

    count: int

    def submit(self, task: Task) -> Future:
        """Begin a task."""

    def renew(self) -> None:
        """Replace workers after one has died, where the executor does not by itself."""


class _Here:
    """This process, one task after the other, each when its result is asked for."""

    count = 1

    def __init__(self, things: Mapping[str, bytes]) -> None:
        give(things)

    def submit(self, task: Task) -> Future:
        future: Future = Future()
        try:
            future.set_result(task.function(*task.arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def renew(self) -> None:
        raise AssertionError("a process cannot outlive itself")


class _Processes:
    """Processes of this machine."""

    def __init__(self, count: int, things: Mapping[str, bytes]) -> None:
        self.count, self._things = count, dict(things)
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(max_workers=self.count, initializer=give, initargs=(self._things,))

    def submit(self, task: Task) -> Future:
        return self._pool.submit(task.function, *task.arguments)

    def renew(self) -> None:
        self.close()
        self._pool = self._made()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Cluster:
    """Any other executor, which replaces workers by itself; a task whose worker died raises one of ``lost``."""

    def __init__(self, executor: Executor, count: int) -> None:
        self._executor, self.count = executor, count

    def submit(self, task: Task) -> Future:
        return self._executor.submit(task.function, *task.arguments)

    def renew(self) -> None:
        """Nothing: its scheduler has."""


@contextlib.contextmanager
def workers(jobs: int = 1, *, cluster: str | None = None, things: Mapping[str, bytes] | None = None) -> Iterator[Pool]:
    """Workers for the time of a ``with``: this process, ``jobs`` processes, or the Dask cluster ``tcp://HOST:PORT`` (``local:N``: one of N processes made
    here). ``things`` are there for all tasks (`shared`). Raises UserError where there is no such cluster."""
    things = things or {}
    if cluster is not None:
        from covenant.workers.cluster import dask_cluster

        with dask_cluster(cluster, things) as (executor, count):
            yield _Cluster(executor, count)
    elif jobs == 1:
        yield _Here(things)
    else:
        pool = _Processes(jobs, things)
        try:
            yield pool
        finally:
            pool.close()


def in_order(pool: Pool, tasks: Iterable[Task]) -> Iterator[Any]:
    """Results of the tasks in their order. Raises what a task raises; WorkerLost for one that ended `MOST_TRIES` workers."""
    source = iter(tasks)
    if isinstance(pool, _Here):
        for task in source:
            yield pool.submit(task).result()
        return
    ahead = _AHEAD * pool.count
    pending = deque(_Begun(task, _submitted(pool, task)) for task in islice(source, ahead))
    while pending:
        first = pending[0]
        try:
            result = first.future.result()
        except BrokenProcessPool:
            task, tries = first.task, first.tries
            if tries == MOST_TRIES:
                raise WorkerLost(f"{task.name}: its worker ended {tries} times without a result, the last time without a word; expected it to take less "
                                 "memory, see the system's log, and try fewer --jobs") from None
            pool.renew()
            first.tries += 1
            for begun in pending:  # a pool that broke has lost all that had not ended
                if not _done(begun.future):
                    begun.future = _submitted(pool, begun.task)
            continue
        pending.popleft()
        pending.extend(_Begun(task, _submitted(pool, task)) for task in islice(source, 1))
        yield result


def _submitted(pool: Pool, task: Task) -> Future:
    try:
        return pool.submit(task)
    except BrokenProcessPool as error:  # it broke since the last result
        future: Future = Future()
        future.set_exception(error)
        return future


def _done(future: Future) -> bool:
    """Whether a task has a result or an error of its own."""
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)
