"""Bytes of each memory on chip that hold something still to be read, over time."""

from collections.abc import Sequence

import numpy as np

from acg.footprint import Access
from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.predictor import Timeline

__all__ = ["occupancy"]


class _Memory:
    """Intervals of bytes: from when they are written to their last read before they are written again."""

    def __init__(self) -> None:
        self.live: list[list[int]] = []  # low, high, birth, last read (-1: none), ascending and apart
        self.done: list[tuple[int, int, int]] = []  # bytes, from, until

    def _close(self, size: int, birth: int, last: int) -> None:
        if last >= birth:
            self.done.append((size, birth, last))

    def write(self, low: int, high: int, cycle: int) -> None:
        kept: list[list[int]] = []
        for one in self.live:
            a, b, birth, last = one
            if b <= low or high <= a:
                kept.append(one)
                continue
            self._close(min(b, high) - max(a, low), birth, last)
            kept += [[a, low, birth, last]] * (a < low) + [[high, b, birth, last]] * (high < b)
        kept.append([low, high, cycle, -1])
        self.live = sorted(kept)

    def read(self, low: int, high: int, until: int) -> None:
        for one in self.live:
            if one[0] < high and low < one[1]:
                one[3] = max(one[3], until)

    def close(self) -> list[tuple[int, int, int]]:
        for low, high, birth, last in self.live:
            self._close(high - low, birth, last)
        self.live = []
        return self.done


def occupancy(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline, *, samples: int = 240) -> dict[str, list[int]]:
    """For each memory on chip the bytes in use at ``samples`` cycles evenly spread over the program: those between their write and their last read."""
    footprints = machine_of(graph).footprints
    memories = {name: _Memory() for name, memory in graph.memories.items() if memory.kind != "external"}
    events: list[tuple[int, int, Access, int]] = []
    for number, instruction in enumerate(instructions):
        for access in footprints(instruction):
            if access.memory in memories:
                events.append((int(timeline.start[number]), number, access, int(timeline.retire[number])))
    for start, _, access, retire in sorted(events, key=lambda event: (event[0], event[1], event[2].write)):
        memory = memories[access.memory]
        if access.write:
            memory.write(access.lo_byte, access.hi_byte, start)
        else:
            memory.read(access.lo_byte, access.hi_byte, retire)
    at = np.linspace(0, max(0, timeline.total_cycles - 1), samples).astype(np.int64)
    result = {}
    for name, memory in memories.items():
        used = np.zeros(samples, np.int64)
        for size, birth, last in memory.close():
            used[np.searchsorted(at, birth) : np.searchsorted(at, last, side="right")] += size
        result[name] = used.tolist()
    return result
