"""Pass: times, slots and registers -> packets: prologue, head, body.

    before   interval 4;  LDV w.0 at 0 in L, DOT acc.0 at 5 in M0, DOT acc.1 at 5 in M1, REQ y.0 at 9 in X
    after    body  0: L: LDV (stage 0)
                   1: M0: DOT (stage 1) | M1: DOT (stage 1) | X: REQ (stage 2)
                   2: -
                   3: -

An operation at time t goes into packet t mod interval with stage t / interval: it is on where an iteration that began so many before it is one of those to be
done. What follows a tile stands in copies of the body, the head, with the stage that makes it part of the tile before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from acg.kinds.core.packets import Op
from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.ending import Ending, ending_arcs, place_ending
from compiler.kernels.modulo import Schedule, schedule
from compiler.kernels.registers import allocate, arcs

__all__ = ["Packed", "pack"]

Packet = dict[str, Op]


@dataclass(frozen=True, eq=False)
class Packed:
    """A kernel: `prologue`, `head` (copies of the body, or nothing) and `body`; what follows the last tile takes `drain` packets, of the head and then the
    body. `bound`: least packets of an iteration; `registers`: those it uses."""

    prologue: tuple[Packet, ...]
    head: tuple[Packet, ...]
    body: tuple[Packet, ...]
    drain: int
    bound: int
    registers: int

    @property
    def packets(self) -> tuple[Packet, ...]:
        """All of them, as they stand in the code memory."""
        return (*self.prologue, *self.head, *self.body)

    @property
    def head_iterations(self) -> int:
        """Iterations of the head."""
        return len(self.head) // len(self.body)


class _Packer:
    def __init__(self, core: Core, registers: Mapping[str, int]) -> None:
        self.core, self.registers = core, registers

    def operation(self, item: Item, stage: int, *, begins: bool = False) -> Op:
        """The operation of an item; `begins`: in the first iteration of a tile."""
        if stage >= self.core.stages:
            raise Misfit(f"{item} is {stage} iterations behind, at most {self.core.stages - 1}")
        reads = {**item.reads, **item.first} if begins else item.reads
        fields = {name: self.registers[value] for name, value in reads.items()} | dict(item.numbers)
        if item.result:
            fields["d"] = self.registers[item.result]
        if item.stream:
            fields["s"] = int(item.stream.lstrip("inout"))
            streams = self.core.out_streams if item.stream.startswith("out") else self.core.in_streams
            if fields["s"] >= streams:
                raise Misfit(f"{item} takes stream {fields['s']}, the core has {streams}")
        return Op(item.operation, stage, False, fields)

    def copy(self, items: tuple[Item, ...], placed: Schedule, number: int | None) -> list[Packet]:
        """One copy of the body: that number of the head, or (None) the body itself."""
        packets: list[Packet] = [{} for _ in range(placed.interval)]
        for item, time, slot in zip(items, placed.times, placed.slots, strict=True):
            stage, packet = divmod(time, placed.interval)
            packets[packet][slot] = self.operation(item, stage, begins=stage == number)
        return packets


def _prologue(body: Body, placed: Schedule, core: Core) -> tuple[list[tuple[int, str]], int]:
    """(packet, slot) of each constant's load, and how many packets there are: the body finds all that it reads in place."""
    first: dict[str, int] = {}
    for item, time in zip(body.items, placed.times, strict=True):
        for name, value in (*item.reads.items(), *item.first.items()):
            at = time + core.read_stage(item.operation, name)
            first[value] = min(first.get(value, at), at)
    where: list[tuple[int, str]] = []
    free: dict[str, int] = {}
    length = 0
    for item in body.constants:
        slot = min(core.slots_of(item.operation), key=lambda name: free.get(name, 0))
        time = free.get(slot, 0)
        free[slot] = time + 1
        where.append((time, slot))
        length = max(length, time + 1, time + core.latency[item.operation] - first.get(item.result, 0))
    return where, length


def pack(body: Body, core: Core) -> Packed:
    """Schedule a body, give it registers, and make its packets. Raises Misfit where the core cannot hold it."""
    placed = schedule(body.items, core, body.idle)
    placed = replace(placed, times=tuple(time + body.lead for time in placed.times))
    ending = place_ending(body.items, placed, body.ending, core) if body.ending else Ending((), (), 0)
    found = arcs(body.items, placed.times, core, placed.interval)
    registers = allocate(found, placed.interval, core.registers, constants=body.kept, ending=ending_arcs(body.ending, ending, core))
    packer = _Packer(core, registers)
    where, length = _prologue(body, placed, core)
    prologue: list[Packet] = [{} for _ in range(length)]
    for item, (time, slot) in zip(body.constants, where, strict=True):
        prologue[time][slot] = packer.operation(item, 0)
    head: list[Packet] = []
    for number in range(ending.copies):
        copy = packer.copy(body.items, placed, number)
        for item, time, slot in zip(body.ending, ending.times, ending.slots, strict=True):
            if time // placed.interval == number:
                copy[time % placed.interval][slot] = packer.operation(item, number + 1)
        head += copy
    packed = Packed(tuple(prologue), tuple(head), tuple(packer.copy(body.items, placed, None)),
                    max(ending.span, placed.span - placed.interval), placed.bound, max(registers.values(), default=-1) + 1)  # fmt: skip
    if len(packed.packets) > core.packets:
        raise Misfit(f"{len(packed.packets)} packets, the code memory holds {core.packets}")
    return packed
