"""The register file over AXI4-Lite: access kinds, strobes, pulses, responses, waiting hosts."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.control.registers import Control, ControlRegister

REGISTERS = [
    ControlRegister("ID", 0, "constant", 0x43564E54),
    ControlRegister("CONTROL", 4, "rw", 0, pulse_mask=3),
    ControlRegister("STATUS", 8, "ro"),
    ControlRegister("LIMIT", 12, "rw", 0x00100000),
]
OKAY, SLVERR = 0, 2


async def write(ctx, axil, address, value, strobe=15, rng=None):
    """One write; with ``rng`` the two channels and BREADY come at random times. Returns the response."""
    aw, w = (0, 0) if rng is None else (rng.randrange(4), rng.randrange(4))
    done_aw = done_w = False
    for cycle in range(50):
        ctx.set(axil.awvalid, cycle >= aw and not done_aw)
        ctx.set(axil.awaddr, address)
        ctx.set(axil.wvalid, cycle >= w and not done_w)
        ctx.set(axil.wdata, value)
        ctx.set(axil.wstrb, strobe)
        done_aw |= bool(ctx.get(axil.awvalid) and ctx.get(axil.awready))
        done_w |= bool(ctx.get(axil.wvalid) and ctx.get(axil.wready))
        ready = done_aw and done_w and (rng is None or rng.random() < 0.4)
        ctx.set(axil.bready, ready)
        if ready and ctx.get(axil.bvalid):
            response = ctx.get(axil.bresp)
            await ctx.tick()
            ctx.set(axil.bready, 0)
            return response
        await ctx.tick()
    raise AssertionError("no write response")


async def read(ctx, axil, address, rng=None):
    """One read; returns data and response."""
    done = False
    ctx.set(axil.araddr, address)
    for _ in range(50):
        ctx.set(axil.arvalid, not done)
        done |= bool(ctx.get(axil.arvalid) and ctx.get(axil.arready))
        ready = rng is None or rng.random() < 0.4
        ctx.set(axil.rready, ready)
        if ready and ctx.get(axil.rvalid):
            result = ctx.get(axil.rdata), ctx.get(axil.rresp)
            await ctx.tick()
            ctx.set(axil.rready, 0)
            return result
        await ctx.tick()
    raise AssertionError("no read response")


def simulate(testbench):
    dut = Control(registers=REGISTERS, addr_bits=5)
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def body(ctx):
        await testbench(ctx, dut)

    sim.add_testbench(body)
    sim.run()


@pytest.mark.sim
def test_each_access_kind_reads_what_it_should():
    async def testbench(ctx, dut):
        ctx.set(dut.status, 0x89ABCDEF)
        assert await read(ctx, dut.axil, 0) == (0x43564E54, OKAY)
        assert await read(ctx, dut.axil, 4) == (0, OKAY)
        assert await read(ctx, dut.axil, 8) == (0x89ABCDEF, OKAY)
        assert await read(ctx, dut.axil, 12) == (0x00100000, OKAY)
        assert await read(ctx, dut.axil, 16) == (0, SLVERR)
        assert ctx.get(dut.limit) == 0x00100000

    simulate(testbench)


@pytest.mark.sim
def test_writes_reach_only_writable_registers_and_enabled_bytes():
    async def testbench(ctx, dut):
        assert await write(ctx, dut.axil, 12, 0x11223344) == OKAY
        assert await write(ctx, dut.axil, 12, 0xAABBCCDD, strobe=0b0101) == OKAY
        assert ctx.get(dut.limit) == 0x11BB33DD
        assert await write(ctx, dut.axil, 0, 5) == OKAY
        assert await read(ctx, dut.axil, 0) == (0x43564E54, OKAY)
        assert await write(ctx, dut.axil, 20, 5) == SLVERR
        assert ctx.get(dut.limit) == 0x11BB33DD

    simulate(testbench)


@pytest.mark.sim
def test_pulse_bits_last_one_cycle_and_the_others_stay():
    async def testbench(ctx, dut):
        axil = dut.axil
        ctx.set(axil.awaddr, 4)
        ctx.set(axil.wdata, 7)
        ctx.set(axil.wstrb, 15)
        ctx.set(axil.awvalid, 1)
        ctx.set(axil.wvalid, 1)
        ctx.set(axil.bready, 1)
        assert ctx.get(axil.awready) and ctx.get(axil.wready)
        await ctx.tick()
        ctx.set(axil.awvalid, 0)
        ctx.set(axil.wvalid, 0)
        assert ctx.get(dut.control) == 7
        await ctx.tick()
        assert ctx.get(dut.control) == 4
        await ctx.tick().repeat(3)
        assert ctx.get(dut.control) == 4

    simulate(testbench)


@pytest.mark.sim
def test_any_order_and_delay_of_the_channels():
    seed = 11
    print("seed", seed)
    rng = random.Random(seed)

    async def testbench(ctx, dut):
        for _ in range(60):
            value = rng.getrandbits(32)
            assert await write(ctx, dut.axil, 12, value, rng=rng) == OKAY
            assert await read(ctx, dut.axil, 12, rng=rng) == (value, OKAY)

    simulate(testbench)


@pytest.mark.sim
def test_the_next_access_waits_until_the_answer_is_taken():
    """AXI: an answer for each access, held until it is taken. A host that keeps its valids high and its readies low loses none."""
    async def testbench(ctx, dut):
        axil = dut.axil
        for name, value in (("awaddr", 12), ("wdata", 1), ("wstrb", 15), ("awvalid", 1), ("wvalid", 1), ("araddr", 0), ("arvalid", 1)):
            ctx.set(getattr(axil, name), value)
        assert ctx.get(axil.awready) and ctx.get(axil.wready) and ctx.get(axil.arready)
        await ctx.tick()
        ctx.set(axil.wdata, 2)
        ctx.set(axil.araddr, 12)
        for _ in range(3):
            assert not ctx.get(axil.awready) and not ctx.get(axil.wready) and not ctx.get(axil.arready)
            assert (ctx.get(axil.bvalid), ctx.get(axil.rvalid), ctx.get(axil.rdata), ctx.get(dut.limit)) == (1, 1, 0x43564E54, 1)
            await ctx.tick()
        ctx.set(axil.bready, 1)
        ctx.set(axil.rready, 1)
        await ctx.tick()
        assert ctx.get(axil.awready) and ctx.get(axil.arready) and not ctx.get(axil.bvalid) and not ctx.get(axil.rvalid)
        await ctx.tick()
        assert (ctx.get(axil.bvalid), ctx.get(axil.rvalid), ctx.get(axil.rdata), ctx.get(dut.limit)) == (1, 1, 1, 2)

    simulate(testbench)


@pytest.mark.parametrize("registers, message", [
    ([ControlRegister("A", 0, "wo")], "^Control: register 'A' has access 'wo'; expected 'constant', 'ro' or 'rw'$"),
    ([ControlRegister("A", 0, "ro"), ControlRegister("A", 4, "ro")], "^Control: register 'A' is given twice; names must be unique$"),
    ([ControlRegister("A", 2, "ro")], "^Control: register 'A' has offset 2; expected a multiple of 4 from 0 to 12$"),
    ([ControlRegister("A", 16, "ro")], "^Control: register 'A' has offset 16; expected a multiple of 4 from 0 to 12$"),
    ([ControlRegister("A", 0, "ro"), ControlRegister("B", 0, "ro")],
     "^Control: register 'B' has the offset of 'A'; offsets must be unique$"),
])
def test_impossible_register_files_are_refused(registers, message):
    with pytest.raises(ValueError, match=message):
        Control(registers=registers, addr_bits=4)
