"""Run control: when a run begins and ends, which error sticks, what the watchdog sees, and recovery."""

import pytest
from amaranth.sim import Simulator

from hwgen.control.sequencer import Sequencer

FINGERPRINT = 0x0123456789ABCDEF


def simulate(testbench):
    dut = Sequencer(fingerprint=FINGERPRINT, external_bytes=4096, instruction_bytes=64, sources=3, code_fingerprint=1, code_external=7,
                    code_watchdog=8)
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def body(ctx):
        ctx.set(dut.program_fingerprint, FINGERPRINT)
        ctx.set(dut.program_count, 4)
        ctx.set(dut.all_idle, 1)
        await testbench(ctx, dut)

    sim.add_testbench(body)
    sim.run()


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def status(ctx, dut):
    return tuple(ctx.get(getattr(dut, name)) for name in ("busy", "done", "error", "idle"))


@pytest.mark.sim
def test_a_run_begins_in_the_cycle_after_start_and_counts_up_to_the_cycle_that_sees_the_end():
    async def testbench(ctx, dut):
        assert status(ctx, dut) == (0, 0, 0, 1)
        ctx.set(dut.start, 1)
        assert (ctx.get(dut.begin), ctx.get(dut.running)) == (1, 0)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert (ctx.get(dut.begin), ctx.get(dut.running)) == (0, 1)
        ctx.set(dut.all_idle, 0)
        assert status(ctx, dut) == (1, 0, 0, 0)
        await ctx.tick().repeat(10)
        ctx.set(dut.finished, 1)  # cycle 10: the last retire was at 9
        await ctx.tick()
        assert ctx.get(dut.running) == 0
        assert ctx.get(dut.cycles) == 11
        assert status(ctx, dut) == (0, 1, 0, 0)
        ctx.set(dut.all_idle, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.cycles) == 11
        assert ctx.get(dut.irq) == 0
        ctx.set(dut.irq_enable, 1)
        assert ctx.get(dut.irq) == 1
        ctx.set(dut.finished, 0)
        await pulse(ctx, dut.start)
        assert (ctx.get(dut.running), ctx.get(dut.cycles), ctx.get(dut.irq)) == (1, 0, 0)

    simulate(testbench)


@pytest.mark.sim
@pytest.mark.parametrize("command", ["start", "soft_reset"])
def test_enabling_the_interrupt_with_a_command_does_not_show_the_run_before(command):
    async def testbench(ctx, dut):
        await pulse(ctx, dut.start)
        ctx.set(dut.finished, 1)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        assert (ctx.get(dut.done), ctx.get(dut.irq)) == (1, 0)
        ctx.set(dut.irq_enable, 1)
        ctx.set(getattr(dut, command), 1)
        assert ctx.get(dut.irq) == 0
        await ctx.tick()
        ctx.set(getattr(dut, command), 0)
        assert (ctx.get(dut.done), ctx.get(dut.irq)) == (0, 0)

    simulate(testbench)


@pytest.mark.sim
def test_start_waits_until_engines_are_idle():
    async def testbench(ctx, dut):
        ctx.set(dut.all_idle, 0)
        await pulse(ctx, dut.start)
        for _ in range(5):
            assert (ctx.get(dut.begin), ctx.get(dut.running), ctx.get(dut.busy)) == (0, 0, 1)
            await ctx.tick()
        ctx.set(dut.all_idle, 1)
        assert ctx.get(dut.begin) == 1
        await ctx.tick()
        assert (ctx.get(dut.begin), ctx.get(dut.running), ctx.get(dut.cycles)) == (0, 1, 0)

    simulate(testbench)


@pytest.mark.sim
@pytest.mark.parametrize("change, error", [
    ({"program_fingerprint": FINGERPRINT ^ 1 << 63}, (1, 0)),
    ({"program_fingerprint": FINGERPRINT ^ 1}, (1, 0)),
    ({"program_address": 32}, (7, 32)),
    ({"program_address": 4096 - 3 * 64}, (7, 4096 - 3 * 64)),
    ({"program_address": 1 << 40}, (7, 0)),
    ({"program_count": 65}, (7, 0)),
])
def test_a_program_that_does_not_fit_never_begins(change, error):
    async def testbench(ctx, dut):
        for name, value in change.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.start, 1)
        assert ctx.get(dut.begin) == 0
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert (ctx.get(dut.error), ctx.get(dut.error_code), ctx.get(dut.error_address)) == (1, *error)
        for _ in range(3):
            assert (ctx.get(dut.running), ctx.get(dut.begin), ctx.get(dut.halt)) == (0, 0, 1)
            await ctx.tick()

    simulate(testbench)


