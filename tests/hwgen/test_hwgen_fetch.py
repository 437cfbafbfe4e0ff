"""Fetch, dispatch and queues against FetchTiming, cycle for cycle, over a memory with the promised timing and over one that stalls."""

import random
import re
from collections import deque

import pytest
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.sim import Simulator

from acg.timing.fetch import FetchTiming
from hwgen.bus.axi import Burst
from hwgen.control.dispatch import Dispatch
from hwgen.control.fetch import Fetch
from hwgen.control.queue import Queue

ENGINES = 2
PARITY = 0x1234


def halfwords(value, bits):
    total = 0
    for low in range(0, bits, 16):
        total ^= value >> low & 0xFFFF
    return total


def encode(engine, payload, bits):
    """An instruction: engine field, check in bits 16 to 31, payload above."""
    word = engine | payload << 32
    return word | (halfwords(word, bits) ^ PARITY) << 16


class FrontEnd(Elaboratable):
    def __init__(self, *, instruction_bits, data_bits, outstanding_bursts, depth):
        self.fetch = Fetch(addr_bits=32, data_bits=data_bits, instruction_bits=instruction_bits, outstanding_bursts=outstanding_bursts)
        self.dispatch = Dispatch(instruction_bits=instruction_bits, engine_lsb=0, engines=ENGINES, parity=PARITY,
                                 code_check=2, code_illegal=3, code_bus=6)
        self.queues = [Queue(shape=instruction_bits, depth=depth) for _ in range(ENGINES)]
        self.running = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch, m.submodules.dispatch = self.fetch, self.dispatch
        for name in ("valid", "instruction", "parity", "bus_error"):
            m.d.comb += getattr(self.dispatch, name).eq(getattr(self.fetch, name))
        m.d.comb += [self.fetch.ready.eq(self.dispatch.ready), self.dispatch.enable.eq(self.running)]
        for index, queue in enumerate(self.queues):
            m.submodules[f"queue_{index}"] = queue
            m.d.comb += [queue.i.valid.eq(self.dispatch.queue_valid[index]), queue.i.payload.eq(self.dispatch.instruction)]
        m.d.comb += self.dispatch.queue_ready.eq(Cat(queue.i.ready for queue in self.queues))
        return m


class Memory:
    """AXI read memory: the promised timing, or (``stall``) random waits on both channels; ``error`` is the burst that fails."""

    def __init__(self, axi, words, *, beats, base, latency, rng=None, error=None):
        self.axi, self.words, self.beats, self.base, self.latency, self.rng, self.error = axi, words, beats, base, latency, rng, error
        self.bursts = deque()
        self.asked = []
        self.presented = False
        self.waiting = None

    def drive(self, ctx, cycle):
        """Set the memory's outputs of this cycle."""
        ctx.set(self.axi.arready, self.rng is None or self.rng.random() < 0.5)
        ready = bool(self.bursts) and cycle >= self.bursts[0][0]
        if not self.presented:
            self.presented = ready and (self.rng is None or self.rng.random() < 0.5)
        ctx.set(self.axi.rvalid, self.presented)
        if self.presented:
            _, number, beat = self.bursts[0]
            bits = len(self.axi.rdata)
            ctx.set(self.axi.rdata, self.words[number] >> beat * bits & (1 << bits) - 1)
            ctx.set(self.axi.rlast, beat == self.beats - 1)
            ctx.set(self.axi.rresp, 2 if number == self.error and beat == 0 else 0)

    def observe(self, ctx, cycle):
        """Note this cycle's handshakes."""
        assert ctx.get(self.axi.rready) == 1
        offer = ctx.get(self.axi.araddr) if ctx.get(self.axi.arvalid) else None
        assert self.waiting in (None, offer), "an address that waits was withdrawn or changed"
        self.waiting = None if ctx.get(self.axi.arready) else offer
        if self.presented:
            ready, number, beat = self.bursts.popleft()
            if beat + 1 < self.beats:
                self.bursts.appendleft((ready, number, beat + 1))
            self.presented = False
        if ctx.get(self.axi.arvalid) and ctx.get(self.axi.arready):
            bytes_ = self.beats * len(self.axi.rdata) // 8
            address = ctx.get(self.axi.araddr)
            assert (ctx.get(self.axi.arlen), ctx.get(self.axi.arburst)) == (self.beats - 1, Burst.INCR.value)
            assert 1 << ctx.get(self.axi.arsize) == len(self.axi.rdata) // 8
            assert address % bytes_ == 0
            number = (address - self.base) // bytes_
            self.asked.append(number)
            self.bursts.append((cycle + self.latency, number, 0))


