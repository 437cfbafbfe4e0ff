"""The queue against a model: visible one cycle after the write, a place reusable one cycle after it is freed, any depth."""

import random
import re
from collections import deque

import pytest
from amaranth.sim import Simulator

from hwgen.control.queue import Queue


@pytest.mark.sim
@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_random_traffic_matches_the_model(depth):
    seed = depth
    print("seed", seed)
    rng = random.Random(seed)
    dut = Queue(shape=16, depth=depth)
    passed = full = 0

    async def testbench(ctx):
        nonlocal passed, full
        model = deque()  # as it stands at the beginning of the cycle
        for cycle in range(800):
            eager = (cycle // 100) % 2
            put, get, value = rng.random() < (0.9 if eager else 0.3), rng.random() < (0.3 if eager else 0.9), rng.getrandbits(16)
            ctx.set(dut.i.valid, put)
            ctx.set(dut.i.payload, value)
            ctx.set(dut.o.ready, get)
            assert ctx.get(dut.i.ready) == (len(model) < depth)
            assert ctx.get(dut.o.valid) == bool(model)
            room = len(model) < depth
            full += not room
            if model:
                assert ctx.get(dut.o.payload) == model[0]
                if get:
                    model.popleft()
                    passed += 1
            if put and room:
                model.append(value)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert passed > 200 and full > 50


@pytest.mark.parametrize("depth, error, message", [
    (1, ValueError, "Queue: depth must be at least 2, not 1"),
    ("4", TypeError, "Queue: depth must be an integer, not '4'"),
])
def test_impossible_depths_are_refused(depth, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Queue(shape=8, depth=depth)
