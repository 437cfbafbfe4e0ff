"""Pass: a body and its dependences -> a time and a slot for each operation, so that an iteration begins every `interval` packets.

    before   w.0 = LDV;  acc.0 = DOT a=x.0 w=w.0;  ..                128 products, 36 loads, 16 REQ, 8 stores; two slots multiply
    after    interval 64; DOT at 0, 0, 1, 1, ..; the load of what a DOT reads 5 before it; REQ 4 behind the last DOT of its sum, the stores 14 later

The order in which operations get their times decides how many registers they take. First those whose slots are busiest (the products), in program order
behind a moving cursor; then what they need, from the last to the first and as late as possible; then what needs them, by earliest deadline. Times to
start from follow from true edges alone, the others bound (`compiler.kernels.dependences`). Where an operation finds no packet, the interval is one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import networkx as nx
import numpy as np

from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.dependences import dependences

__all__ = ["Schedule", "Table", "busiest", "least_interval", "schedule"]

_NEVER = -(1 << 30)
#: Packets beyond the bound that are tried.
_MORE = (0, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, eq=False)
class Schedule:
    """`times` (from 0 on) and `slots` of the operations of a body; a new iteration begins every `interval` packets, at least `bound`."""

    interval: int
    times: tuple[int, ...]
    slots: tuple[str, ...]
    bound: int

    @property
    def span(self) -> int:
        """Packets of one iteration alone."""
        return max(self.times, default=0) + 1


class Table:
    """Which packets of a loop of `interval` each slot issues in."""

    def __init__(self, core: Core, interval: int) -> None:
        self.core, self.interval = core, interval
        self._issued: set[tuple[str, int]] = set()

    def slot(self, operation: str, time: int) -> str | None:
        """A slot that is free for an operation at a time, or None."""
        return next((slot for slot in self.core.slots_of(operation) if self.free(slot, time)), None)

    def free(self, slot: str, time: int) -> bool:
        """Whether a slot issues nothing at a time."""
        return (slot, time % self.interval) not in self._issued

    def take(self, slot: str, time: int) -> None:
        """Issue in a slot."""
        self._issued.add((slot, time % self.interval))


def _pressures(items: Iterable[Item], core: Core) -> dict[tuple[str, ...], float]:
    """For each set of slots that some operations share, packets that those take which can go nowhere else."""
    found: dict[tuple[str, ...], int] = {}
    for item in items:
        slots = core.slots_of(item.operation)
        found[slots] = found.get(slots, 0) + 1
    return {slots: sum(n for other, n in found.items() if set(other) <= set(slots)) / len(slots) for slots in found}


def busiest(items: Sequence[Item], core: Core) -> int:
    """Packets of an iteration that slots alone allow."""
    return max((int(np.ceil(pressure)) for pressure in _pressures(items, core).values()), default=1)


def least_interval(items: Sequence[Item], core: Core, graph: nx.MultiDiGraph) -> int:
    """The least interval that slots and the cells that are carried from one iteration to the next allow."""
    by_slots = busiest(items, core)
    itself = [data["delay"] for u, v, data in graph.edges(data=True) if u == v and data["true"] and data["distance"]]
    return max(1, by_slots, *itself) if itself else max(1, by_slots)


def _longest(graph: nx.MultiDiGraph) -> np.ndarray:
    """Longest true path within an iteration between any two operations, int64 [n, n]; `_NEVER` where there is none."""
    count = graph.number_of_nodes()
    paths = np.full((count, count), _NEVER, np.int64)
    np.fill_diagonal(paths, 0)
    for node in range(count):  # program order is a topological one
        for before, _, data in graph.in_edges(node, data=True):
            if data["true"] and not data["distance"]:
                np.maximum(paths[:, node], paths[:, before] + data["delay"], out=paths[:, node])
    paths[paths < _NEVER // 2] = _NEVER
    return paths


class _Attempt:
    """Placing all operations at one interval."""

    def __init__(self, items: Sequence[Item], core: Core, graph: nx.MultiDiGraph, paths: np.ndarray, interval: int) -> None:
        self.items, self.core, self.graph, self.paths, self.interval = items, core, graph, paths, interval
        self.table = Table(core, interval)
        self.times = np.full(len(items), _NEVER, np.int64)
        self.slots = [""] * len(items)

    def _bounds(self, node: int) -> tuple[int, int, bool]:
        """Earliest and latest time that direct edges to what is placed allow, and longest paths; whether anything bounds it from below by a true path."""
        placed = self.times > _NEVER
        before, after = self.paths[:, node], self.paths[node]
        low = int(np.max(np.where(placed & (before > _NEVER), self.times + before, _NEVER), initial=_NEVER))
        high = int(np.min(np.where(placed & (after > _NEVER), self.times - after, -_NEVER), initial=-_NEVER))
        true = low > _NEVER
        for other, _, data in self.graph.in_edges(node, data=True):
            if other != node and placed[other]:
                low = max(low, int(self.times[other]) + data["delay"] - data["distance"] * self.interval)
        for _, other, data in self.graph.out_edges(node, data=True):
            if other != node and placed[other]:
                high = min(high, int(self.times[other]) - data["delay"] + data["distance"] * self.interval)
        return low, high, true

    def _put(self, node: int, time: int) -> bool:
        slot = self.table.slot(self.items[node].operation, time)
        if slot is None:
            return False
        self.table.take(slot, time)
        self.times[node], self.slots[node] = time, slot
        return True

    def forwards(self, nodes: Sequence[int], packets: int) -> bool:
        """Place operations in this order behind a cursor, spread over so many packets: what else takes their slots finds some everywhere."""
        cursor = 0
        for number, node in enumerate(nodes):
            low, high, _ = self._bounds(node)
            if not self._within(node, max(low, cursor, number * packets // len(nodes)), high):
                return False
            cursor = int(self.times[node])
        return True

    def _within(self, node: int, low: int, high: int) -> bool:
        return any(self._put(node, time) for time in range(low, min(high, low + self.interval - 1) + 1))

    def backwards(self, nodes: Iterable[int]) -> bool:
        """Place operations as late as possible: what is needed last first, of what is needed at the same time what has the least room."""
        windows = {node: self._bounds(node) for node in nodes}
        for node in sorted(windows, key=lambda node: (-windows[node][1], windows[node][1] - windows[node][0], -node)):
            low, high, _ = self._bounds(node)
            if high >= -_NEVER:
                high = max(low, 0)
            if not any(self._put(node, time) for time in range(high, max(low, high - self.interval + 1) - 1, -1)):
                return False
        return True

    def by_deadline(self, nodes: set[int]) -> bool:
        """Place operations as early as possible, of those whose operands are there the one whose latest time comes first."""
        waiting = {node: len({other for other, _, data in self.graph.in_edges(node, data=True) if other in nodes and data["true"] and not data["distance"]})
                   for node in sorted(nodes)}  # fmt: skip
        ready: list[tuple[int, int, int]] = []

        def now(node: int) -> None:
            low, high, _ = self._bounds(node)
            heappush(ready, (high, low, node))

        for node in [node for node, count in waiting.items() if not count]:
            now(node)
        while ready:
            node = heappop(ready)[2]
            low, high, true = self._bounds(node)
            if not self._within(node, low if true else max(low, 0), high):
                return False
            for other in {other for _, other, data in self.graph.out_edges(node, data=True) if data["true"] and not data["distance"]}:
                if other in waiting:
                    waiting[other] -= 1
                    if not waiting[other]:
                        now(other)
        return True


def _critical(items: Sequence[Item], core: Core, paths: np.ndarray) -> list[int]:
    """Of the busiest slots, of equal ones those that issue most, the operation that is issued most; none that follows from another one of these slots."""
    pressures = _pressures(items, core)
    number = {slots: sum(core.slots_of(item.operation) == slots for item in items) for slots in pressures}
    chosen = max(pressures, key=lambda slots: (pressures[slots], number[slots]))
    mine = [n for n, item in enumerate(items) if core.slots_of(item.operation) == chosen]
    names = [item.operation for item in items]
    most = max(dict.fromkeys(names[n] for n in mine), key=[names[n] for n in mine].count)
    return [n for n in mine if names[n] == most]


def schedule(items: Sequence[Item], core: Core, idle: int = 0) -> Schedule:
    """Times and slots of a body, at intervals of so many packets beyond the bound or more. Raises Misfit where none are found."""
    graph = dependences(items, core)
    bound = least_interval(items, core, graph)
    if not items:
        return Schedule(1, (), (), 1)
    paths = _longest(graph)
    critical = _critical(items, core, paths)
    needs = np.max(paths[:, critical], axis=1) > _NEVER
    before = [number for number in range(len(items)) if needs[number] and number not in set(critical)]
    after = set(range(len(items))) - set(critical) - set(before)
    for more in _MORE:
        interval = bound + idle + more
        attempt = _Attempt(items, core, graph, paths, interval)
        if attempt.forwards(critical, bound) and attempt.backwards(before) and attempt.by_deadline(after):
            first = int(attempt.times.min())
            return Schedule(interval, tuple(int(time) - first for time in attempt.times), tuple(attempt.slots), bound)
    raise Misfit(f"no schedule of {len(items)} operations at up to {_MORE[-1]} packets beyond the bound of {bound}")
