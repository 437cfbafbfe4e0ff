"""Store unit against the functional model and StoreTiming: random streams, promised and stalling memory, errors and halt."""

import random
from collections import deque

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg.timing.dma import StoreTiming
from hwgen.bus.axi import Response
from hwgen.units.copy.store import StoreUnit
from tests.hwgen.dma_bench import ADDRESS_BITS, LOCAL_BITS, LOCAL_BYTES, SIZE_BYTES, Sink, body, copy, draw_copy, encoded, random_bytes
from verif.iss.copy import execute_store

SEED = 20261122
pytestmark = pytest.mark.sim


def unit(bus, chunk, outstanding, latencies=(1, 1), **changes):
    shift = chunk.bit_length() - 1
    return StoreUnit(**{
        "bus_bits": 8 * bus, "address_bits": ADDRESS_BITS, "size_bytes": SIZE_BYTES, "chunk_bytes": chunk,
        "source_addr_bits": [LOCAL_BITS - shift, LOCAL_BITS - 2 - shift], "source_latency_cycles": latencies,
        "outstanding_bursts": outstanding, "body": body(), **changes})


class Port:
    """A source memory's read port: data is there for one cycle, and noise in all others."""

    def __init__(self, port, memory, *, latency, chunk, rng):
        self.port, self.memory, self.latency, self.chunk, self.rng = port, memory, latency, chunk, rng
        self.reads = deque()

    def drive(self, ctx, cycle):
        if self.reads and self.reads[0][0] == cycle:
            ctx.set(self.port.data, self.reads.popleft()[1])
        else:
            ctx.set(self.port.data, self.rng.getrandbits(8 * self.chunk))

    def observe(self, ctx, cycle):
        if ctx.get(self.port.en):
            at = ctx.get(self.port.addr) * self.chunk
            self.reads.append((cycle + self.latency, int.from_bytes(self.memory[at:at + self.chunk].tobytes(), "little")))
            return 1
        return 0


def run(dut, memories, program, *, latency, rng=None, error_at=None, halt_at=None, limit=20000):
    """Run (start cycle at the earliest, fields) pairs; returns starts, first ready cycles behind each, retires, errors, external memory, sink, end."""
    external = np.full(SIZE_BYTES, 0xEE, np.uint8)
    sink = Sink(dut.axi, external, latency=latency, rng=rng, error_at=error_at)
    noise = random.Random(1)
    ports = [Port(port, memory, latency=own, chunk=dut.chunk_bytes, rng=noise)
             for port, memory, own in zip(dut.sources, memories, dut.source_latency_cycles, strict=True)]
    starts, readies, retires, errors, cycles = [], [], [], [], []

    async def bench(ctx):
        reads_after_halt = 0
        for cycle in range(limit):
            for port in ports:
                port.drive(ctx, cycle)
            sink.drive(ctx, cycle)
            ctx.set(dut.halt, halt_at is not None and cycle >= halt_at)
            ready = ctx.get(dut.ready)
            if ready and len(readies) < len(starts):
                readies.append(cycle)
            starting = ready and len(starts) < len(program) and cycle >= program[len(starts)][0] and not errors and not ctx.get(dut.halt)
            ctx.set(dut.start, starting)
            if starting:
                ctx.set(dut.instr, encoded(program[len(starts)][1]))
                starts.append(cycle)
            sink.observe(ctx, cycle)
            reads = sum(port.observe(ctx, cycle) for port in ports)
            assert reads <= 1
            if halt_at is not None and cycle > halt_at:
                reads_after_halt += reads
                assert reads_after_halt == 0, "read after halt"
            if ctx.get(dut.retire):
                retires.append(cycle)
            if ctx.get(dut.error):
                errors.append((ctx.get(dut.error_code), ctx.get(dut.error_address)))
            if len(retires) < len(starts) and starts[-1] < cycle and not errors and not ctx.get(dut.halt):
                assert not ctx.get(dut.idle), f"idle at cycle {cycle} before the last instruction has retired"
            complete = len(retires) == len(program) or errors or ctx.get(dut.halt)
            if ctx.get(dut.idle) and not starting and complete:
                assert sink.quiet and not ctx.get(dut.axi.awvalid) and not ctx.get(dut.axi.wvalid)
                cycles.append(cycle)
                return
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert cycles, f"not idle after {limit} cycles"
    return starts, readies, retires, errors, external, sink, cycles[0]