def run(dut, words, *, latency, pops, cycles, stall_seed=None, error=None, base=0x2000, halt_at=None):
    """Run the front end; ``pops[e]`` are the earliest cycles of the pops of queue e. Returns dispatch and pop logs, and the memory."""
    beats = dut.fetch.beats
    rng = None if stall_seed is None else random.Random(stall_seed)
    memory = Memory(dut.fetch.axi, words, beats=beats, base=base, latency=latency, rng=rng, error=error)
    dispatches, popped, errors, idle = [], [[] for _ in range(ENGINES)], [], []

    async def testbench(ctx):
        ctx.set(dut.fetch.address, base)
        ctx.set(dut.fetch.count, len(words))
        ctx.set(dut.fetch.load, 1)
        await ctx.tick()
        ctx.set(dut.fetch.load, 0)
        ctx.set(dut.running, 1)
        for cycle in range(cycles):
            if cycle == halt_at:
                ctx.set(dut.fetch.halt, 1)
            memory.drive(ctx, cycle)
            for index, queue in enumerate(dut.queues):
                due = len(popped[index]) < len(pops[index]) and cycle >= pops[index][len(popped[index])]
                ctx.set(queue.o.ready, due)
                if due and ctx.get(queue.o.valid):
                    popped[index].append((cycle, ctx.get(queue.o.payload)))
            if ctx.get(dut.dispatch.dispatched):
                dispatches.append((cycle, ctx.get(dut.dispatch.engine)))
            if ctx.get(dut.dispatch.error):
                errors.append((ctx.get(dut.dispatch.error_code), ctx.get(dut.dispatch.error_engine), ctx.get(dut.dispatch.count)))
            memory.observe(ctx, cycle)
            idle.append(ctx.get(dut.fetch.idle))
            assert not (idle[-1] and (memory.bursts or memory.waiting)), "idle with a burst under way"
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return dispatches, popped, errors, memory, idle


@pytest.mark.sim
@pytest.mark.parametrize("beats, buffers, depth, latency", [(1, 1, 2, 1), (1, 3, 2, 4), (4, 2, 3, 9), (2, 4, 8, 24), (8, 5, 4, 2)])
def test_dispatch_cycles_equal_the_timing_model(beats, buffers, depth, latency):
    seed = beats * 100 + buffers
    print("seed", seed)
    rng = random.Random(seed)
    data_bits, count = 64, 40
    dut = FrontEnd(instruction_bits=data_bits * beats, data_bits=data_bits, outstanding_bursts=buffers, depth=depth)
    engines = [rng.randrange(ENGINES) for _ in range(count)]
    words = [encode(1 + e, rng.getrandbits(32 if beats == 1 else 60), data_bits * beats) for e in engines]
    pops = [[], []]
    clock = [0, 0]
    for e in engines:
        clock[e] += rng.choice([1, 1, 2, 15, 40])
        pops[e].append(clock[e])

    timing = FetchTiming(instruction_bytes=8 * beats, bus_bytes=8, read_latency_cycles=latency, outstanding_bursts=buffers)
    expected, starts = [], [[], []]
    for e in engines:
        room = starts[e][-depth] + 1 if len(starts[e]) >= depth else 0
        dispatch = timing.dispatch(room)
        starts[e].append(max(dispatch + 1, pops[e][len(starts[e])], starts[e][-1] + 1 if starts[e] else 0))
        expected.append((dispatch, e))

    dispatches, popped, errors, memory, idle = run(dut, words, latency=latency, pops=pops, cycles=max(starts[0] + starts[1]) + 5)
    assert dispatches == expected
    for e in range(ENGINES):
        assert [cycle for cycle, _ in popped[e]] == starts[e]
        assert [word for _, word in popped[e]] == [word for word, owner in zip(words, engines, strict=True) if owner == e]
    assert memory.asked == list(range(count))
    assert errors == [] and idle[-1] == 1


