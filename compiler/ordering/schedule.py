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

from acg.fields import COUNTER_BITS
from acg.footprint import Access
from acg.isa import Instruction
from acg.machine import Machine
from compiler.ordering.dependences import dependences
from compiler.ordering.list_schedule import list_schedule
from compiler.placing.stretches import Stretches

#: A wait may not name a count so far back that the comparison modulo 2^16 turns round: half the range, less what queues can add.
FURTHEST_WAIT = (1 << (COUNTER_BITS - 1)) // 2
#: No engine had such an access.
_NOBODY: dict = {}


def _footprints(machine: Machine, instructions: Sequence[Instruction]) -> list[list[Access]]:
    return [machine.footprints(instruction) for instruction in instructions]


def order(machine: Machine, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]] | None = None) -> list[int]:
    """Order of the program as positions in `instructions`: by list scheduling with the engines' timing.

    Engines that empty memories keep their order: their strided rows interleave, and nothing is gained. `footprints`: accesses of
    each instruction, where they are known.
    """
    footprints = footprints or _footprints(machine, instructions)
    return _listed(machine, instructions, footprints)[0]


def _listed(machine: Machine, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]]) -> tuple[list[int], int]:
    return list_schedule(machine, instructions, footprints, dependences(machine.graph, instructions, footprints, machine.emptying))


class _Past:
    """Accesses of one engine to one memory: for every byte the count of the youngest, and the count of the youngest of all."""

    __slots__ = ("counts", "youngest")

    def __init__(self) -> None:
        self.counts, self.youngest = Stretches(), 0


class _Awaited:
    """Finds, for each instruction, the youngest instruction of each engine that it must await."""

    def __init__(self, machine: Machine) -> None:
        self.external = machine.graph.external.name
        #: By memory, write and self_ordered, of each engine that had such an access.
        self._bytes: dict[tuple[str, bool, bool], dict[str, _Past]] = {}
        #: By memory, write and bank, of each engine that had such an access: the count of its youngest, of each beat.
        self._ports: dict[tuple[str, bool, int], dict[str, dict[str, int]]] = {}
        #: Engines and memories that more than one of its ports read, or write.
        self._several = machine.shared_ports

    def raise_to(self, floors: dict[str, int], engine: str, access: Access) -> None:
        """Raise the retire count of each engine in `floors` to what an access must see of it. What awaits what: see `compiler.ordering.dependences`."""
        memory, write = access.memory, access.write
        if memory != self.external:  # one port of one bank
            several = (engine, memory, write) in self._several
            for bank in range(access.first_bank, access.last_bank + 1):
                for other, beats in self._ports.get((memory, write, bank), _NOBODY).items():
                    if other != engine or several:
                        for beat, count in beats.items():
                            if count > floors[other] and (other != engine or beat != access.beat):
                                floors[other] = count
        for direction in (True, False) if write else (True,):
            for ordered in (True, False):
                kept = write or (ordered and access.self_ordered)  # by the engine itself, against its own
                for other, past in self._bytes.get((memory, direction, ordered), _NOBODY).items():
                    if past.youngest > floors[other] and not (kept and other == engine):
                        floors[other] = max(floors[other], past.counts.greatest(access.lo_byte, access.hi_byte))

    def add(self, engine: str, count: int, accesses: Sequence[Access]) -> None:
        """Remember the accesses of an engine's `count`-th instruction."""
        for access in accesses:
            memory, write = access.memory, access.write
            past = self._bytes.setdefault((memory, write, access.self_ordered), {}).setdefault(engine, _Past())
            past.counts.fill(access.lo_byte, access.hi_byte, count)
            past.youngest = count
            if memory != self.external:
                for bank in range(access.first_bank, access.last_bank + 1):
                    self._ports.setdefault((memory, write, bank), {}).setdefault(engine, {})[access.beat] = count


def add_waits(machine: Machine, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]] | None = None) -> list[Instruction]:
    """Give every instruction the retire counts it must see, the least that order all conflicts.

    An instruction does not name what an earlier one of its own engine has awaited already: engines run in order. `footprints`:
    accesses of each instruction, where they are known.
    """
    footprints = footprints or _footprints(machine, instructions)
    past, engines = _Awaited(machine), tuple(machine.graph.engines)
    counts = dict.fromkeys(engines, 0)
    known = {name: dict.fromkeys(engines, 0) for name in engines}
    result = []
    for instruction, accesses in zip(instructions, footprints, strict=True):
        engine = instruction.engine
        waits = {}
        seen = dict(known[engine])
        for access in accesses:
            past.raise_to(seen, engine, access)
        for other, floor in known[engine].items():
            count = seen[other]
            # Engines may run no further apart than the counters can tell: neither behind the others nor, at each meeting, ahead of them.
            meeting = counts[engine] and counts[engine] % (FURTHEST_WAIT // 2) == 0
            count = max(count, counts[other] if meeting and other != engine else counts[other] - FURTHEST_WAIT)
            if count > floor:
                waits[other] = count & ((1 << COUNTER_BITS) - 1)
                seen[other] = count
        known[engine] = seen
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


@dataclass(frozen=True)
class Ordered:
    """A program in its order, without waits: instructions, for each its position in the order of tiling, and its accesses. `end`: the cycle at which the last
    would retire, as list scheduling has it: all but the fetching of instructions is in it; None where the order is that of tiling."""

    instructions: list[Instruction]
    positions: list[int]
    accesses: list[list[Access]]
    end: int | None

    def scheduled(self, machine: Machine) -> Scheduled:
        """With its waits."""
        return Scheduled(add_waits(machine, self.instructions, self.accesses), self.positions, self.accesses)


def ordered(machine: Machine, instructions: Sequence[Instruction], *, reorder: bool = True) -> Ordered:
    """Order the program."""
    footprints = _footprints(machine, instructions)
    positions, end = _listed(machine, instructions, footprints) if reorder else (list(range(len(instructions))), None)
    return Ordered([instructions[number] for number in positions], positions, [footprints[number] for number in positions], end)


def schedule(machine: Machine, instructions: Sequence[Instruction], *, reorder: bool = True) -> Scheduled:
    """Order the program and add its waits."""
    return ordered(machine, instructions, reorder=reorder).scheduled(machine)
