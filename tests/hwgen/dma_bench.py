"""What the tests of both DMA units share: instruction bodies, random copies, a deterministic or stalling AXI memory, rule checks."""

from collections import deque

import numpy as np

from hwgen.bus.axi import Burst
from hwgen.layout import body_layout

ADDRESS_BITS = 24
LOCAL_BITS = 12
LOCAL_BYTES = (1 << LOCAL_BITS, 1 << LOCAL_BITS - 2)
SIZE_BYTES = 1 << 16
_WIDTHS = (("select", 2, False), ("n_0", 16, False), ("n_1", 16, False), ("n_2", 16, False), ("n_3", 20, False),
           ("ext_address", ADDRESS_BITS, False), *((f"ext_stride_{level}", 17, True) for level in range(3)),
           ("local_address", LOCAL_BITS, False), *((f"local_stride_{level}", LOCAL_BITS + 1, True) for level in range(3)))


def body():
    fields, offset = [], 0
    for name, width, signed in _WIDTHS:
        fields.append((name, width, offset, signed))
        offset += width
    return body_layout(fields)


def encoded(fields):
    return {name: value - 1 if name.startswith("n_") else value for name, value in fields.items()}


def copy(select=0, n=(1, 1, 1, 4), ext=0, local=0, ext_strides=(0, 0, 0), local_strides=(0, 0, 0)):
    return {
        "select": select, **{f"n_{level}": count for level, count in enumerate(n)}, "ext_address": ext, "local_address": local,
        **{f"ext_stride_{level}": stride for level, stride in enumerate(ext_strides)},
        **{f"local_stride_{level}": stride for level, stride in enumerate(local_strides)},
    }


