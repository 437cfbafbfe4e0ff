"""Pass: the order of the program, and the waits that keep it true.

    before   instructions in the order the layers were tiled, no waits
    after    instructions in the order in which they can start, each with the retire counts it must see

Two instructions depend on each other when they touch the same bytes and one writes, or when two engines use the same port of one bank
(`acg.footprint`). The earlier in the order of tiling goes first. A list scheduler with the engines' own timing then decides the order:
whenever an engine is free it takes, of its instructions whose predecessors are done, the one that can start first. Dispatch is in
order and waits point back only, so no program deadlocks.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from acg.footprint import Access, Footprints
from acg.graph import Graph
from acg.isa import COUNTER_BITS, Instruction
from acg.timing import engine_timing
from compiler.target import Target

#: A wait may not name a count so far back that the comparison modulo 2^16 turns round: half the range, less what queues can add.
FURTHEST_WAIT = (1 << (COUNTER_BITS - 1)) // 2


#: Of the instructions an engine could take next, this many are looked at.
LOOK_AHEAD = 32
#: Accesses to external memory are looked up by pages of this many bytes.
PAGE_BYTES = 1 << 16


def _places(access: Access, external: bool) -> range:
    """Pages of external memory, or banks of another, that an access may touch."""
    if external:
        return range(access.lo_byte // PAGE_BYTES, (access.hi_byte - 1) // PAGE_BYTES + 1)
    return range(access.first_bank, access.last_bank + 1)


class _History:
    """Accesses so far, by memory, page and direction: each entry is (instruction number, engine, Access)."""

    def __init__(self, external: str) -> None:
        self.external = external
        self.entries: dict[tuple[str, int, bool], list[tuple[int, str, Access]]] = {}

    def conflicts(self, engine: str, accesses: Sequence[Access]) -> dict[int, bool]:
        """Earlier instructions that must go first: number to whether their retire must be awaited (else the order of starts suffices)."""
        found: dict[int, bool] = {}
        for access in accesses:
            lo, hi = access.lo_byte, access.hi_byte
            for place in _places(access, access.memory == self.external):
                for write in (True, False) if access.write else (True,):
                    for number, other_engine, other in self.entries.get((access.memory, place, write), ()):
                        if lo < other.hi_byte and other.lo_byte < hi:
                            found[number] = found.get(number, False) or awaits(engine, access, other_engine, other)
        return found

    def add(self, number: int, engine: str, accesses: Sequence[Access]) -> None:
        """Remember an instruction's accesses. What a write covers whole is ordered through that write from now on: forget it."""
        for access in accesses:
            lo, hi = access.lo_byte, access.hi_byte
            for place in _places(access, access.memory == self.external):
                if access.write:
                    for write in (True, False):
                        rows = self.entries.get((access.memory, place, write))
                        if rows:
                            rows[:] = [row for row in rows if row[0] == number or row[2].lo_byte < lo or row[2].hi_byte > hi]
                self.entries.setdefault((access.memory, place, access.write), []).append((number, engine, access))


def awaits(engine: str, access: Access, other_engine: str, other: Access) -> bool:
    """Whether an access must await the retire of an earlier one to the same bytes, one of the two writing.

    One engine runs in order and pipelined: the order of starts suffices for write after read and write after write, and where the
    engine keeps the order itself.
    """
    if engine != other_engine:
        return True
    return other.write and not access.write and not (access.self_ordered and other.self_ordered)


def order(graph: Graph, instructions: Sequence[Instruction]) -> list[int]:
    """Order of the program as positions in `instructions`: by list scheduling with the engines' timing."""
    footprints = Footprints(graph)
    history = _History(graph.external.name)
    emptying = {path.engine.name for paths in Target(graph).out_of.values() for path in paths}
    newest: dict[str, int] = {}
    needs: list[dict[int, bool]] = []
    ports: list[_Ports] = []
    followers: list[list[int]] = [[] for _ in instructions]
    for number, instruction in enumerate(instructions):
        accesses = footprints(instruction)
        found = history.conflicts(instruction.engine, accesses)
        if instruction.engine in emptying:  # these keep their order: their strided rows interleave, and nothing is gained
            found = {earlier: kind for earlier, kind in found.items() if kind}
            if instruction.engine in newest:
                found.setdefault(newest[instruction.engine], False)
            newest[instruction.engine] = number
        needs.append(found)
        ports.append(_Ports(instruction.engine, accesses, graph.external.name))
        for earlier in found:
            followers[earlier].append(number)
        history.add(number, instruction.engine, accesses)
    return _list_schedule(graph, instructions, needs, followers, ports)


