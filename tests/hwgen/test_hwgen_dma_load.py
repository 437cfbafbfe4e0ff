"""Load unit against the functional model and LoadTiming: random streams, promised and stalling memory, errors and halt."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from acg.timing.dma import LoadTiming
from hwgen.bus.axi import Response
from hwgen.units.copy.load import LoadUnit
from tests.hwgen.dma_bench import ADDRESS_BITS, LOCAL_BITS, LOCAL_BYTES, SIZE_BYTES, Source, body, copy, draw_copy, encoded, random_bytes
from verif.iss.copy import execute_load

SEED = 20261122
pytestmark = pytest.mark.sim


def unit(bus, chunk, outstanding, **changes):
    shift = chunk.bit_length() - 1
    return LoadUnit(**{
        "bus_bits": 8 * bus, "address_bits": ADDRESS_BITS, "size_bytes": SIZE_BYTES, "chunk_bytes": chunk,
        "destination_addr_bits": [LOCAL_BITS - shift, LOCAL_BITS - 2 - shift], "outstanding_bursts": outstanding, "body": body(), **changes})


def run(dut, external, program, *, latency, rng=None, error_at=None, halt_at=None, limit=20000):
    """Run (start cycle at the earliest, fields) pairs; returns starts, first ready cycles behind each, retires, errors, memories, source, end."""
    memories = [np.full(size, 0xEE, np.uint8) for size in LOCAL_BYTES]
    source = Source(dut.axi, external, latency=latency, rng=rng, error_at=error_at)
    starts, readies, retires, errors, cycles = [], [], [], [], []

    async def bench(ctx):
        for cycle in range(limit):
            source.drive(ctx, cycle)
            ctx.set(dut.halt, halt_at is not None and cycle >= halt_at)
            ready = ctx.get(dut.ready)
            if ready and len(readies) < len(starts):
                readies.append(cycle)
            starting = ready and len(starts) < len(program) and cycle >= program[len(starts)][0] and not errors and not ctx.get(dut.halt)
            ctx.set(dut.start, starting)
            if starting:
                ctx.set(dut.instr, encoded(program[len(starts)][1]))
                starts.append(cycle)
            source.observe(ctx, cycle)
            if ctx.get(dut.retire):
                retires.append(cycle)
            if ctx.get(dut.error):
                errors.append((ctx.get(dut.error_code), ctx.get(dut.error_address)))
            enabled = [port for port in dut.destinations if ctx.get(port.en)]
            assert len(enabled) <= 1
            for port in enabled:
                write(ctx, port, memories[dut.destinations.index(port)])
            if len(retires) < len(starts) and starts[-1] < cycle and not errors and not ctx.get(dut.halt):
                assert not ctx.get(dut.idle), f"idle at cycle {cycle} before the last instruction has retired"
            complete = len(retires) == len(program) or errors or ctx.get(dut.halt)
            if ctx.get(dut.idle) and not starting and complete:
                assert source.quiet and not ctx.get(dut.axi.arvalid)
                cycles.append(cycle)
                return
            await ctx.tick()

    def write(ctx, port, memory):
        address, data, mask = ctx.get(port.addr) * dut.chunk_bytes, ctx.get(port.data), ctx.get(port.mask)
        assert mask
        for lane in range(dut.chunk_bytes):
            if mask >> lane & 1:
                memory[address + lane] = data >> 8 * lane & 0xFF

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert cycles, f"not idle after {limit} cycles"
    return starts, readies, retires, errors, memories, source, cycles[0]


def expected(program, external):
    memories = [np.full(size, 0xEE, np.uint8) for size in LOCAL_BYTES]
    for _, fields in program:
        execute_load(fields, external=external, memories=memories)
    return memories


def predict(parameters, program):
    timing, starts, readies, retires, cycle = LoadTiming(**parameters), [], [], [], -1
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
    outstanding, latency, address_cycles = rng.randint(1, 8), rng.choice([1, 2, 3, 9, 24]), rng.randint(0, 1)
    external = random_bytes([SEED, bus, chunk, repeat], SIZE_BYTES)
    gap = rng.choice([0, 0, 100])
    program = [(number * rng.randint(0, gap), draw_copy(rng, bus, chunk, budget=160)) for number in range(7)]
    dut = unit(bus, chunk, outstanding, address_cycles=address_cycles)
    note = f"replay: {SEED}/{bus}/{chunk}/{repeat}, outstanding {outstanding}, latency {latency}, address {address_cycles}"
    starts, readies, retires, errors, memories, source, _ = run(dut, external, program, latency=latency)
    wanted = expected(program, external)
    parameters = {"bus_bytes": bus, "chunk_bytes": chunk, "outstanding_bursts": outstanding, "read_latency_cycles": latency, "address_cycles": address_cycles}
    predicted = predict(parameters, program)
    assert (starts, readies, retires) == predicted, note
    assert not errors, note
    assert all(np.array_equal(got, want) for got, want in zip(memories, wanted, strict=True)), note
    assert source.most <= outstanding, note

    stalled = run(unit(bus, chunk, outstanding, address_cycles=address_cycles), external, program, latency=latency, rng=rng)
    assert len(stalled[2]) == len(program), note
    assert all(late >= early for late, early in zip(stalled[2], retires, strict=True)), note
    assert not stalled[3], note
    assert all(np.array_equal(got, want) for got, want in zip(stalled[4], wanted, strict=True)), note
    assert stalled[5].most <= outstanding, note


def test_full_rate_over_rows_and_instructions():
    """8 rows of 4 beats, twice: 64 steps without a bubble (asserted in cycles, not taken from the timing model)."""
    external = random_bytes(SEED, SIZE_BYTES)
    rows = copy(n=(1, 1, 8, 64), ext_strides=(0, 0, 80), local_strides=(0, 0, 64))
    program = [(0, rows), (0, {**rows, "local_address": 1024})]
    starts, _, retires, _, memories, _, _ = run(unit(16, 16, 8), external, program, latency=6)
    assert starts[0] == 0
    assert retires == [1 + 1 + 6 + 31 + 2, 1 + 1 + 6 + 63 + 2]
    assert np.array_equal(memories[0], expected(program, external)[0])


@pytest.mark.parametrize(("fields", "error"), [
    (copy(ext=SIZE_BYTES - 3), (7, SIZE_BYTES - 3)),
    (copy(n=(1, 1, 3, 4), ext=4, ext_strides=(0, 0, -4)), (7, (1 << ADDRESS_BITS) - 4)),
    (copy(n=(1, 1, 3, 16), ext=8, ext_strides=(0, 0, -8)), (7, (1 << ADDRESS_BITS) - 8)),
    (copy(n=(2, 1, 1, 4), ext=SIZE_BYTES - 8, ext_strides=(5, 0, 0)), (7, SIZE_BYTES - 3)),
    (copy(n=(1, 1, 1, 60000), ext=SIZE_BYTES - 59999), (7, SIZE_BYTES - 59999)),
    (copy(select=1, local=LOCAL_BYTES[1] - 3, n=(1, 1, 1, 12)), (4, LOCAL_BYTES[1])),
    (copy(select=2, local=16), (3, 2)),
    (copy(select=3, ext=SIZE_BYTES - 3), (3, 3)),
    (copy(n=(1, 1, 2, 4), local=0, local_strides=(0, 0, -8)), (4, (1 << LOCAL_BITS + 2) - 8)),
])
@pytest.mark.parametrize(("stall", "address_cycles"), [(False, 0), (True, 0), (False, 1)])
def test_outside(fields, error, stall, address_cycles):
    """The range error of a row pulses once, no burst touches it, and the unit falls idle; an earlier instruction is complete."""
    before = copy(n=(1, 1, 2, 40), ext=100, local=200, ext_strides=(0, 0, 50), local_strides=(0, 0, 40))
    external = random_bytes(SEED, SIZE_BYTES)
    rng = random.Random(SEED) if stall else None
    _, _, retires, errors, memories, _, _ = run(unit(8, 4, 4, address_cycles=address_cycles), external, [(0, before), (60, fields), (0, before)], latency=5, rng=rng)
    assert errors == [error]
    assert len(retires) == 1
    assert np.array_equal(memories[0][200:280], expected([(0, before)], external)[0][200:280])


@pytest.mark.parametrize("response", [Response.SLVERR, Response.DECERR])
@pytest.mark.parametrize("stall", [False, True])
def test_bus_error(stall, response):
    external = random_bytes(SEED, SIZE_BYTES)
    rows = copy(n=(1, 1, 4, 64), ext=4096 - 32, local=0, ext_strides=(0, 0, 64), local_strides=(0, 0, 64))
    rng = random.Random(SEED) if stall else None
    _, _, retires, errors, memories, _, _ = run(unit(8, 8, 4), external, [(0, rows)], latency=5, rng=rng, error_at=(4096 + 64, response.value))
    assert errors == [(6, 4096 + 64)]
    assert not retires
    assert np.array_equal(memories[0][:96], external[4064:4160])
    assert (memories[0][96:] == 0xEE).all()


@pytest.mark.parametrize("halt_at", range(1, 60, 4))
@pytest.mark.parametrize("stall", [False, True])
def test_halt(halt_at, stall):
    """Whenever halted, bursts under way are read to the end and the unit falls idle; nothing but rows' bytes was written."""
    external = random_bytes(SEED, SIZE_BYTES)
    rows = copy(n=(1, 1, 4, 64), ext=4096 - 32, local=8, ext_strides=(0, 0, 64), local_strides=(0, 0, 64))
    rng = random.Random(f"{SEED}/{halt_at}") if stall else None
    program = [(0, rows)] * 3
    _, _, _, errors, memories, _, end = run(unit(8, 4, 4), external, program, latency=7, rng=rng, halt_at=halt_at)
    wanted = expected(program, external)[0]
    assert not errors
    assert ((memories[0] == wanted) | (memories[0] == 0xEE)).all()
    assert end <= halt_at + 400


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"chunk_bytes": 32}, ValueError, "LoadUnit: chunk_bytes must be a power of two up to 16 (the bus), not 32"),
    ({"chunk_bytes": 3}, ValueError, "LoadUnit: chunk_bytes must be a power of two up to 16 (the bus), not 3"),
    ({"size_bytes": 100}, ValueError, "LoadUnit: size_bytes must be a multiple of 16 (the bus) up to 2^24, not 100"),
    ({"outstanding_bursts": 0}, ValueError, "LoadUnit: outstanding_bursts must be at least 1, not 0"),
    ({"outstanding_bursts": 2.0}, TypeError, "LoadUnit: outstanding_bursts must be an integer, not 2.0"),
    ({"destination_addr_bits": []}, ValueError, "LoadUnit: at least one on-chip port is needed, not none"),
])
def test_refusals(changes, error, message):
    with pytest.raises(error) as caught:
        unit(16, 16, 4, **changes)
    assert str(caught.value) == message
