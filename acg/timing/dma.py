"""Cycles of the load and store engines.

Both engines are two stages. The *address stage* walks the rows of an instruction and pushes one burst a cycle into the address channel
(AR or AW); a row is split at multiples of ``min(4096, 256 * bus_bytes)`` bytes, which keeps the 4 KiB rule and the 256-beat rule. The
*data stage* makes one *step* a cycle: a load's step writes one chunk of U bytes, a store's step reads one. It follows in row order and
without bubble between rows or instructions; the address stage may be any number of instructions ahead, as far as the limit of K
outstanding bursts lets it. With p_k the push of burst k, s_k the step index (over all rows) of its first beat, l_k that of its last:

    p_k    = max(p_(k-1) + 1, start + 1 + address of its instruction, done_(k-K) + 1)
    D(s)   = max(D(s-1) + 1, p_k + lead  if s = s_k)              cycle of step s
    done_k = D(l_k) + tail                                        the burst no longer counts as outstanding
    ready_cycle = p_last + 1,   retire = D(last step) + 2 for a load, done_last + 1 for a store

where ``address`` registers, none unless a description says so, stand between the address generators and the splitting of rows.

Load: address handshake at p + 1, first beat ``read_latency_cycles`` later and consumed by the step itself: lead = 1 + read latency,
tail = 0. Chunk c of a row (off = ext_address % B, lo = local_address % U, n bytes) needs the beats up to
ceil((off + min((c+1)*U - lo, n)) / B) - 1; a step takes at most one beat, so a row whose first chunk needs two beats has one more step.
Written to the memory two cycles after its step.

Store: row known to the data stage at p + 2: lead = 2. A step's chunk is read one cycle later, arrives after the source latency, passes two
registers and is sent: write beat = step + source latency + 3, response ``write_latency_cycles`` later: tail = the sum. A beat is sent by
the step that completes it; a last chunk that completes two beats costs one more step. The first beat of the second and later bursts of a
row waits for the push of its burst as the first step of a row does for the first.

:class:`LoadTiming` and :class:`StoreTiming` evaluate this a burst at a time, and runs of equal bursts in closed form: the recursion is
linear in (max, +) and the same for each burst of a run, so if K bursts shift the whole state (p, D, the last K done) by one constant,
every further K do. :class:`LoadDefinition` and :class:`StoreDefinition` walk it step by step, as written above; tests hold them equal.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping

__all__ = ["LOAD_WRITE_CYCLES", "STORE_SEND_CYCLES", "DmaTiming", "LoadTiming", "StoreTiming", "split_bytes"]

#: Cycles from a load's step to its write into the destination memory, which is also its retire pulse.
LOAD_WRITE_CYCLES = 2
#: Cycles from a store's step to its write beat, besides the latency of the source memory.
STORE_SEND_CYCLES = 3

_LEVELS = (0, 1, 2)


def split_bytes(bus_bytes: int) -> int:
    """Address multiple at which rows are split into bursts, in bytes: the 4 KiB rule and the 256-beat rule in one."""
    return min(4096, 256 * bus_bytes)


def _check_power(where: str, **values: int) -> None:
    for name, value in values.items():
        if value < 1 or value & (value - 1):
            raise ValueError(f"{where}: {name} must be a power of two, not {value}")


def _check_at_least(where: str, minimum: int, **values: int) -> None:
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{where}: {name} must be at least {minimum}, not {value}")


class DmaTiming(ABC):
    """State and recursion common to both engines; ``lead`` and ``tail`` in cycles as in the module's docstring."""

    def __init__(self, *, bus_bytes: int, chunk_bytes: int, outstanding_bursts: int, lead: int, tail: int, address_cycles: int = 0):
        where = type(self).__name__
        _check_power(where, bus_bytes=bus_bytes, chunk_bytes=chunk_bytes)
        _check_at_least(where, 1, outstanding_bursts=outstanding_bursts)
        if chunk_bytes > bus_bytes:
            raise ValueError(f"{where}: chunk_bytes must be at most bus_bytes ({bus_bytes}), not {chunk_bytes}")
        self.bus_bytes = bus_bytes
        self.chunk_bytes = chunk_bytes
        self.outstanding_bursts = outstanding_bursts
        self.address_cycles = address_cycles
        self._split = split_bytes(bus_bytes)
        self._lead = lead
        self._tail = tail
        self._push = -1                                                  # p of the last burst
        self._free = 0                                                   # earliest cycle of the next step
        self._done = deque([-1] * outstanding_bursts, outstanding_bursts)  # done of the last K bursts, oldest first
        self._rows: dict[tuple[int, int, int], tuple[tuple[int, int, int], ...]] = {}

    @property
    def ready_cycle(self) -> int:
        """Earliest cycle at which the next instruction may start."""
        return self._push + 1

    @abstractmethod
    def _row_steps(self, off: int, lo: int, size: int, beats: int) -> tuple[int, Callable[[int], int]]:
        """(steps of the row, function from a beat's index to the step that moves it)."""

    def _row(self, page_offset: int, lo: int, size: int) -> tuple[tuple[int, int, int], ...]:
        """Bursts of one row in runs of equal ones: (steps until the next burst's first beat, steps from first to last beat, count)."""
        bus, split = self.bus_bytes, self._split
        off = page_offset % bus
        beats = -(-(off + size) // bus)
        steps, at = self._row_steps(off, lo, size, beats)
        bursts = -(-(page_offset + size) // split)
        if bursts == 1:
            return ((steps, at(beats - 1), 1),)
        full = split // bus                                              # beats of a burst from boundary to boundary
        second = full - page_offset // bus                               # index of the second burst's first beat
        final = second + (bursts - 2) * full
        runs = [(at(second), at(second - 1), 1)]
        if bursts > 3:
            runs.append((at(second + full) - at(second), at(second + full - 1) - at(second), bursts - 3))
        if bursts > 2:                                                   # apart: the row's last beat may be early, the row ends in it
            runs.append((at(final) - at(final - full), at(final - 1) - at(final - full), 1))
        runs.append((steps - at(final), at(beats - 1) - at(final), 1))
        return tuple(runs)

    def _walk(self, runs: tuple[tuple[int, int, int], ...]) -> None:
        """Advance over the bursts of one row."""
        push, free, done, lead, tail = self._push, self._free, self._done, self._lead, self._tail
        for span, last, count in runs:
            if count > 1:
                self._push, self._free = push, free
                self._repeat(((span, last, 1),), count)
                push, free = self._push, self._free
                continue
            push += 1
            oldest = done[0]
            if oldest >= push:
                push = oldest + 1
            if push + lead > free:
                free = push + lead
            done.append(free + last + tail)
            free += span
        self._push, self._free = push, free

    def _repeat(self, runs: tuple[tuple[int, int, int], ...], rows: int) -> None:
        """Advance over ``rows`` rows of equal runs."""
        block = self.outstanding_bursts
        while rows > 2 * block:
            push, free, done = self._push, self._free, tuple(self._done)
            for _ in range(block):
                self._walk(runs)
            rows -= block
            shift = self._push - push
            if self._free - free == shift and all(new - old == shift for new, old in zip(self._done, done, strict=True)):
                ahead = rows // block * shift
                rows %= block
                self._push += ahead
                self._free += ahead
                self._done.extend([cycle + ahead for cycle in self._done])
        for _ in range(rows):
            self._walk(runs)

    def _template(self, ext: int, lo: int, size: int) -> tuple[tuple[int, int, int], ...]:
        key = (ext % self._split, lo % self.chunk_bytes, size)
        runs = self._rows.get(key)
        if runs is None:
            runs = self._rows[key] = self._row(*key)
        return runs

    def _advance(self, cycle: int, fields: Mapping[str, int]) -> None:
        """Walk all bursts of an instruction that starts at ``cycle``."""
        if cycle < self.ready_cycle:
            raise ValueError(f"{type(self).__name__}: start at cycle {cycle}, but the engine is not ready before {self.ready_cycle}")
        self._push = max(self._push, cycle + self.address_cycles)
        size, ext, local = fields["n_3"], fields["ext_address"], fields["local_address"]
        counts = [fields["n_0"], fields["n_1"], fields["n_2"]]
        rows = counts[0] * counts[1] * counts[2]
        if rows == 1:
            return self._walk(self._template(ext, local, size))
        if size == 1:                                                    # a byte crosses nothing, wherever it lies
            return self._repeat(self._template(ext, local, size), rows)
        ext_strides = [fields[f"ext_stride_{level}"] if counts[level] > 1 else 0 for level in _LEVELS]
        local_strides = [fields[f"local_stride_{level}"] if counts[level] > 1 else 0 for level in _LEVELS]
        if all(stride % self.chunk_bytes == 0 for stride in local_strides):
            if all(stride % self._split == 0 for stride in ext_strides):
                return self._repeat(self._template(ext, local, size), rows)
            if all(stride % self.bus_bytes == 0 for stride in ext_strides):
                if ext % self.bus_bytes + size <= self.bus_bytes:        # single beats never cross a boundary
                    return self._repeat(self._template(ext, local, size), rows)
                if self._advance_bound(ext, local, size, counts, ext_strides):
                    return None
        for outer in range(counts[0]):
            for middle in range(counts[1]):
                row_ext = ext + outer * ext_strides[0] + middle * ext_strides[1]
                row_local = local + outer * local_strides[0] + middle * local_strides[1]
                for _ in range(counts[2]):
                    self._walk(self._template(row_ext, row_local, size))
                    row_ext += ext_strides[2]
                    row_local += local_strides[2]
        return None

    def _advance_bound(self, ext: int, local: int, size: int, counts: list[int], strides: list[int]) -> bool:
        """Rows of equal steps that differ in where they are split: closed form if the data stage is surely the bottleneck, else False.

        If s_k - l_(k-K) >= lead + tail + 1 for all k > K of the instruction, the limit of outstanding bursts delays no step after its first
        K bursts, and if also lead + tail + 1 >= K, then p_last = done_(last-K) + 1.
        """
        limit = self.outstanding_bursts
        span = self._lead + self._tail + 1
        total = counts[0] * counts[1] * counts[2]
        most = -(-(self._split - self.bus_bytes + ext % self.bus_bytes + size) // self._split)  # bursts a row
        steps = sum(run[0] * run[2] for run in self._template(ext, local, size))
        whole_rows = (limit - most) // most                              # at least, among limit - 1 bursts in a row
        if span < limit or whole_rows * steps + 1 < span or total < 2 * limit + 2:
            return False

        def row(index: int) -> tuple[tuple[int, int, int], ...]:
            outer, rest = divmod(index, counts[1] * counts[2])
            middle, inner = divmod(rest, counts[2])
            return self._template(ext + outer * strides[0] + middle * strides[1] + inner * strides[2], local, size)

        for index in range(limit):                                       # at least `limit` bursts
            self._walk(row(index))
        self._free += (total - limit) * steps
        done: list[int] = []                                             # latest first
        row_free, index = self._free, total
        while len(done) <= limit:
            index -= 1
            row_free -= steps
            at, bursts = row_free, []
            for length, last, count in row(index):
                for _ in range(count):
                    bursts.append(at + last + self._tail)
                    at += length
            done.extend(reversed(bursts))
        self._push = done[limit] + 1
        self._done.extend(reversed(done[:limit]))
        return True


class LoadTiming(DmaTiming):
    """Cycles of a load engine.

    Parameters
    ----------
    bus_bytes : int
        Bytes of a beat, B; a power of two.
    chunk_bytes : int
        Bytes of one write into a destination, U = min(B, the smallest destination word); a power of two.
    outstanding_bursts : int
        Most bursts addressed and not yet read to the end.
    read_latency_cycles : int
        Address handshake to first beat; at least 1.
    address_cycles : int
        Registers of the address stage.
    """

    def __init__(self, *, bus_bytes: int, chunk_bytes: int, outstanding_bursts: int, read_latency_cycles: int, address_cycles: int = 0):
        _check_at_least(type(self).__name__, 1, read_latency_cycles=read_latency_cycles)
        self.read_latency_cycles = read_latency_cycles
        super().__init__(bus_bytes=bus_bytes, chunk_bytes=chunk_bytes, outstanding_bursts=outstanding_bursts,
                         lead=1 + read_latency_cycles, tail=0, address_cycles=address_cycles)

    def _row_steps(self, off: int, lo: int, size: int, beats: int) -> tuple[int, Callable[[int], int]]:
        bus, chunk = self.bus_bytes, self.chunk_bytes
        extra = off + min(chunk - lo, size) > bus
        return -(-(lo + size) // chunk) + extra, lambda beat: (beat * bus + lo - off) // chunk + extra if beat else 0

    def start(self, cycle: int, fields: Mapping[str, int]) -> int:
        """Start an instruction of these (decoded) fields at ``cycle``; returns its retire cycle. ValueError if not ready."""
        self._advance(cycle, fields)
        return self._free - 1 + LOAD_WRITE_CYCLES


class StoreTiming(DmaTiming):
    """Cycles of a store engine.

    Parameters
    ----------
    bus_bytes : int
        Bytes of a beat, B; a power of two.
    chunk_bytes : int
        Bytes of one read from a source, U = min(B, the smallest source word); a power of two.
    outstanding_bursts : int
        Most bursts addressed and not yet answered.
    write_latency_cycles : int
        Last write beat to its response; at least 1.
    source_latency_cycles : int
        Read latency of the slowest source memory, at least 1; reads of all sources take as long.
    address_cycles : int
        Registers of the address stage.
    """

    def __init__(self, *, bus_bytes: int, chunk_bytes: int, outstanding_bursts: int, write_latency_cycles: int, source_latency_cycles: int,
                 address_cycles: int = 0):
        _check_at_least(type(self).__name__, 1, write_latency_cycles=write_latency_cycles, source_latency_cycles=source_latency_cycles)
        self.write_latency_cycles = write_latency_cycles
        self.source_latency_cycles = source_latency_cycles
        super().__init__(bus_bytes=bus_bytes, chunk_bytes=chunk_bytes, outstanding_bursts=outstanding_bursts,
                         lead=2, tail=source_latency_cycles + STORE_SEND_CYCLES + write_latency_cycles, address_cycles=address_cycles)

    def _row_steps(self, off: int, lo: int, size: int, beats: int) -> tuple[int, Callable[[int], int]]:
        bus, chunk = self.bus_bytes, self.chunk_bytes
        chunks = -(-(lo + size) // chunk)
        extra = beats > 1 and (lo + (beats - 1) * bus - off - 1) // chunk == chunks - 1
        return chunks + extra, lambda beat: (lo + (beat + 1) * bus - off - 1) // chunk if beat < beats - 1 else chunks + extra - 1

    def start(self, cycle: int, fields: Mapping[str, int]) -> int:
        """Start an instruction of these (decoded) fields at ``cycle``; returns its retire cycle. ValueError if not ready."""
        self._advance(cycle, fields)
        return self._done[-1] + 1
