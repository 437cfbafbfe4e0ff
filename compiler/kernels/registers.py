"""Pass: cells of a schedule -> registers: arcs on the circle of the loop, first fit.

    before   w.0 lives from 5 to 9, w.1 from 9 to 13, w.2 from 13 to 17                 interval 8
    after    w.0: r0   w.1: r1   w.2: r0                                                17 mod 8 = 1: it is over before w.0 begins again

A cell lives from where its first write lands to its last read; what is carried into the next iteration, and constants, always. No arc is longer than the
interval: an edge of the dependences says so, so that no value needs a second copy of the loop. Arcs are taken from the cycle in which fewest live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit

__all__ = ["Arc", "allocate", "arcs"]


@dataclass(frozen=True)
class Arc:
    """Cycles [start, end) in which a cell lives, counted from where its iteration begins."""

    cell: str
    start: int
    end: int


def arcs(items: Sequence[Item], times: Sequence[int], core: Core, interval: int) -> list[Arc]:
    """Arcs of the cells that a body writes. Of one that is read before it is written, the whole circle."""
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    carried: set[str] = set()
    written = {item.result for item in items if item.result}
    for item, time in zip(items, times, strict=True):
        for name, value in item.reads.items():
            if value in written:
                if value not in starts:
                    carried.add(value)
                ends[value] = max(ends.get(value, -(1 << 30)), time + core.read_stage(item.operation, name) + 1)
        if item.result:
            landed = time + core.latency[item.operation]
            starts[item.result] = min(starts.get(item.result, landed), landed)
    return [
        Arc(name, 0, interval) if name in carried else Arc(name, start, max(ends.get(name, start + 1), start + 1)) for name, start in starts.items()
    ]


def _cycles(arc: Arc, interval: int) -> np.ndarray:
    """Cycles of the circle that an arc takes."""
    return np.arange(arc.start, min(arc.end, arc.start + interval)) % interval


def allocate(
    found: Sequence[Arc], interval: int, registers: int, *, constants: Sequence[str] = (), ending: Sequence[Arc] = ()
) -> Mapping[str, int]:
    """Register of each cell; `constants` have one of their own, `ending` are arcs on the line of a head of several intervals.

    Raises Misfit where there are too few.
    """
    taken = {name: number for number, name in enumerate(constants)}
    busy = np.zeros((max(registers - len(taken), 0), interval), bool)
    live = np.zeros(interval, np.int64)
    for arc in found:
        live[_cycles(arc, interval)] += 1
    origin = int(np.argmin(live))
    order = sorted(found, key=lambda arc: (-(arc.end - arc.start >= interval), (arc.start - origin) % interval, arc.cell))
    for arc in order:
        cycles = _cycles(arc, interval)
        free = np.flatnonzero(~busy[:, cycles].any(1))
        if not free.size:
            raise Misfit(f"{len(taken) - len(constants)} of {len(found)} cells and {len(constants)} constants take {registers} registers, "
                         f"{int(live.max())} live at once")
        busy[free[0], cycles] = True
        taken[arc.cell] = len(constants) + int(free[0])
    if ending:
        length = max(arc.end for arc in ending)
        line = np.zeros((busy.shape[0], length), bool)
        for arc in sorted(ending, key=lambda arc: (arc.start, arc.cell)):
            span = slice(arc.start, arc.end)
            free = np.flatnonzero(~busy[:, _cycles(arc, interval)].any(1) & ~line[:, span].any(1))
            if not free.size:
                raise Misfit(f"no register for {arc.cell} at the end of a tile")
            line[free[0], span] = True
            taken[arc.cell] = len(constants) + int(free[0])
    return taken