class _Ports:
    """Until when other engines hold the read and write ports of the banks that an instruction uses."""

    def __init__(self, engine: str, accesses: Sequence[Access], external: str) -> None:
        self.engine = engine
        self.keys = tuple({(a.memory, a.write, bank) for a in accesses if a.memory != external for bank in range(a.first_bank, a.last_bank + 1)})

    def free(self, held: dict[tuple, dict[str, int]]) -> int:
        """Earliest cycle at which no other engine holds one of them."""
        return max((cycle for key in self.keys for name, cycle in held.get(key, {}).items() if name != self.engine), default=0)

    def take(self, held: dict[tuple, dict[str, int]], until: int) -> None:
        """Hold them until a cycle."""
        for key in self.keys:
            held.setdefault(key, {})[self.engine] = until


def _list_schedule(
    graph: Graph, instructions: Sequence[Instruction], needs: list[dict[int, bool]], followers: list[list[int]], ports: list[_Ports]
) -> list[int]:
    timings = {name: engine_timing(graph, name) for name in graph.engines}
    waiting = [len(found) for found in needs]
    earliest = [0] * len(instructions)
    held: dict[tuple, dict[str, int]] = {}
    # Of each engine: instructions whose predecessors are scheduled. Among those that could start at once, the order of tiling decides.
    ready: dict[str, list[int]] = {name: [] for name in graph.engines}
    for number, instruction in enumerate(instructions):
        if waiting[number] == 0:
            ready[instruction.engine].append(number)
    program: list[tuple[int, int]] = []
    for _ in instructions:
        best: tuple[int, int] | None = None
        for name, pool in ready.items():
            free = timings[name].ready_cycle
            for number in pool[:LOOK_AHEAD]:
                start = max(free, earliest[number], ports[number].free(held))
                if best is None or (start, number) < best:
                    best = (start, number)
                if start <= free:
                    break
        assert best is not None, "a dependence points forward"
        start, number = best
        instruction = instructions[number]
        ready[instruction.engine].remove(number)
        retire = timings[instruction.engine].start(start, instruction.fields)
        ports[number].take(held, retire + 1)
        program.append((start, number))
        for follower in followers[number]:
            after = retire + 1 if needs[follower][number] else start + 1
            earliest[follower] = max(earliest[follower], after)
            waiting[follower] -= 1
            if waiting[follower] == 0:
                insort(ready[instructions[follower].engine], follower)
    return [number for _, number in sorted(program)]


class _Awaited:
    """Finds, for each instruction, the youngest instruction of each engine that it must await."""

    def __init__(self, graph: Graph) -> None:
        self.engines = tuple(graph.engines)
        self.external = graph.external.name
        self.past: dict[tuple[str, str, int, bool], list[tuple[int, Access]]] = {}

    def youngest(self, engine: str, access: Access, other: str, floor: int) -> int:
        """Retire count of `other` that an access must see; `floor` where none beyond it."""
        for place in _places(access, access.memory == self.external):
            same = self.past.get((access.memory, other, place, access.write))
            if same and other != engine:
                if access.memory != self.external:  # one port of one bank
                    floor = max(floor, same[-1][0])
                elif access.write:
                    floor = self._overlapping(engine, access, other, same, floor)
            opposite = self.past.get((access.memory, other, place, not access.write))
            if opposite and (other != engine or not access.write):
                floor = self._overlapping(engine, access, other, opposite, floor)
        return floor

    @staticmethod
    def _overlapping(engine: str, access: Access, other_engine: str, rows: list[tuple[int, Access]], floor: int) -> int:
        lo, hi = access.lo_byte, access.hi_byte
        for count, other in reversed(rows):
            if count <= floor:
                break
            if lo < other.hi_byte and other.lo_byte < hi and awaits(engine, access, other_engine, other):
                return count
        return floor

    def add(self, engine: str, count: int, accesses: Sequence[Access]) -> None:
        """Remember the accesses of an engine's `count`-th instruction."""
        for access in accesses:
            for place in _places(access, access.memory == self.external):
                self.past.setdefault((access.memory, engine, place, access.write), []).append((count, access))


def add_waits(graph: Graph, instructions: Sequence[Instruction]) -> list[Instruction]:
    """Give every instruction the retire counts it must see, the least that order all conflicts.

    An instruction does not name what an earlier one of its own engine has awaited already: engines run in order.
    """
    footprints = Footprints(graph)
    past = _Awaited(graph)
    counts = dict.fromkeys(graph.engines, 0)
    known = {name: dict.fromkeys(graph.engines, 0) for name in graph.engines}
    result = []
    for instruction in instructions:
        engine = instruction.engine
        accesses = footprints(instruction)
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


def schedule(graph: Graph, instructions: Sequence[Instruction], *, reorder: bool = True) -> tuple[list[Instruction], list[int]]:
    """Order the program and add its waits; returns the instructions and, for each, its position in the order of tiling."""
    positions = order(graph, instructions) if reorder else list(range(len(instructions)))
    return add_waits(graph, [instructions[number] for number in positions]), positions
