"""Pass: what follows the last iteration of a tile, in the idle slots of the first ones of the next.

    before   step body of 32 packets, scheduled; ending: 16 REQ of the sums, 8 stores
    after    a head of 2 copies of the body: REQ of sum 0 at 9, of sum 1 at 10, ..; stores from 31 on

The sums keep their registers: each REQ has the packets from where the last product of the old tile has landed to where the first of the new one lands, which
begins from the bias. Deadlines first, therefore; what has none as early as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.modulo import Schedule, Table
from compiler.kernels.registers import Arc

__all__ = ["Ending", "ending_arcs", "place_ending"]

_NEVER = 1 << 30


@dataclass(frozen=True, eq=False)
class Ending:
    """Times from the beginning of the next tile, and slots, of the operations of an ending; it takes `copies` of the body."""

    times: tuple[int, ...]
    slots: tuple[str, ...]
    copies: int

    @property
    def span(self) -> int:
        """Packets until the last of it has been issued."""
        return max(self.times, default=-1) + 1


def place_ending(items: Sequence[Item], body: Schedule, ending: Sequence[Item], core: Core) -> Ending:
    """Place an ending beside the body it follows. Raises Misfit where an operation comes too late."""
    interval = body.interval
    table = Table(core, interval)
    for slot, time in zip(body.slots, body.times, strict=True):
        table.take(slot, time)
    landed: dict[str, int] = {}  # when what the last iteration of the old tile wrote may be read
    written: dict[str, int] = {}  # when the first iteration of the new one writes
    for item, time in zip(items, body.times, strict=True):
        if item.result:
            at = time + core.latency[item.operation]
            landed[item.result] = max(landed.get(item.result, -_NEVER), at - interval)
            written[item.result] = min(written.get(item.result, _NEVER), at)
    times: dict[int, int] = {}
    slots: dict[int, str] = {}
    taken: set[tuple[str, int]] = set()
    streams: dict[str, int] = {}

    def window(item: Item) -> tuple[int, int]:
        low, high = 0, _NEVER
        for name, value in item.reads.items():
            stage = core.read_stage(item.operation, name)
            low = max(low, landed.get(value, 0) - stage)
            if value in written:
                high = min(high, written[value] - 1 - stage)
        return max(low, streams.get(item.stream, -1) + 1 if item.stream else 0), high

    made = {item.result for item in ending if item.result}
    rounds = [[n for n, item in enumerate(ending) if not made.intersection(item.reads.values())]]
    rounds.append([n for n in range(len(ending)) if n not in set(rounds[0])])
    for number, numbers in enumerate(rounds):
        order = sorted(numbers, key=lambda n: (window(ending[n])[1], n)) if not number else numbers
        for n in order:
            item = ending[n]
            low, high = window(item)
            # A slot is free in the head where neither the body nor the ending has it.
            place = next(((time, slot) for time in range(low, min(high, low + 8 * interval) + 1) for slot in core.slots_of(item.operation)
                          if table.free(slot, time) and (slot, time) not in taken), None)  # fmt: skip
            if place is None:
                raise Misfit(f"no packet for {item} between {low} and {high} behind the last iteration")
            times[n], slots[n] = place
            taken.add((slots[n], times[n]))
            if item.stream:
                streams[item.stream] = times[n]
            if item.result:
                landed[item.result] = max(landed.get(item.result, 0), times[n] + core.latency[item.operation])
    last = max((times[n] for n in times), default=-1)
    begun = max((time // interval for item, time in zip(items, body.times, strict=True) if item.first), default=0)
    copies = max(begun + 1, last // interval + 1)
    return Ending(tuple(times[n] for n in range(len(ending))), tuple(slots[n] for n in range(len(ending))), copies)


def ending_arcs(ending: Sequence[Item], placed: Ending, core: Core) -> list[Arc]:
    """Arcs of the cells that an ending writes, on the line of the head."""
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for item, time in zip(ending, placed.times, strict=True):
        for name, value in item.reads.items():
            ends[value] = max(ends.get(value, 0), time + core.read_stage(item.operation, name) + 1)
        if item.result:
            landed = time + core.latency[item.operation]
            starts[item.result] = min(starts.get(item.result, landed), landed)
    return [Arc(name, start, max(ends.get(name, 0), start + 1)) for name, start in starts.items()]
