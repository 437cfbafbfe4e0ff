"""Pass: give every buffer an address.

    before   Buffer w0 (1152 bytes of a weight memory), first used by operation 3, last by operation 5
    after    w0 at byte 16384: nothing else that lives between 3 and 5 overlaps it

Buffers are placed in the order of their first use. Of the places that are free the best is the one that

    1. shares fewest banks with buffers whose traffic would collide: other engines reading (or writing) both at about the same time;
    2. has been free for longest, so that a load into it need not wait for what stood there (buffers rotate);
    3. has the lowest address.

Two buffers that one instruction reads at the same time are never put into one bank. `compact` places at the lowest address that is
free, for networks whose tensors only fit without gaps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import combinations

from acg.graph import Memory
from compiler.errors import CompilerError
from compiler.tiles import Buffer, TileOp, ceil_div

#: Operations for which the traffic of a buffer still counts after its last use: queues let engines lag behind each other.
WINDOW_OPERATIONS = 24


class OutOfMemory(CompilerError):
    """A buffer has no place. `layer` numbers the codelet whose operation needs it first, `buffer` is the one without a place."""

    def __init__(self, buffer: Buffer, layer: int) -> None:
        self.buffer, self.layer = buffer, layer
        super().__init__(
            f"memory {buffer.memory.name}", found=f"no room for {buffer.size_bytes} bytes of {buffer.name}",
            expected=f"a free stretch of its {buffer.memory.size_bytes} bytes", do="use an architecture with larger memories",
        )


class _Allocator:
    """Places the buffers of one memory."""

    def __init__(self, memory: Memory, compact: bool) -> None:
        self.memory = memory
        self.compact = compact
        self.bank_bytes = memory.size_bytes if memory.kind == "external" else memory.bank_bytes
        self.base = 0
        self.placed: list[Buffer] = []
        self.recent: deque[Buffer] = deque()
        self.traffic: dict[Buffer, tuple[frozenset[str], frozenset[str]]] = {}

    def banks(self, buffer: Buffer, address: int) -> tuple[int, int]:
        return address // self.bank_bytes, (address + buffer.size_bytes - 1) // self.bank_bytes

    def place(self, buffer: Buffer) -> bool:
        """Give an address; False when there is none."""
        size, align = buffer.size_bytes, buffer.align_bytes
        # Of what ended before, only the newest tenant of each byte matters: those further back were last used earlier still.
        candidates = {ceil_div(self.base, align) * align}
        if self.memory.kind != "external":
            candidates.update(bank * self.bank_bytes for bank in range(self.memory.banks))
        for other in self.placed:
            candidates.add(ceil_div(other.address + other.size_bytes, align) * align)
        live = [b for b in self.placed if b.last >= buffer.first]
        best: tuple | None = None
        for address in sorted(candidates):
            if address % align or address + size > self.memory.size_bytes:
                continue
            end = address + size
            if any(b.address < end and address < b.address + b.size_bytes for b in live) or self._together(buffer, address):
                continue
            if self.compact or self.memory.kind == "external":
                best = (address,)
                break
            freed = max((b.last for b in self.placed if b.address < end and address < b.address + b.size_bytes), default=-1)
            cost = (self._collisions(buffer, address), freed, address)
            if best is None or cost < best:
                best = cost
        if best is None:
            return False
        buffer.address = best[-1]
        end = buffer.address + size
        self.placed = [b for b in self.placed if b.last >= buffer.first or b.address < buffer.address or b.address + b.size_bytes > end]
        self.placed.append(buffer)
        self.recent.append(buffer)
        return True

    def _together(self, buffer: Buffer, address: int) -> bool:
        lo, hi = self.banks(buffer, address)
        for other in buffer.apart:
            if other.address >= 0 and other.memory.name == self.memory.name:
                first, last = self.banks(other, other.address)
                if first <= hi and lo <= last:
                    return True
        return False

    def _collisions(self, buffer: Buffer, address: int) -> int:
        lo, hi = self.banks(buffer, address)
        readers, writers = self.traffic[buffer]
        cost = 0
        for other in self.recent:
            first, last = self.banks(other, other.address)
            shared = min(hi, last) - max(lo, first) + 1
            if shared <= 0:
                continue
            other_readers, other_writers = self.traffic[other]
            clash = _differ(readers, other_readers) + _differ(writers, other_writers)
            cost += shared * clash * (4 if other.last >= buffer.first else 1)
        return cost

    def forget(self, now: int) -> None:
        """Drop what was last used too long ago to matter."""
        self.recent = deque(b for b in self.recent if b.last + WINDOW_OPERATIONS >= now)


def _differ(a: frozenset[str], b: frozenset[str]) -> int:
    """Whether two different engines would use one port of one bank."""
    return int(bool(a and b) and len(a | b) > 1)


def lifetimes(ops: list[TileOp], kept: Iterable[Buffer] = ()) -> list[Buffer]:
    """Set `first` and `last` of every buffer and keep apart what one instruction reads; returns buffers in order of first use."""
    found: dict[Buffer, None] = dict.fromkeys(kept)
    for buffer in found:
        buffer.apart, buffer.address = [], -1
    for position, op in enumerate(ops):
        for buffer in (*op.reads, *op.writes):
            if buffer not in found:
                found[buffer] = None
                buffer.first, buffer.apart, buffer.address = position, [], -1
            buffer.last = position
    for buffer in found:
        if buffer.pinned:
            buffer.first, buffer.last = 0, len(ops)
    for op in ops:
        for one, two in combinations(op.reads, 2):
            if one is not two and one.memory.name == two.memory.name and one.memory.kind == "scratchpad":
                one.apart.append(two)
                two.apart.append(one)
    return sorted(found, key=lambda b: not b.pinned)


def allocate(ops: list[TileOp], *, kept: Iterable[Buffer] = (), compact: bool = False) -> list[Buffer]:
    """Place all buffers; returns them. `kept`: pinned ones that get a place even if no operation touches them.

    Raises OutOfMemory naming the first that finds no room.
    """
    buffers = lifetimes(ops, kept)
    allocators: dict[str, _Allocator] = {}
    readers: dict[Buffer, set[str]] = {b: set() for b in buffers}
    writers: dict[Buffer, set[str]] = {b: set() for b in buffers}
    for op in ops:
        for buffer in op.reads:
            readers[buffer].add(op.engine)
        for buffer in op.writes:
            writers[buffer].add(op.engine)
    pinned_end = 0
    for buffer in buffers:
        if buffer.pinned:
            buffer.address = ceil_div(pinned_end, buffer.align_bytes) * buffer.align_bytes
            pinned_end = buffer.address + buffer.size_bytes
            if pinned_end > buffer.memory.size_bytes:
                raise OutOfMemory(buffer, ops[0].layer)
            continue
        allocator = allocators.setdefault(buffer.memory.name, _Allocator(buffer.memory, compact))
        allocator.base = pinned_end if buffer.memory.kind == "external" else 0
        allocator.traffic[buffer] = (frozenset(readers[buffer]), frozenset(writers[buffer]))
        allocator.forget(buffer.first)
        if not allocator.place(buffer):
            raise OutOfMemory(buffer, ops[buffer.first].layer)
    return buffers
