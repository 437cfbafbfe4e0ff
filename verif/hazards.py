"""Are all instructions that share bytes or bank ports ordered? Checked on a timeline, independent of who computed the waits.

Two instructions are ordered when the one that is later in the program starts after the other's retire; to be done before the other starts is no
order. Unordered ones must neither use the same read (or write) port of a bank on different engines, or over ports of one engine that do not keep step,
nor touch common bytes of which one writes some.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from acg.footprint import Access
from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.kinds.spec import Stream
from acg.machine import machine_of
from acg.predictor import Timeline

__all__ = ["Hazard", "find_hazards"]


@dataclass(frozen=True)
class Hazard:
    """Instructions ``earlier`` and ``later`` (numbers in program order) overlap in time and meet in ``memory``.

    ``kind``: 'race' (common bytes, one writes) or 'port' (one port of one bank).
    """

    kind: str
    earlier: int
    later: int
    memory: str

    def __str__(self) -> str:
        what = "touch common bytes of" if self.kind == "race" else "use one port of one bank of"
        return f"instructions {self.earlier} and {self.later} {what} {self.memory} without an order; expected a wait between them"


def _own_order(engine: Engine, first: Instruction, second: Instruction) -> bool:
    """Whether an engine keeps the order of its self-ordered accesses itself: the same words in the same order, new sums, or other words."""
    kind = engine.specification
    for stream in (stream for stream in kind.streams if stream.self_ordered):
        adds = [offer.accumulate for offer in kind.offers if offer.result == stream.prefix]
        anew = all(name and not second.fields.get(name, 0) for name in adds)
        same = all(first.fields.get(name) == second.fields.get(name) for name in stream.walk)
        if not same and not anew and np.intersect1d(_words(stream, first), _words(stream, second)).size:
            return False
    return True


def _words(stream: Stream, instruction: Instruction) -> np.ndarray:
    """Words that a stream visits, in port words."""
    fields = instruction.fields
    words = np.array([fields.get(f"{stream.prefix}_base", 0)], np.int64)
    for level in stream.levels:
        words = (words[:, None] + np.arange(fields.get(f"n_{level}", 1)) * fields.get(f"{stream.prefix}_stride_{level}", 0)).reshape(-1)
    return words


def _meet(first: Access, second: Access, same_engine: bool, external: str, own_order: bool = True) -> str | None:
    if first.memory != second.memory:
        return None
    if first.write != second.write and first.lo_byte < second.hi_byte and second.lo_byte < first.hi_byte:
        # An engine starts its instructions in order: only a later read of an earlier write can come too early.
        return None if same_engine and (second.write or (own_order and first.self_ordered and second.self_ordered)) else "race"
    ports_meet = first.write == second.write and first.first_bank <= second.last_bank and second.first_bank <= first.last_bank
    if same_engine and first.memory != external and first.beat != second.beat:
        return "port" if ports_meet else None
    if same_engine or first.memory == external:
        overlaps = first.lo_byte < second.hi_byte and second.lo_byte < first.hi_byte
        return "race" if first.write and second.write and overlaps and not same_engine else None
    return "port" if ports_meet else None


def find_hazards(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline, *, most: int = 100,
                 footprint: Callable[[Instruction], list[Access]] | None = None) -> list[Hazard]:
    """Unordered pairs that meet, at most ``most``, in order of the later instruction's start."""
    footprint = footprint or machine_of(graph).footprints
    accesses = [footprint(instruction) for instruction in instructions]
    order = sorted(range(len(instructions)), key=lambda number: (int(timeline.start[number]), number))
    found: list[Hazard] = []
    active: list[int] = []
    early: list[int] = []  # done, and behind an instruction of the program that has not started
    waiting, started = 0, np.zeros(len(instructions), bool)
    for number in order:
        start = int(timeline.start[number])
        started[number] = True
        while waiting < len(started) and started[waiting]:
            waiting += 1
        early = [other for other in (*early, *(other for other in active if int(timeline.retire[other]) < start)) if other > min(number, waiting)]
        active = [other for other in active if int(timeline.retire[other]) >= start]
        for other in (*active, *(other for other in early if other > number)):
            first, second = min(number, other), max(number, other)
            same = instructions[first].engine == instructions[second].engine
            pairs = ((a, b) for a in accesses[first] for b in accesses[second])
            own = not same or _own_order(graph.engines[instructions[first].engine], instructions[first], instructions[second])
            kinds = {(kind, a.memory) for a, b in pairs if (kind := _meet(a, b, same, graph.external.name, own)) and (kind == "race" or other in active)}
            found += [Hazard(kind, first, second, memory) for kind, memory in sorted(kinds)]
            if len(found) >= most:
                return found[:most]
        active.append(number)
    return found
