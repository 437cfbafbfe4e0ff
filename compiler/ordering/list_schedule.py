"""List scheduling: whenever an engine is free it takes, of its instructions whose predecessors are done, the one that can start first."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from acg.footprint import Access
from acg.isa import Instruction
from acg.machine import Machine
from compiler.ordering.dependences import Needs

#: Of the instructions an engine could take next, this many are looked at.
LOOK_AHEAD = 32


class _Ports:
    """Until when engines hold the read and write ports of banks: of each port, by engine and beat, a cycle that only grows."""

    def __init__(self, machine: Machine, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]]) -> None:
        external = machine.graph.external.name
        self._held: dict[tuple[str, bool, int], dict[tuple[str, str], int]] = {}
        #: For each instruction the ports it uses, and as whom: its engine, and its own port where the engine has several there.
        self._of: list[tuple[tuple[dict[tuple[str, str], int], tuple[str, str]], ...]] = []
        several = machine.shared_ports
        for instruction, accesses in zip(instructions, footprints, strict=True):
            engine = instruction.engine
            keys = {((a.memory, a.write, bank), a.beat if (engine, a.memory, a.write) in several else "")
                    for a in accesses if a.memory != external for bank in range(a.first_bank, a.last_bank + 1)}
            self._of.append(tuple((self._held.setdefault(key, {}), (engine, beat)) for key, beat in sorted(keys)))

    def free(self, number: int, at_least: int) -> int:
        """Earliest cycle from `at_least` on at which nobody else holds a port of an instruction."""
        cycle = at_least
        for holders, own in self._of[number]:
            for name, until in holders.items():
                if until > cycle and name != own:
                    cycle = until
        return cycle

    def take(self, number: int, until: int) -> None:
        """Hold the ports of an instruction until a cycle."""
        for holders, own in self._of[number]:
            holders[own] = until


class _Queue:
    """Instructions of one engine whose predecessors are scheduled, and of them the one to take next."""

    def __init__(self, timing, ports: _Ports, earliest: list[int]) -> None:
        self.timing, self.ports, self.earliest = timing, ports, earliest
        self._pool: list[int] = []
        self._best: tuple[int, int] | None = None

    def add(self, number: int) -> None:
        """An instruction's predecessors are scheduled."""
        insort(self._pool, number)
        self._best = None

    def remove(self, number: int) -> None:
        """An instruction is scheduled."""
        self._pool.remove(number)
        self._best = None

    def best(self) -> tuple[int, int] | None:
        """(start, number) of the instruction that can start first, the first of those in the order of tiling; None where none is ready.

        Ports are only ever held longer, so that an answer stands for as long as its own start does and the pool is the same.
        """
        free = self.timing.ready_cycle
        if self._best is not None and self._start(self._best[1], free) == self._best[0]:
            return self._best
        best: tuple[int, int] | None = None
        for number in self._pool[:LOOK_AHEAD]:
            start = self._start(number, free)
            if best is None or start < best[0]:
                best = (start, number)
            if start <= free:
                break
        self._best = best
        return best

    def _start(self, number: int, free: int) -> int:
        return self.ports.free(number, max(free, self.earliest[number]))


def list_schedule(
    machine: Machine, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]], needs: Sequence[Needs]
) -> tuple[list[int], int]:
    """Order of the program as positions in `instructions`, by the cycles at which they would start; and the cycle at which the last would retire."""
    followers: list[list[int]] = [[] for _ in instructions]
    for number, need in enumerate(needs):
        for earlier in need:
            followers[earlier].append(number)
    waiting = [len(need) for need in needs]
    earliest = [0] * len(instructions)
    ports = _Ports(machine, instructions, footprints)
    queues = {name: _Queue(timing, ports, earliest) for name, timing in machine.timings().items()}
    for number, instruction in enumerate(instructions):
        if waiting[number] == 0:
            queues[instruction.engine].add(number)
    program: list[tuple[int, int]] = []
    end = 0
    for _ in instructions:
        best = min((found for queue in queues.values() if (found := queue.best()) is not None), default=None)
        assert best is not None, "a dependence points forward"
        start, number = best
        instruction = instructions[number]
        queue = queues[instruction.engine]
        queue.remove(number)
        retire = queue.timing.start(start, instruction.fields)
        ports.take(number, retire + 1)
        program.append(best)
        if retire > end:
            end = retire
        for follower in followers[number]:
            after = retire + 1 if needs[follower][number] else start + 1
            if after > earliest[follower]:
                earliest[follower] = after
            waiting[follower] -= 1
            if waiting[follower] == 0:
                queues[instructions[follower].engine].add(follower)
    return [number for _, number in sorted(program)], end
