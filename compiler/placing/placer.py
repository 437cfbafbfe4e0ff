"""Places for the buffers of one memory, one after the other; what makes a place good stands in `compiler.placing.allocate`.

The cost of a place is looked up, not added up: how much traffic would collide in each bank is kept for every kind of traffic, and
changes where a buffer comes, ends, or is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from acg.graph import Memory
from compiler.placing.stretches import Stretches
from compiler.tiles import Buffer, ceil_div

#: Operations for which the traffic of a buffer still counts after its last use: queues let engines lag behind each other.
WINDOW_OPERATIONS = 24
#: What a collision with a living buffer counts, in collisions with one that only lags.
LIVING_WEIGHT = 4
#: Ends of this many buffers placed last are tried as places, besides those of living ones and the starts of banks.
RECENT_PLACES = 24
#: In place of a layer: buffers that stay on chip between layers.
LASTING = -1
EXTERNAL_GRANULE_BYTES = 4096
#: Price of a bank that must not be used; collisions count up to 2 * LIVING_WEIGHT for each buffer of a memory, far below.
BARRED = 1 << 48

#: Engines that read a buffer, and those that write it.
Traffic = tuple[frozenset[str], frozenset[str]]


@dataclass(eq=False, slots=True)
class Item:
    """A buffer to be placed: what its engines are, and which of the same memory must share no bank with it."""

    buffer: Buffer
    traffic: Traffic
    apart: Sequence[Buffer] = ()


class Placer:
    """Places `items`, all of one memory and in the order of their first use. `base`: first byte that is free to use.

    `tight`: layers whose buffers get the lowest free address, as all of external memory do.
    """

    def __init__(self, memory: Memory, items: Sequence[Item], tight: Container[int], base: int = 0) -> None:
        self.memory, self.items, self.tight, self.base = memory, items, tight, base
        self.external = memory.kind == "external"
        self.bank_bytes = memory.size_bytes if self.external else memory.bank_bytes
        self.granule = EXTERNAL_GRANULE_BYTES if self.external else memory.word_bytes
        #: Whether every buffer begins and ends with a granule.
        self._whole = all(item.buffer.size_bytes % self.granule == 0 == item.buffer.align_bytes % self.granule for item in items)
        self._kinds: dict[Traffic, int] = {}
        for item in items:
            self._kinds.setdefault(item.traffic, len(self._kinds))
        #: For each kind of traffic, those with which it collides and how often.
        self._clashes = [[(i, n) for i, other in enumerate(self._kinds) if (n := clash(own, other))] for own in self._kinds]
        self._starts: dict[int, tuple[int, ...]] = {}
        self.placed = 0
        self._past = Stretches()
        self._prices = [[0] * memory.banks for _ in self._kinds]
        #: Items placed whose last use is still to come, as (last, number): a heap.
        self._living: list[tuple[int, int]] = []
        self._lagging: deque[int] = deque()
        #: How many of the living end at an address.
        self._ends: dict[int, int] = {}
        self._recent_ends: deque[int] = deque(maxlen=RECENT_PLACES)
        #: How many items are placed, and what `_saved` was then.
        self._states: list[tuple[int, tuple]] = []

    def _saved(self) -> tuple:
        """Everything that placing changes, in copies."""
        prices = [list(banks) for banks in self._prices]
        return self._past.copy(), prices, list(self._living), self._lagging.copy(), dict(self._ends), self._recent_ends.copy()

    def lowest(self, buffer: Buffer) -> bool:
        """Whether the buffer gets the lowest free address."""
        return self.external or (LASTING if buffer.lasting else buffer.layer) in self.tight

    def rewind(self, count: int) -> None:
        """Forget the places of all but the first `count` items."""
        if count == self.placed:
            return
        for item in self.items[count : self.placed]:
            item.buffer.address = -1
        while self._states[-1][0] > count:
            self._states.pop()
        self.placed, (self._past, self._prices, self._living, self._lagging, self._ends, self._recent_ends) = self._states.pop()
        for item in self.items[self.placed : count]:
            self._enter(item)
            self._occupy(item)

    def next(self) -> bool:
        """Give the next item an address; False when there is none."""
        item = self.items[self.placed]
        self._enter(item)
        forbidden = {bank for other in item.apart if other.address >= 0 for bank in self._banks(other)}
        address = (self._lowest if self.lowest(item.buffer) else self._best)(item, forbidden)
        if address is None:
            return False
        item.buffer.address = address
        self._occupy(item)
        return True

    def _enter(self, item: Item) -> None:
        """Go on to the first use of the next item. A layer's start can be come back to."""
        starts = self.placed == 0 or (item.buffer.layer != self.items[self.placed - 1].buffer.layer and not self.external)
        if starts and (not self._states or self._states[-1][0] < self.placed):
            self._states.append((self.placed, self._saved()))
        self._expire(item.buffer.first)

    def _banks(self, buffer: Buffer) -> range:
        return range(buffer.address // self.bank_bytes, (buffer.address + buffer.size_bytes - 1) // self.bank_bytes + 1)

    def _candidates(self, buffer: Buffer) -> set[int]:
        """Addresses to try, aligned and not below `base`."""
        align = max(buffer.align_bytes, self.granule)
        if align not in self._starts:
            starts = (ceil_div(self.base, align) * align, *range(0, self.memory.banks * self.bank_bytes, self.bank_bytes))
            self._starts[align] = tuple(start for start in starts if start >= self.base and start % align == 0)
        found = {*self._ends, *self._recent_ends}
        if not self._whole or align != self.granule:
            found = {-(-end // align) * align for end in found}
        found.update(self._starts[align])
        if buffer.border_bytes:
            borders = (bank * self.bank_bytes - buffer.border_bytes for bank in range(1, self.memory.banks))
            found.update(address for address in borders if address >= self.base and address % align == 0)
        return found

    def _lowest(self, item: Item, forbidden: set[int]) -> int | None:
        buffer, size, granule = item.buffer, item.buffer.size_bytes, self.granule
        for address in sorted(self._candidates(buffer)):
            if address + size > self.memory.size_bytes:
                return None
            if forbidden and not forbidden.isdisjoint(range(address // self.bank_bytes, (address + size - 1) // self.bank_bytes + 1)):
                continue
            if self._past.greatest(address // granule * granule, -(-(address + size) // granule) * granule) < buffer.first:
                return address
        return None

    def _best(self, item: Item, forbidden: set[int]) -> int | None:
        buffer, size, border = item.buffer, item.buffer.size_bytes, item.buffer.border_bytes
        prices, bank_bytes = list(self._prices[self._kinds[item.traffic]]), self.bank_bytes
        for bank in forbidden:
            prices[bank] = BARRED
        highest = self.memory.size_bytes - size
        ranked = []
        for address in self._candidates(buffer):
            if address > highest:
                continue
            first, last = address // bank_bytes, (address + size - 1) // bank_bytes
            shared = prices[first] if first == last else sum(prices[first : last + 1])
            if shared < BARRED:
                ranked.append((border != 0 and (address + border) % bank_bytes != 0, shared, address))
        ranked.sort()
        best: tuple[int, int] | None = None
        rank = (False, 0)
        granule, greatest = self.granule, self._past.greatest
        for astray, shared, address in ranked:
            if best is not None and (astray, shared) != rank:
                break
            freed = greatest(address // granule * granule, -(-(address + size) // granule) * granule)
            if freed < buffer.first and (best is None or freed < best[0]):
                best, rank = (freed, address), (astray, shared)
        return None if best is None else best[1]

    def _occupy(self, item: Item) -> None:
        """The next item stands at its address from now on."""
        buffer, granule = item.buffer, self.granule
        end = buffer.address + buffer.size_bytes
        self._past.fill(buffer.address // granule * granule, ceil_div(end, granule) * granule, buffer.last)
        self._recent_ends.append(end)
        self._ends[end] = self._ends.get(end, 0) + 1
        heappush(self._living, (buffer.last, self.placed))
        self._collide(item, LIVING_WEIGHT)
        self.placed += 1

    def _expire(self, now: int) -> None:
        """Buffers whose last use lies before operation `now` live no more, and count no more once they lag too far behind."""
        living, lagging = self._living, self._lagging
        while living and living[0][0] < now:
            _, number = heappop(living)
            item = self.items[number]
            end = item.buffer.address + item.buffer.size_bytes
            self._ends[end] -= 1
            if not self._ends[end]:
                del self._ends[end]
            self._collide(item, 1 - LIVING_WEIGHT)
            lagging.append(number)  # in the order of their last uses: whoever comes later was used at or after the `now` of this call
        while lagging and self.items[lagging[0]].buffer.last + WINDOW_OPERATIONS < now:
            self._collide(self.items[lagging.popleft()], -1)

    def _collide(self, item: Item, weight: int) -> None:
        """Add so many collisions with an item to the prices of its banks."""
        if self.external:
            return
        banks = self._banks(item.buffer)
        for kind, count in self._clashes[self._kinds[item.traffic]]:
            prices = self._prices[kind]
            for bank in banks:
                prices[bank] += count * weight


def clash(one: Traffic, two: Traffic) -> int:
    """Ports, of reading and of writing, that different engines would use at one bank for two kinds of traffic."""
    return sum(bool(a and b) and len(a | b) > 1 for a, b in zip(one, two, strict=True))
