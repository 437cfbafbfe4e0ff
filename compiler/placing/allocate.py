"""Pass: give every buffer an address.

    before   Buffer w0 (1152 bytes of a weight memory), first used by operation 3, last by operation 5
    after    w0 at byte 16384: nothing else that lives between 3 and 5 overlaps it

Buffers are placed in the order of their first use. Of the places that are free the best is the one that

    0. has the offset that its users want at the border of two banks there, if they want one;
    1. shares fewest banks with buffers whose traffic would collide: other engines reading (or writing) both at about the same time;
    2. has been free for longest, so that a load into it need not wait for what stood there (buffers rotate);
    3. has the lowest address.

Two buffers that one instruction reads at the same time are never put into one bank. Where that leaves gaps too small for what
comes, `tight` layers get their buffers at the lowest address that is free instead.

A memory's places depend on nothing outside it, so that a memory that gets tighter is placed anew from the first buffer of which
that changes anything, and the others stay (`compiler.placing.placer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from compiler.errors import CompilerError
from compiler.placing.placer import LASTING, Item, Placer
from compiler.tiles import Buffer, TileOp, ceil_div

__all__ = ["LASTING", "Allocation", "OutOfMemory", "allocate", "lifetimes"]


class OutOfMemory(CompilerError):
    """A buffer has no place. `layer` numbers the codelet whose operation needs it first, `buffer` is the one without a place."""

    def __init__(self, buffer: Buffer, layer: int) -> None:
        self.buffer, self.layer = buffer, layer
        super().__init__(
            f"memory {buffer.memory.name}", found=f"no room for {buffer.size_bytes} bytes of {buffer.name}",
            expected=f"a free stretch of its {buffer.memory.size_bytes} bytes", do="use an architecture with larger memories",
        )


def lifetimes(ops: list[TileOp], kept: Iterable[Buffer] = ()) -> list[Buffer]:
    """Set `first`, `last` and `layer` of every buffer, and take back its address; returns pinned ones, then others in order of first use.

    `kept`: pinned ones that live even if no operation touches them.
    """
    found: dict[Buffer, None] = dict.fromkeys(kept)
    for buffer in found:
        buffer.address = -1
    for position, op in enumerate(ops):
        for buffer in (*op.reads, *op.writes):
            if buffer not in found:
                found[buffer] = None
                buffer.first, buffer.address, buffer.layer = position, -1, op.layer
            buffer.last = position
    for buffer in found:
        if buffer.pinned:
            buffer.first, buffer.last = 0, len(ops)
    return sorted(found, key=lambda b: not b.pinned)


def _apart(ops: list[TileOp]) -> dict[Buffer, dict[Buffer, None]]:
    """For each buffer of a scratchpad those that one instruction reads at the same time."""
    apart: dict[Buffer, dict[Buffer, None]] = {}
    pairs = dict.fromkeys(pair for op in ops if len(op.reads) > 1 for pair in combinations(op.reads, 2))
    for one, two in pairs:
        if one is not two and one.memory.kind == "scratchpad" and one.memory.name == two.memory.name:
            apart.setdefault(one, {})[two] = None
            apart.setdefault(two, {})[one] = None
    return apart


def _engines(ops: list[TileOp], direction: str) -> dict[Buffer, frozenset[str]]:
    """Engines that use each buffer: those that have it in their `direction`, 'reads' or 'writes'."""
    engines: dict[Buffer, frozenset[str]] = {}
    united: dict[tuple[frozenset[str], str], frozenset[str]] = {}
    for op in ops:
        for buffer in getattr(op, direction):
            before = engines.get(buffer, frozenset())
            if op.engine not in before:
                engines[buffer] = united.setdefault((before, op.engine), before | {op.engine})
    return engines


class Allocation:
    """The buffers of a network and their places.

    `kept`: pinned buffers that get a place even if no operation touches them.
    """

    def __init__(self, ops: list[TileOp], kept: Iterable[Buffer] = ()) -> None:
        self.buffers = lifetimes(ops, kept)
        self._first_layer = ops[0].layer if ops else 0
        self._pinned = [b for b in self.buffers if b.pinned]
        apart, readers, writers = _apart(ops), _engines(ops, "reads"), _engines(ops, "writes")
        items: dict[str, list[Item]] = {}
        none: frozenset[str] = frozenset()
        for buffer in self.buffers[len(self._pinned) :]:
            traffic = readers.get(buffer, none), writers.get(buffer, none)
            items.setdefault(buffer.memory.name, []).append(Item(buffer, traffic, tuple(apart.get(buffer, ()))))
        self._tight: dict[str, set[int]] = {name: set() for name in items}
        end = self._pin()
        self._placers = {
            name: Placer(found[0].buffer.memory, found, self._tight[name], end if found[0].buffer.memory.kind == "external" else 0)
            for name, found in items.items()
        }

    def _pin(self) -> int:
        """Place the pinned buffers one behind the other; returns where they end."""
        end = 0
        for buffer in self._pinned:
            buffer.address = ceil_div(end, buffer.align_bytes) * buffer.align_bytes
            end = buffer.address + buffer.size_bytes
            if end > buffer.memory.size_bytes:
                raise OutOfMemory(buffer, self._first_layer)
        return end

    def tighten(self, memory: str, layers: Iterable[int]) -> None:
        """Give the buffers of these layers the lowest free address; LASTING stands for the lasting buffers of all layers."""
        if memory not in self._placers:
            return
        placer, before = self._placers[memory], set(self._tight[memory])
        self._tight[memory].update(layers)
        changed = (LASTING if item.buffer.lasting else item.buffer.layer for item in placer.items[: placer.placed])
        placer.rewind(next((number for number, layer in enumerate(changed) if layer in self._tight[memory] - before), placer.placed))

    def place(self) -> list[Buffer]:
        """Place all buffers that have no place; returns all. Raises OutOfMemory naming the first that finds no room."""
        for buffer in self.buffers:
            if buffer.address < 0 and not self._placers[buffer.memory.name].next():
                raise OutOfMemory(buffer, buffer.layer)
        return self.buffers


def allocate(ops: list[TileOp], *, kept: Iterable[Buffer] = (), tight: Mapping[str, Iterable[int]] | None = None) -> list[Buffer]:
    """Place all buffers; returns them. `tight`, by memory: see `Allocation.tighten`; `kept`: see `Allocation`.

    Raises OutOfMemory naming the first that finds no room.
    """
    allocation = Allocation(ops, kept)
    for memory, layers in (tight or {}).items():
        allocation.tighten(memory, layers)
    return allocation.place()