def contents(*seed):
    return [random_bytes([SEED, *seed, index], size) for index, size in enumerate(LOCAL_BYTES)]


def expected(program, memories):
    external = np.full(SIZE_BYTES, 0xEE, np.uint8)
    for _, fields in program:
        execute_store(fields, external=external, memories=memories)
    return external


def predict(parameters, program):
    timing, starts, readies, retires, cycle = StoreTiming(**parameters), [], [], [], -1
    for earliest, fields in program:
        cycle = max(cycle + 1, timing.ready_cycle, earliest)
        starts.append(cycle)
        retires.append(timing.start(cycle, fields))
        readies.append(timing.ready_cycle)
    return starts, readies, retires


CASES = [*((bus, chunk) for bus in (4, 8, 16) for chunk in (1, 2, 4, 8, 16) if chunk <= bus), (32, 16), (32, 32)]


@pytest.mark.parametrize("repeat", range(2))
@pytest.mark.parametrize(("bus", "chunk"), CASES)
def test_random_streams(bus, chunk, repeat):
    rng = random.Random(f"{SEED}/{bus}/{chunk}/{repeat}")
    outstanding, latency = rng.randint(1, 8), rng.choice([1, 2, 3, 9, 24])
    sources, address_cycles = (rng.randint(1, 3), rng.randint(1, 3)), rng.randint(0, 1)
    memories = contents(bus, chunk, repeat)
    gap = rng.choice([0, 0, 100])
    program = [(number * rng.randint(0, gap), draw_copy(rng, bus, chunk, budget=160)) for number in range(7)]
    note = f"replay: {SEED}/{bus}/{chunk}/{repeat}, outstanding {outstanding}, latency {latency}, sources {sources}, address {address_cycles}"
    starts, readies, retires, errors, external, sink, _ = run(unit(bus, chunk, outstanding, sources, address_cycles=address_cycles), memories, program, latency=latency)
    wanted = expected(program, memories)
    parameters = {"bus_bytes": bus, "chunk_bytes": chunk, "outstanding_bursts": outstanding, "write_latency_cycles": latency,
                  "source_latency_cycles": max(sources), "address_cycles": address_cycles}
    assert (starts, readies, retires) == predict(parameters, program), note
    assert not errors, note
    assert np.array_equal(external, wanted), note
    rows = [fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"] for _, fields in program]
    assert sink.strobed == sum(rows), note
    assert sink.most <= outstanding, note

    stalled = run(unit(bus, chunk, outstanding, sources, address_cycles=address_cycles), memories, program, latency=latency, rng=rng)
    assert len(stalled[2]) == len(program), note
    assert all(late >= early for late, early in zip(stalled[2], retires, strict=True)), note
    assert not stalled[3], note
    assert np.array_equal(stalled[4], wanted), note
    assert stalled[5].most <= outstanding, note


def test_full_rate_over_rows_and_instructions():
    """8 rows of 4 beats, twice: 64 steps without a bubble (asserted in cycles, not taken from the timing model)."""
    memories = contents()
    rows = copy(n=(1, 1, 8, 64), ext_strides=(0, 0, 80), local_strides=(0, 0, 64))
    program = [(0, rows), (0, {**rows, "ext_address": 1024})]
    starts, _, retires, _, external, _, _ = run(unit(16, 16, 8), memories, program, latency=6)
    assert starts[0] == 0
    # push 1, first step 3, last step 34, beat 1 + 3 cycles later, response after 6, retire
    assert retires == [34 + 4 + 6 + 1, 66 + 4 + 6 + 1]
    assert np.array_equal(external, expected(program, memories))


@pytest.mark.parametrize(("fields", "error"), [
    (copy(ext=SIZE_BYTES - 3), (7, SIZE_BYTES - 3)),
    (copy(n=(1, 1, 3, 4), ext=4, ext_strides=(0, 0, -4)), (7, (1 << ADDRESS_BITS) - 4)),
    (copy(n=(1, 1, 3, 16), ext=8, ext_strides=(0, 0, -8)), (7, (1 << ADDRESS_BITS) - 8)),
    (copy(n=(1, 1, 1, 60000), ext=SIZE_BYTES - 59999), (7, SIZE_BYTES - 59999)),
    (copy(select=1, local=LOCAL_BYTES[1] - 3, n=(1, 1, 1, 12)), (4, LOCAL_BYTES[1])),
    (copy(select=2, local=16), (3, 2)),
    (copy(select=3, ext=SIZE_BYTES - 3), (3, 3)),
    (copy(n=(1, 1, 2, 4), local=0, local_strides=(0, 0, -8)), (4, (1 << LOCAL_BITS + 2) - 8)),
])
@pytest.mark.parametrize("stall", [False, True])
def test_outside(fields, error, stall):
    """The range error of a row pulses once, bursts under way end without strobes, and the unit falls idle."""
    before = copy(n=(1, 1, 2, 40), ext=100, local=200, ext_strides=(0, 0, 50), local_strides=(0, 0, 40))
    memories = contents()
    rng = random.Random(SEED) if stall else None
    program = [(0, before), (400, fields), (0, before)]
    _, _, retires, errors, external, _, _ = run(unit(8, 4, 4), memories, program, latency=5, rng=rng)
    assert errors == [error]
    assert len(retires) == 1
    assert np.array_equal(external[100:190], expected([(0, before)], memories)[100:190])


@pytest.mark.parametrize("response", [Response.SLVERR, Response.DECERR])
@pytest.mark.parametrize("stall", [False, True])
def test_bus_error(stall, response):
    memories = contents()
    rows = copy(n=(1, 1, 4, 64), ext=4096 - 32, local=0, ext_strides=(0, 0, 64), local_strides=(0, 0, 64))
    rng = random.Random(SEED) if stall else None
    _, _, retires, errors, external, _, _ = run(unit(8, 8, 4), memories, [(0, rows), (0, rows)], latency=5, rng=rng, error_at=(4096, response.value))
    assert errors == [(6, 4096)]
    assert not retires
    wanted = expected([(0, rows)], memories)
    assert ((external == wanted) | (external == 0xEE)).all()


@pytest.mark.parametrize("halt_at", range(1, 60, 4))
@pytest.mark.parametrize("stall", [False, True])
def test_halt(halt_at, stall):
    """Whenever halted, every burst offered gets all its beats, nothing is read, and the unit falls idle; no foreign byte was written."""
    memories = contents()
    rows = copy(n=(1, 1, 4, 64), ext=4096 - 28, local=8, ext_strides=(0, 0, 64), local_strides=(0, 0, 64))
    rng = random.Random(f"{SEED}/{halt_at}") if stall else None
    program = [(0, rows)] * 3
    _, _, _, errors, external, _, end = run(unit(8, 4, 4, (2, 1)), memories, program, latency=7, rng=rng, halt_at=halt_at)
    wanted = expected(program, memories)
    assert not errors
    assert ((external == wanted) | (external == 0xEE)).all()
    assert end <= halt_at + 400


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"chunk_bytes": 32}, ValueError, "StoreUnit: chunk_bytes must be a power of two up to 16 (the bus), not 32"),
    ({"size_bytes": 100}, ValueError, "StoreUnit: size_bytes must be a multiple of 16 (the bus) up to 2^24, not 100"),
    ({"outstanding_bursts": 0}, ValueError, "StoreUnit: outstanding_bursts must be at least 1, not 0"),
    ({"source_latency_cycles": (1, 0)}, ValueError,
     "StoreUnit: source_latency_cycles must name a latency of at least 1 for each of the 2 sources, not (1, 0)"),
    ({"source_latency_cycles": (1,)}, ValueError,
     "StoreUnit: source_latency_cycles must name a latency of at least 1 for each of the 2 sources, not (1,)"),
])
def test_refusals(changes, error, message):
    with pytest.raises(error) as caught:
        unit(16, 16, 4, **changes)
    assert str(caught.value) == message
