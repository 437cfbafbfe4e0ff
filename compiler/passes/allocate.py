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
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from itertools import combinations

import numpy as np

from acg.graph import Memory
from compiler.errors import CompilerError
from compiler.tiles import Buffer, TileOp, ceil_div

#: Operations for which the traffic of a buffer still counts after its last use: queues let engines lag behind each other.
WINDOW_OPERATIONS = 24
#: In place of a layer: buffers that stay on chip between layers.
LASTING = -1
#: Ends of this many buffers placed last are tried as places, besides those of living ones and the starts of banks.
RECENT_PLACES = 24


class OutOfMemory(CompilerError):
    """A buffer has no place. `layer` numbers the codelet whose operation needs it first, `buffer` is the one without a place."""

    def __init__(self, buffer: Buffer, layer: int) -> None:
        self.buffer, self.layer = buffer, layer
        super().__init__(
            f"memory {buffer.memory.name}", found=f"no room for {buffer.size_bytes} bytes of {buffer.name}",
            expected=f"a free stretch of its {buffer.memory.size_bytes} bytes", do="use an architecture with larger memories",
        )


class _Allocator:
    """Places the buffers of one memory. `base`: first byte that is free to use."""

    def __init__(self, memory: Memory, tight: Container[int], base: int = 0) -> None:
        self.memory, self.base, self.tight = memory, base, tight
        self.size_bytes = memory.size_bytes
        self.external = memory.kind == "external"
        self.bank_bytes = memory.size_bytes if memory.kind == "external" else memory.bank_bytes
        self.granule = 4096 if memory.kind == "external" else memory.word_bytes
        #: For each granule the last operation that uses what stands there, -1 where nothing ever stood.
        self.until = np.full(ceil_div(memory.size_bytes, self.granule), -1, np.int64)
        self.live: list[Buffer] = []
        self.ends: deque[int] = deque(maxlen=RECENT_PLACES)
        self.recent: list[Buffer] = []
        self.traffic: dict[Buffer, tuple[frozenset[str], frozenset[str]]] = {}

    def place(self, buffer: Buffer) -> bool:
        """Give an address; False when there is none."""
        size, align = buffer.size_bytes, max(buffer.align_bytes, self.granule)
        self.live = [b for b in self.live if b.last >= buffer.first]
        self.recent = [b for b in self.recent if b.last + WINDOW_OPERATIONS >= buffer.first]
        candidates = {ceil_div(self.base, align) * align}
        candidates.update(bank * self.bank_bytes for bank in range(self.memory.banks))
        candidates.update(ceil_div(b.address + b.size_bytes, align) * align for b in self.live)
        candidates.update(ceil_div(end, align) * align for end in self.ends)
        lowest = self.external or (LASTING if buffer.lasting else buffer.layer) in self.tight
        if buffer.border_bytes:
            candidates.update(bank * self.bank_bytes - buffer.border_bytes for bank in range(1, self.memory.banks))
        forbidden, price = self._banks(buffer)
        best: tuple[int, int, int, int] | None = None
        room, bank_bytes, granule, base = self.size_bytes, self.bank_bytes, self.granule, self.base
        for address in sorted(candidates):
            end = address + size
            if address < base or address % align or end > room:
                continue
            first, last = address // bank_bytes, (end - 1) // bank_bytes
            if any(forbidden[first : last + 1]):
                continue
            astray, shared = 0, 0
            if not lowest:
                astray = int(bool(buffer.border_bytes and (address + buffer.border_bytes) % bank_bytes))
                shared = sum(price[first : last + 1])
                if best is not None and (astray, shared) > best[:2]:
                    continue
            freed = int(self.until[address // granule : ceil_div(end, granule)].max())
            if freed >= buffer.first:
                continue
            if lowest:
                best = (0, 0, 0, address)
                break
            cost = (astray, shared, freed, address)
            if best is None or cost < best:
                best = cost
        if best is None:
            return False
        buffer.address = best[3]
        end = buffer.address + size
        self.until[buffer.address // self.granule : ceil_div(end, self.granule)] = buffer.last
        self.ends.append(end)
        self.live.append(buffer)
        self.recent.append(buffer)
        return True

    def _banks(self, buffer: Buffer) -> tuple[list[bool], list[int]]:
        """For each bank whether `buffer` must not touch it, and how much traffic would collide there."""
        forbidden = [False] * self.memory.banks
        price = [0] * self.memory.banks
        for other in buffer.apart:
            if other.address >= 0:
                for bank in range(other.address // self.bank_bytes, (other.address + other.size_bytes - 1) // self.bank_bytes + 1):
                    forbidden[bank] = True
        if not self.external:
            readers, writers = self.traffic[buffer]
            for other in self.recent:
                other_readers, other_writers = self.traffic[other]
                clash = _differ(readers, other_readers) + _differ(writers, other_writers)
                if clash:
                    for bank in range(other.address // self.bank_bytes, (other.address + other.size_bytes - 1) // self.bank_bytes + 1):
                        price[bank] += clash * (4 if other.last >= buffer.first else 1)
        return forbidden, price


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
                buffer.first, buffer.apart, buffer.address, buffer.layer = position, [], -1, op.layer
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


def allocate(ops: list[TileOp], *, kept: Iterable[Buffer] = (), tight: Mapping[str, Container[int]] | None = None) -> list[Buffer]:
    """Place all buffers; returns them. `kept`: pinned ones that get a place even if no operation touches them.

    `tight`, by memory: layers whose buffers get the lowest free address; LASTING stands for the lasting buffers of all layers.

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
        name, external = buffer.memory.name, buffer.memory.kind == "external"
        if name not in allocators:
            allocators[name] = _Allocator(buffer.memory, (tight or {}).get(name, ()), pinned_end if external else 0)
        allocator = allocators[name]
        allocator.traffic[buffer] = (frozenset(readers[buffer]), frozenset(writers[buffer]))
        if not allocator.place(buffer):
            raise OutOfMemory(buffer, ops[buffer.first].layer)
    return buffers