@pytest.mark.sim
@pytest.mark.parametrize("stall_seed", range(3))
def test_a_stalling_memory_loses_and_reorders_nothing(stall_seed):
    rng = random.Random(stall_seed)
    engines = [rng.randrange(ENGINES) for _ in range(30)]
    words = [encode(1 + e, rng.getrandbits(60), 128) for e in engines]
    dut = FrontEnd(instruction_bits=128, data_bits=64, outstanding_bursts=3, depth=2)
    pops = [[0] * engines.count(0), [0] * engines.count(1)]
    dispatches, popped, errors, memory, _ = run(dut, words, latency=3, pops=pops, cycles=500, stall_seed=stall_seed)
    assert [e for _, e in dispatches] == engines
    for e in range(ENGINES):
        assert [word for _, word in popped[e]] == [word for word, owner in zip(words, engines, strict=True) if owner == e]
    assert memory.asked == list(range(30)) and errors == []


@pytest.mark.sim
@pytest.mark.parametrize("bad, error_burst, expected", [
    (encode(3, 7, 64), None, (3, 3, 2)),
    (encode(0, 7, 64), None, (3, 0, 2)),
    (encode(1, 7, 64) ^ 1 << 40, None, (2, 0, 2)),
    (encode(1, 7, 64), 2, (6, 0, 2)),
])
def test_a_bad_instruction_is_reported_by_number_and_stops_dispatch(bad, error_burst, expected):
    words = [encode(1, 5, 64), encode(2, 6, 64), bad, encode(1, 8, 64)]
    dut = FrontEnd(instruction_bits=64, data_bits=64, outstanding_bursts=2, depth=4)
    dispatches, _, errors, _, _ = run(dut, words, latency=2, pops=[[], []], cycles=40, error=error_burst)
    assert [e for _, e in dispatches] == [0, 1]
    assert len(errors) > 5 and set(errors) == {expected}


@pytest.mark.sim
def test_an_error_on_the_first_of_several_beats_is_not_forgotten():
    words = [encode(1, number, 256) for number in range(4)]
    dut = FrontEnd(instruction_bits=256, data_bits=64, outstanding_bursts=2, depth=4)
    dispatches, _, errors, _, _ = run(dut, words, latency=2, pops=[[], []], cycles=60, error=2)
    assert len(dispatches) == 2 and set(errors) == {(6, 0, 2)}


@pytest.mark.sim
@pytest.mark.parametrize("halt_at", range(8, 20))
def test_halt_asks_for_nothing_more_and_becomes_idle(halt_at):
    """An address that waits at the halt is still handed over, and all that was asked for comes back before the unit is idle."""
    words = [encode(1, i, 256) for i in range(50)]
    dut = FrontEnd(instruction_bits=256, data_bits=64, outstanding_bursts=4, depth=2)
    _, _, _, memory, idle = run(dut, words, latency=6, pops=[list(range(100)), []], cycles=80, halt_at=halt_at, stall_seed=halt_at)
    assert 0 < len(memory.asked) < 12
    assert idle[-1] == 1 and not memory.bursts


@pytest.mark.parametrize("change, error, message", [
    ({"outstanding_bursts": 0}, ValueError, "Fetch: outstanding_bursts must be at least 1, not 0"),
    ({"outstanding_bursts": None}, TypeError, "Fetch: outstanding_bursts must be an integer, not None"),
    ({"instruction_bits": 192}, ValueError, "Fetch: instruction_bits must be 64 times a power of two up to 256, not 192"),
    ({"instruction_bits": 32}, ValueError, "Fetch: instruction_bits must be 64 times a power of two up to 256, not 32"),
])
def test_impossible_parameters_are_refused(change, error, message):
    parameters = {"addr_bits": 32, "data_bits": 64, "instruction_bits": 128, "outstanding_bursts": 2} | change
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Fetch(**parameters)