def draw_copy(rng, bus, chunk, *, budget):
    """A random copy of about ``budget`` steps at most, inside both memories; rows may overlap."""
    while True:
        size = rng.choice([1, 1, 2, bus, bus + 1, chunk, rng.randint(1, 3 * bus), rng.randint(1, 200), rng.randint(1, budget * chunk)])
        rows = [1, 1, 1]
        for _ in range(rng.randint(0, 3)):
            rows[rng.randrange(3)] = rng.randint(1, 6)
        if rows[0] * rows[1] * rows[2] * (size // chunk + 2) > budget:
            continue
        unit_ext, unit_local = rng.choice([1, 1, bus]), rng.choice([1, 1, chunk])
        near_page = rng.choice([0, 0, 1024, 4096])
        ext = near_page * rng.randint(1, 8) - rng.randint(0, 3 * bus) if near_page else rng.randrange(SIZE_BYTES)
        fields = copy(
            rng.randrange(2), (*rows, size), ext // unit_ext * unit_ext, rng.randrange(LOCAL_BYTES[0]) // unit_local * unit_local,
            [unit_ext * rng.choice([0, 1, -1, rng.randint(-80, 80), -(-size // unit_ext)]) for _ in range(3)],
            [unit_local * rng.choice([0, 1, rng.randint(-20, 40), -(-size // unit_local)]) for _ in range(3)])
        reach = {}
        for side in ("ext", "local"):
            steps = [(fields[f"n_{level}"] - 1) * fields[f"{side}_stride_{level}"] for level in range(3)]
            base = fields[f"{side}_address"]
            reach[side] = (base + sum(min(0, step) for step in steps), base + sum(max(0, step) for step in steps) + size)
        if min(low for low, _ in reach.values()) >= 0 and reach["ext"][1] <= SIZE_BYTES and reach["local"][1] <= LOCAL_BYTES[fields["select"]]:
            return fields


class Stable:
    """Rule: once valid, a channel stays valid with the same payload until it is accepted."""

    def __init__(self, name):
        self.name, self.waiting = name, None

    def check(self, valid, ready, payload):
        if self.waiting is not None:
            assert valid, f"{self.name}: valid withdrawn before ready"
            assert payload == self.waiting, f"{self.name}: payload changed before ready"
        self.waiting = payload if valid and not ready else None
        return valid and ready


def check_burst(address, length, size, burst, bus):
    """Rules of an address beat: full width, INCR, aligned, within 4 KiB and within the memory."""
    assert 1 << size == bus
    assert burst == Burst.INCR.value
    assert address % bus == 0
    end = address + (length + 1) * bus
    assert address // 4096 == (end - 1) // 4096, f"burst of {length + 1} beats at {address} crosses 4 KiB"
    assert end <= SIZE_BYTES


class Source:
    """Read side of the memory. Deterministic without ``rng``; with it, ARREADY falls and beats wait at random. What is not valid is rubbish.

    ``error_at`` is the address of a beat, with the response that it gets (SLVERR unless given).
    """

    def __init__(self, axi, memory, *, latency, rng=None, error_at=None):
        self.axi, self.memory, self.latency, self.rng = axi, memory, latency, rng
        self.error_at, self.response = error_at if isinstance(error_at, tuple) else (error_at, 2)
        self.bus = len(axi.rdata) // 8
        self.address = Stable("AR")
        self.beats = deque()                                             # (ready cycle, address, last)
        self.offered = False
        self.under_way = self.most = 0

    def drive(self, ctx, cycle):
        ctx.set(self.axi.arready, self.rng is None or self.rng.random() < 0.5)
        if not self.offered and self.beats and cycle >= self.beats[0][0]:
            self.offered = self.rng is None or self.rng.random() < 0.6
        ctx.set(self.axi.rvalid, self.offered)
        if self.offered:
            _, address, last = self.beats[0]
            ctx.set(self.axi.rdata, int.from_bytes(self.memory[address:address + self.bus].tobytes(), "little"))
            ctx.set(self.axi.rlast, last)
            ctx.set(self.axi.rresp, self.response if address == self.error_at else 0)
        else:
            ctx.set(self.axi.rdata, int("a5" * self.bus, 16))
            ctx.set(self.axi.rlast, 1)
            ctx.set(self.axi.rresp, 3)

    def observe(self, ctx, cycle):
        axi = self.axi
        payload = tuple(ctx.get(signal) for signal in (axi.araddr, axi.arlen, axi.arsize, axi.arburst))
        if self.address.check(ctx.get(axi.arvalid), ctx.get(axi.arready), payload):
            check_burst(*payload, self.bus)
            for beat in range(payload[1] + 1):
                self.beats.append((cycle + self.latency, payload[0] + beat * self.bus, beat == payload[1]))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        if self.offered and ctx.get(axi.rready):
            self.under_way -= self.beats.popleft()[2]
            self.offered = False

    @property
    def quiet(self):
        return not self.beats


class Sink:
    """Write side of the memory. Deterministic without ``rng``; with it, AWREADY and WREADY fall and responses wait at random. What is not valid
    is rubbish. ``error_at`` is the address of a burst, with the response that it gets (SLVERR unless given)."""

    def __init__(self, axi, memory, *, latency, rng=None, error_at=None):
        self.axi, self.memory, self.latency, self.rng = axi, memory, latency, rng
        self.error_at, self.response = error_at if isinstance(error_at, tuple) else (error_at, 2)
        self.bus = len(axi.wdata) // 8
        self.address, self.data = Stable("AW"), Stable("W")
        self.accepted = deque()                                          # (address, beats) whose data is not complete
        self.burst_address, self.early = None, deque()                   # data accepted before its address
        self.sent = 0
        self.responses = deque()                                         # (cycle, address)
        self.offered_addresses = self.begun_bursts = 0
        self.strobed = 0
        self.within = self.showing = False
        self.under_way = self.most = 0

    def drive(self, ctx, cycle):
        ctx.set(self.axi.awready, self.rng is None or self.rng.random() < 0.5)
        ctx.set(self.axi.wready, self.rng is None or self.rng.random() < 0.5)
        if not self.showing and self.responses and cycle >= self.responses[0][0]:
            self.showing = self.rng is None or self.rng.random() < 0.5
        ctx.set(self.axi.bvalid, self.showing)
        if self.showing:
            ctx.set(self.axi.bresp, self.response if self.responses[0][1] == self.error_at else 0)
        else:
            ctx.set(self.axi.bresp, 3)

    def observe(self, ctx, cycle):
        axi = self.axi
        assert ctx.get(axi.bready)
        if self.showing:
            self.responses.popleft()
            self.showing = False
            self.under_way -= 1
        offering = ctx.get(axi.awvalid)
        if offering and self.address.waiting is None:
            self.offered_addresses += 1
        payload = tuple(ctx.get(signal) for signal in (axi.awaddr, axi.awlen, axi.awsize, axi.awburst))
        if self.address.check(offering, ctx.get(axi.awready), payload):
            check_burst(*payload, self.bus)
            self.accepted.append(payload[:2])
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        sending = ctx.get(axi.wvalid)
        if sending and not self.within:
            self.within = True
            self.begun_bursts += 1
            assert self.begun_bursts <= self.offered_addresses, "write data offered before its address"
        beat = tuple(ctx.get(signal) for signal in (axi.wdata, axi.wstrb, axi.wlast))
        if self.data.check(sending, ctx.get(axi.wready), beat):
            self.early.append(beat)
            self.within = not beat[2]
        while self.accepted and self.early:
            self._store(*self.early.popleft(), cycle)

    def _store(self, data, strobes, last, cycle):
        address, length = self.accepted[0]
        assert last == (self.sent == length), f"WLAST is {last} at beat {self.sent} of {length + 1}"
        at = address + self.sent * self.bus
        for lane in range(self.bus):
            if strobes >> lane & 1:
                self.memory[at + lane] = data >> 8 * lane & 0xFF
                self.strobed += 1
        self.sent += 1
        if last:
            self.accepted.popleft()
            self.sent = 0
            self.responses.append((cycle + self.latency, address))

    @property
    def quiet(self):
        return not (self.accepted or self.early or self.responses or self.sent)


def random_bytes(seed, size):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
