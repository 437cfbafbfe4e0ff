"""Loop counter and address generator against Python loops."""

import itertools
import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hwgen.datapath.agu import AddressGenerator, LoopCounter


@pytest.mark.sim
@pytest.mark.parametrize("seed", range(4))
def test_value_follows_the_loops(seed):
    rng = random.Random(seed)
    levels = rng.choice([1, 3, 6])
    width = rng.choice([5, 9, 12])
    strided = sorted(rng.sample(range(levels), rng.randint(1, levels)))
    stride_widths = {level: rng.randint(2, width + 2) for level in strided}
    print(f"seed {seed}: levels {levels}, width {width}, stride widths {stride_widths}")
    counter = LoopCounter(count_widths=[rng.randint(2, 4) for _ in range(levels)])
    generator = AddressGenerator(width=width, levels=levels, stride_widths=stride_widths)
    m = Module()
    m.submodules.counter = counter
    m.submodules.generator = generator
    m.d.comb += [generator.load.eq(counter.load), generator.step.eq(counter.step), generator.moving.eq(counter.moving)]
    checked = 0

    async def bench(ctx):
        nonlocal checked
        for _nest in range(8):
            counts = [rng.randint(1, 3) for _ in range(levels)]
            strides = {level: rng.randrange(-(1 << (bits - 1)), 1 << (bits - 1)) for level, bits in stride_widths.items()}
            base = rng.randrange(1 << width)
            ctx.set(counter.load, 1)
            ctx.set(generator.base, base)
            for level, count in enumerate(counts):
                ctx.set(getattr(counter, f"n_{level}"), count - 1)
            await ctx.tick()
            ctx.set(counter.load, 0)
            ctx.set(generator.base, rng.randrange(1 << width))
            for level in range(levels):
                ctx.set(getattr(counter, f"n_{level}"), rng.randrange(3))
            for level, stride in strides.items():
                ctx.set(getattr(generator, f"stride_{level}"), stride)
            abandoned = rng.randrange(1, 12) if rng.random() < 0.4 else None  # iterations after which the nest is left for the next one
            for number, indices in enumerate(itertools.product(*map(range, counts))):
                if number == abandoned:
                    break
                while rng.random() < 0.25:
                    ctx.set(counter.step, 0)
                    await ctx.tick()
                ctx.set(counter.step, 1)
                expected = (base + sum(stride * indices[level] for level, stride in strides.items())) % (1 << width)
                assert ctx.get(generator.value) == expected
                ends = [all(indices[k] == counts[k] - 1 for k in range(level, levels)) for level in range(levels)]
                assert ctx.get(counter.last) == sum(end << level for level, end in enumerate(ends))
                assert ctx.get(counter.zero) == sum((index == 0) << level for level, index in enumerate(indices))
                checked += 1
                await ctx.tick()
            else:
                ctx.set(counter.step, 0)
                assert ctx.get(counter.zero) == (1 << levels) - 1, "the step from the last iteration returns to the first"
            ctx.set(counter.step, 0)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert checked >= 8


def test_parameters_are_checked():
    with pytest.raises(ValueError) as caught:
        LoopCounter(count_widths=[])
    assert str(caught.value) == "LoopCounter: count_widths must name at least one level, not none"
    with pytest.raises(TypeError) as caught:
        LoopCounter(count_widths=[4, "5"])
    assert str(caught.value) == "LoopCounter: count_widths must be integers, not '5'"
    with pytest.raises(ValueError) as caught:
        AddressGenerator(width=0, levels=6, stride_widths={})
    assert str(caught.value) == "AddressGenerator: width must be at least 1, not 0"
    with pytest.raises(ValueError) as caught:
        AddressGenerator(width=8, levels=6, stride_widths={6: 4})
    assert str(caught.value) == "AddressGenerator: strided level must be in 0..5, not 6"
