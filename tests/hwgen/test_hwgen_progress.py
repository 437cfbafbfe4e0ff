"""Progress counters against a model of instructions under way."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.control.progress import Progress


@pytest.mark.sim
def test_counters_match_the_model():
    seed = 23
    print("seed", seed)
    rng = random.Random(seed)
    dut = Progress(engines=2)

    async def testbench(ctx):
        retired, busy, stall, under_way = [0, 0], [0, 0], [0, 0], [0, 0]
        for cycle in range(500):
            clear = cycle == 250
            start = [rng.random() < 0.2 for _ in range(2)]
            retire = [count > 0 and rng.random() < 0.25 for count in under_way]
            stalled = [rng.random() < 0.3 for _ in range(2)]
            for signal, bits in ((dut.start, start), (dut.retire, retire), (dut.stalled, stalled)):
                ctx.set(signal, bits[0] | bits[1] << 1)
            ctx.set(dut.clear, clear)
            assert ctx.get(dut.quiet) == (under_way == [0, 0])
            for e in range(2):
                assert (ctx.get(dut.retired[e]), ctx.get(dut.busy[e]), ctx.get(dut.stall[e])) == (retired[e], busy[e], stall[e])
                if clear:
                    retired[e] = busy[e] = stall[e] = under_way[e] = 0
                else:
                    busy[e] += under_way[e] > 0
                    stall[e] += stalled[e]
                    retired[e] += retire[e]
                    under_way[e] += start[e] - retire[e]
            await ctx.tick()
        assert min(busy + stall + retired) > 20

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_no_engine_is_refused():
    with pytest.raises(ValueError, match=r"^Progress: engines must be at least 1, not 0$"):
        Progress(engines=0)