@pytest.mark.sim
@pytest.mark.parametrize("address, count", [(4096 - 4 * 64, 4), (0, 64), (0, 0), (4096, 0)])
def test_a_program_at_the_edge_of_the_memory_begins(address, count):
    async def testbench(ctx, dut):
        ctx.set(dut.program_address, address)
        ctx.set(dut.program_count, count)
        await pulse(ctx, dut.start)
        assert (ctx.get(dut.running), ctx.get(dut.error)) == (1, 0)

    simulate(testbench)


@pytest.mark.sim
def test_the_first_error_sticks_and_soft_reset_waits_for_idle_then_recovers():
    async def testbench(ctx, dut):
        ctx.set(dut.irq_enable, 1)
        await pulse(ctx, dut.start)
        ctx.set(dut.all_idle, 0)
        await ctx.tick()
        ctx.set(dut.finished, 1)  # an error in the last cycle of a run still counts
        ctx.set(dut.errors[1], {"valid": 1, "code": 5, "engine": 2, "address": 0x1234})
        ctx.set(dut.errors[2], {"valid": 1, "code": 6, "engine": 3, "address": 0x9999})
        await ctx.tick()
        found = [ctx.get(s) for s in (dut.error, dut.error_code, dut.error_engine, dut.error_address, dut.halt, dut.running, dut.irq)]
        assert found == [1, 5, 2, 0x1234, 1, 0, 1]
        assert status(ctx, dut) == (0, 0, 1, 0)
        ctx.set(dut.errors[0], {"valid": 1, "code": 4, "engine": 1, "address": 1})
        await pulse(ctx, dut.start)
        assert (ctx.get(dut.error_code), ctx.get(dut.running)) == (5, 0)
        await pulse(ctx, dut.soft_reset)
        for _ in range(4):
            assert (ctx.get(dut.halt), ctx.get(dut.clear), ctx.get(dut.busy), ctx.get(dut.error)) == (1, 0, 1, 1)
            await ctx.tick()
        ctx.set(dut.all_idle, 1)
        assert ctx.get(dut.clear) == 1
        await ctx.tick()
        assert (ctx.get(dut.clear), ctx.get(dut.halt), ctx.get(dut.irq), ctx.get(dut.error_code)) == (0, 0, 0, 0)
        assert status(ctx, dut) == (0, 0, 0, 1)
        await pulse(ctx, dut.start)
        assert ctx.get(dut.running) == 1

    simulate(testbench)


@pytest.mark.sim
def test_watchdog_fires_after_exactly_the_given_quiet_cycles():
    async def testbench(ctx, dut):
        ctx.set(dut.watchdog_cycles, 6)
        await pulse(ctx, dut.start)
        await ctx.tick().repeat(5)
        await pulse(ctx, dut.activity)
        await ctx.tick().repeat(6)
        assert ctx.get(dut.error) == 0
        await ctx.tick()
        assert (ctx.get(dut.error), ctx.get(dut.error_code)) == (1, 8)

    simulate(testbench)


@pytest.mark.sim
def test_watchdog_zero_is_off():
    async def testbench(ctx, dut):
        await pulse(ctx, dut.start)
        await ctx.tick().repeat(50)
        assert (ctx.get(dut.error), ctx.get(dut.running)) == (0, 1)

    simulate(testbench)


@pytest.mark.sim
def test_soft_reset_ends_a_run():
    async def testbench(ctx, dut):
        await pulse(ctx, dut.start)
        await ctx.tick().repeat(3)
        await pulse(ctx, dut.soft_reset)
        assert (ctx.get(dut.running), ctx.get(dut.halt), ctx.get(dut.clear)) == (0, 1, 1)
        await ctx.tick()
        assert status(ctx, dut) == (0, 0, 0, 1)
        assert ctx.get(dut.cycles) == 0

    simulate(testbench)


@pytest.mark.parametrize("change, message", [
    ({"instruction_bytes": 48}, "^Sequencer: instruction_bytes must be a power of two, not 48$"),
    ({"fingerprint": 1 << 64}, "^Sequencer: fingerprint must be an unsigned 64-bit number, not 18446744073709551616$"),
    ({"sources": 0}, "^Sequencer: sources must be at least 1, not 0$"),
])
def test_impossible_parameters_are_refused(change, message):
    parameters = {"fingerprint": 1, "external_bytes": 4096, "instruction_bytes": 64, "sources": 1, "code_fingerprint": 1,
                  "code_external": 7, "code_watchdog": 8} | change
    with pytest.raises(ValueError, match=message):
        Sequencer(**parameters)
