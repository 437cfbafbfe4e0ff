"""Pass: the order of the program, and the waits that keep it true.

    before   instructions in the order the layers were tiled, no waits
    after    instructions in the order in which they can start, each with the retire counts it must see

Two instructions depend on each other when they touch the same bytes and one writes, or when the same port of one bank is used by two engines,
or by two ports of one that do not keep step (`acg.footprint`). The earlier in the order of tiling goes first. A list scheduler with the engines'
own timing then decides the order:
whenever an engine is free it takes, of its instructions whose predecessors are done, the one that can start first. Dispatch is in
order and waits point back only, so no program deadlocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acg.footprint import Access, Footprints
from acg.graph import Graph
from acg.isa import COUNTER_BITS, Instruction
from compiler.ordering.dependences import dependences
from compiler.ordering.list_schedule import list_schedule, shared_ports
from compiler.placing.stretches import Stretches
from compiler.target import Target

#: A wait may not name a count so far back that the comparison modulo 2^16 turns round: half the range, less what queues can add.
FURTHEST_WAIT = (1 << (COUNTER_BITS - 1)) // 2
#: No access of any port.
_NONE = {"": 0}


def _footprints(graph: Graph, instructions: Sequence[Instruction]) -> list[list[Access]]:
    footprint = Footprints(graph)
    return [footprint(instruction) for instruction in instructions]


def order(graph: Graph, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]] | None = None) -> list[int]:
    """Order of the program as positions in `instructions`: by list scheduling with the engines' timing.

    Engines that empty memories keep their order: their strided rows interleave, and nothing is gained. `footprints`: accesses of
    each instruction, where they are known.
    """
    footprints = footprints or _footprints(graph, instructions)
    emptying = frozenset(path.engine.name for paths in Target(graph).out_of.values() for path in paths)
    return list_schedule(graph, instructions, footprints, dependences(graph, instructions, footprints, emptying))


class _Awaited:
    """Finds, for each instruction, the youngest instruction of each engine that it must await."""

    def __init__(self, graph: Graph) -> None:
        self.external = graph.external.name
        #: By memory, engine, write and self_ordered: for every byte the count of its youngest access.
        self._bytes: dict[tuple[str, str, bool, bool], Stretches] = {}
        #: By memory, engine, write and bank: the count of its youngest access, of each beat.
        self._ports: dict[tuple[str, str, bool, int], dict[str, int]] = {}
        #: Engines and memories that more than one of its ports read, or write.
        self._several = shared_ports(graph)

    def youngest(self, engine: str, access: Access, other: str, floor: int) -> int:
        """Retire count of `other` that an access must see; `floor` where none beyond it. What awaits what: see `compiler.ordering.dependences`."""
        memory, write = access.memory, access.write
        if other == engine:
            if (engine, memory, write) in self._several:
                for bank in range(access.first_bank, access.last_bank + 1):
                    floor = max([floor, *(count for beat, count in self._ports.get((memory, other, write, bank), {}).items() if beat != access.beat)])
            if not write:
                floor = max(floor, *(self._overlapping(access, other, True, ordered) for ordered in ((False,) if access.self_ordered else (False, True))))
            return floor
        if memory != self.external:  # one port of one bank
            for bank in range(access.first_bank, access.last_bank + 1):
                floor = max(floor, *self._ports.get((memory, other, write, bank), _NONE).values())
        for direction in (True, False) if write else (True,):
            for ordered in (True, False):
                floor = max(floor, self._overlapping(access, other, direction, ordered))
        return floor

    def _overlapping(self, access: Access, other: str, write: bool, self_ordered: bool) -> int:
        counts = self._bytes.get((access.memory, other, write, self_ordered))
        return 0 if counts is None else counts.greatest(access.lo_byte, access.hi_byte)

    def add(self, engine: str, count: int, accesses: Sequence[Access]) -> None:
        """Remember the accesses of an engine's `count`-th instruction."""
        for access in accesses:
            kind = access.memory, engine, access.write
            self._bytes.setdefault((*kind, access.self_ordered), Stretches()).fill(access.lo_byte, access.hi_byte, count)
            if access.memory != self.external:
                for bank in range(access.first_bank, access.last_bank + 1):
                    self._ports.setdefault((*kind, bank), {})[access.beat] = count


def add_waits(graph: Graph, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]] | None = None) -> list[Instruction]:
    """Give every instruction the retire counts it must see, the least that order all conflicts.

    An instruction does not name what an earlier one of its own engine has awaited already: engines run in order. `footprints`:
    accesses of each instruction, where they are known.
    """
    footprints = footprints or _footprints(graph, instructions)
    past = _Awaited(graph)
    counts = dict.fromkeys(graph.engines, 0)
    known = {name: dict.fromkeys(graph.engines, 0) for name in graph.engines}
    result = []
    for instruction, accesses in zip(instructions, footprints, strict=True):
        engine = instruction.engine
        waits = {}
        for other in graph.engines:
            floor = known[engine][other]
            count = max([floor, *(past.youngest(engine, access, other, floor) for access in accesses)])
            # Engines may run no further apart than the counters can tell: neither behind the others nor, at each meeting, ahead of them.
            meeting = counts[engine] and counts[engine] % (FURTHEST_WAIT // 2) == 0
            count = max(count, counts[other] if meeting and other != engine else counts[other] - FURTHEST_WAIT)
            if count > floor:
                waits[other] = count & ((1 << COUNTER_BITS) - 1)
                known[engine][other] = count
        counts[engine] += 1
        past.add(engine, counts[engine], accesses)
        result.append(Instruction(engine, instruction.fields, waits))
    return result


@dataclass(frozen=True)
class Scheduled:
    """A program in its order: instructions with their waits, for each its position in the order of tiling, and its accesses."""

    instructions: list[Instruction]
    positions: list[int]
    accesses: list[list[Access]]


def schedule(graph: Graph, instructions: Sequence[Instruction], *, reorder: bool = True) -> Scheduled:
    """Order the program and add its waits."""
    footprints = _footprints(graph, instructions)
    positions = order(graph, instructions, footprints) if reorder else list(range(len(instructions)))
    accesses = [footprints[number] for number in positions]
    return Scheduled(add_waits(graph, [instructions[number] for number in positions], accesses), positions, accesses)
