"""The registers of a core: reads see what was written, parts that are not enabled stay, the later port wins."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.units.core.registers import RegisterFile


@pytest.mark.sim
def test_random_traffic():
    seed = 2
    print("seed", seed)
    rng = random.Random(seed)
    dut = RegisterFile(registers=8, vector_bits=64, granules=4, reads=3, writes=3)
    model = [[0] * 4 for _ in range(8)]

    async def testbench(ctx):
        for _ in range(300):
            for port in range(dut.reads):
                register = rng.randrange(8)
                ctx.set(getattr(dut, f"read_{port}"), register)
                assert ctx.get(getattr(dut, f"data_{port}")) == sum(part << 16 * i for i, part in enumerate(model[register]))
            busy = rng.randrange(8)  # met by several ports, often
            for port in range(dut.writes):
                register, mask, value = rng.choice((busy, rng.randrange(8))), rng.getrandbits(4), rng.getrandbits(64)
                for name, item in (("write", register), ("mask", mask), ("value", value)):
                    ctx.set(getattr(dut, f"{name}_{port}"), item)
                for granule in range(4):
                    if mask >> granule & 1:
                        model[register][granule] = value >> 16 * granule & 0xFFFF
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
