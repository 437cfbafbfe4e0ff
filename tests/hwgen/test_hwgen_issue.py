"""Issue starts an instruction exactly when every awaited count is reached, over the wrap of the counters."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.control.issue import Issue


@pytest.mark.sim
def test_start_and_stall_match_the_definition():
    seed = 3
    print("seed", seed)
    rng = random.Random(seed)
    dut = Issue(engines=3)
    seen = set()

    async def testbench(ctx):
        for _ in range(600):
            valid, ready, enable = (rng.random() < 0.9 for _ in range(3))
            waits, retired = [], []
            for _ in range(3):
                count = rng.choice([0, 1, 0x7FFF, 0x8000, 0xFFFF, rng.getrandbits(16)])
                waits.append({"on": rng.getrandbits(1), "count": count})
                retired.append((count + rng.choice([0, 0, 0, 1, 2, -1, 0x7FFF, 0x8000])) % 65536)
            ctx.set(dut.valid, valid)
            ctx.set(dut.ready, ready)
            ctx.set(dut.enable, enable)
            ctx.set(dut.waits, waits)
            ctx.set(dut.retired, retired)
            reached = all(not w["on"] or (r - w["count"]) % 65536 < 32768 for w, r in zip(waits, retired, strict=True))
            able = valid and ready and enable
            expected = (able and reached, able and not reached)
            assert (ctx.get(dut.start), ctx.get(dut.stalled)) == expected
            seen.add(expected)
            await ctx.delay(1e-6)

    sim = Simulator(dut)
    sim.add_testbench(testbench)
    sim.run()
    assert seen == {(True, False), (False, True), (False, False)}


def test_no_engine_is_refused():
    with pytest.raises(ValueError, match=r"^Issue: engines must be at least 1, not 0$"):
        Issue(engines=0)
