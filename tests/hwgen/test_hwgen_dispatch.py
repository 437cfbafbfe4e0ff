"""Dispatch: only to the queue named, only with room, never past a bad instruction."""

import pytest
from amaranth.sim import Simulator

from hwgen.control.dispatch import Dispatch

PARITY = 0xBEEF


def simulate(testbench, engines=3):
    dut = Dispatch(instruction_bits=64, engine_lsb=16, engines=engines, parity=PARITY, code_check=2, code_illegal=3, code_bus=6)
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def body(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.valid, 1)
        ctx.set(dut.parity, PARITY)
        ctx.set(dut.queue_ready, (1 << engines) - 1)
        await testbench(ctx, dut)

    sim.add_testbench(body)
    sim.run()


@pytest.mark.sim
def test_each_engine_number_reaches_its_queue_and_is_counted():
    async def testbench(ctx, dut):
        for index in range(3):
            ctx.set(dut.instruction, 0xFF00FFFF | (1 + index) << 16)
            assert ctx.get(dut.queue_valid) == 1 << index
            assert (ctx.get(dut.dispatched), ctx.get(dut.ready), ctx.get(dut.engine), ctx.get(dut.count)) == (1, 1, index, index)
            assert ctx.get(dut.error) == 0
            await ctx.tick()
        assert ctx.get(dut.count) == 3
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.count) == 0

    simulate(testbench)


@pytest.mark.sim
def test_a_full_queue_holds_the_instruction():
    async def testbench(ctx, dut):
        ctx.set(dut.instruction, 2 << 16)
        ctx.set(dut.queue_ready, 0b101)
        assert (ctx.get(dut.dispatched), ctx.get(dut.ready)) == (0, 0)
        await ctx.tick()
        assert ctx.get(dut.count) == 0
        ctx.set(dut.queue_ready, 0b010)
        assert (ctx.get(dut.dispatched), ctx.get(dut.ready)) == (1, 1)

    simulate(testbench)


@pytest.mark.sim
@pytest.mark.parametrize("instruction, parity, bus_error, expected", [
    (0, PARITY, 0, (3, 0)),
    (4, PARITY, 0, (3, 4)),
    (255, PARITY, 0, (3, 255)),
    (1, PARITY ^ 0x8000, 0, (2, 0)),
    (9, PARITY ^ 1, 0, (2, 0)),
    (1, PARITY, 1, (6, 0)),
    (1, 0, 1, (6, 0)),
])
def test_bad_instructions_are_named_and_not_dispatched(instruction, parity, bus_error, expected):
    async def testbench(ctx, dut):
        ctx.set(dut.instruction, instruction << 16)
        ctx.set(dut.parity, parity)
        ctx.set(dut.bus_error, bus_error)
        assert (ctx.get(dut.error), ctx.get(dut.dispatched), ctx.get(dut.ready), ctx.get(dut.queue_valid)) == (1, 0, 0, 0)
        assert (ctx.get(dut.error_code), ctx.get(dut.error_engine)) == expected
        ctx.set(dut.enable, 0)
        assert ctx.get(dut.error) == 0

    simulate(testbench)


@pytest.mark.parametrize("change, message", [
    ({"engines": 0}, "^Dispatch: engines must be between 1 and 255, not 0$"),
    ({"engines": 256}, "^Dispatch: engines must be between 1 and 255, not 256$"),
    ({"engine_lsb": 57}, "^Dispatch: engine_lsb must be between 0 and 56, not 57$"),
    ({"parity": 65536}, "^Dispatch: parity must be between 0 and 65535, not 65536$"),
])
def test_impossible_parameters_are_refused(change, message):
    parameters = {"instruction_bits": 64, "engine_lsb": 0, "engines": 1, "parity": 0, "code_check": 2, "code_illegal": 3, "code_bus": 6} | change
    with pytest.raises(ValueError, match=message):
        Dispatch(**parameters)
