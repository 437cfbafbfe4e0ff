"""The loop unit of a core against its definition: which packets are issued, and what of each is enabled."""

import random

import pytest
from amaranth.sim import Simulator

from hwgen.layout import body_layout
from hwgen.units.core.sequencer import STAGES, KernelSequencer

pytestmark = pytest.mark.sim

WIDTHS = {"code_base": 6, "prologue_packets": 4, "prologue_count": 3, "head_packets": 4, "body_packets": 4, "body_count": 3, "tiles": 3, "drain_packets": 6,
          "iterations": 8}
#: Fields of which the least value is 1: encoded less that.
BIASED = ("prologue_count", "body_packets", "body_count", "tiles")


def layout():
    fields, lsb = [], 0
    for name, width in WIDTHS.items():
        fields.append((name, width, lsb, False))
        lsb += width
    return body_layout(fields)


def definition(fields):
    """(address, stages that are enabled, whether late operations are) of each packet, in order."""
    get = fields.__getitem__
    base, head, body = get("code_base"), get("code_base") + get("prologue_packets"), get("code_base") + get("prologue_packets") + get("head_packets")
    packets = [(base + place, {stage for stage in range(STAGES) if count >= stage}, False)
               for count in range(get("prologue_count")) for place in range(get("prologue_packets"))]
    main = []
    for tile in range(get("tiles")):
        main += [(head + place, tile) for place in range(get("head_packets"))]
        main += [(body + place, tile) for _ in range(get("body_count")) for place in range(get("body_packets"))]
    drain = [(head + place, get("tiles")) for place in range(get("head_packets"))]
    while len(drain) < get("drain_packets"):
        drain += [(body + place, get("tiles")) for place in range(get("body_packets"))]
    for number, (address, tile) in enumerate(main + drain[:get("drain_packets")]):
        iteration = number // get("body_packets")
        packets.append((address, {stage for stage in range(STAGES) if 0 <= iteration - stage < get("iterations")}, tile >= 1))
    return packets


def draw(rng):
    few = {"prologue_packets": rng.choice((0, 0, 1, 3)), "prologue_count": rng.randint(1, 4), "head_packets": rng.choice((0, 0, 1, 4, 6)),
           "body_packets": rng.choice((1, 2, 3)), "body_count": rng.randint(1, 4), "tiles": rng.randint(1, 4), "drain_packets": rng.choice((0, 1, 5, 20)),
           "iterations": rng.choice((0, 1, 3, 10, 200)), "code_base": rng.randrange(64)}
    return few


def test_packets_and_predicates_are_those_of_the_definition():
    seed = 11
    print("seed", seed)
    rng = random.Random(seed)
    dut = KernelSequencer(layout())
    kernels = [draw(rng) for _ in range(60)]

    async def testbench(ctx):
        for fields in kernels:
            encoded = {name: value - (name in BIASED) for name, value in fields.items()}
            ctx.set(dut.instr, encoded)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.instr, dict.fromkeys(encoded, 0))
            ctx.set(dut.held, encoded)
            expected = definition(fields)
            for number, (address, on, late) in enumerate(expected):
                assert ctx.get(dut.active), (fields, number)
                found = (ctx.get(dut.packet), {stage for stage in range(STAGES) if ctx.get(dut.on) >> stage & 1}, bool(ctx.get(dut.late)))
                assert found == (address, on, late), (fields, number)
                assert ctx.get(dut.last) == (number == len(expected) - 1), (fields, number)
                await ctx.tick()
            for _ in range(rng.randrange(3)):
                assert not ctx.get(dut.active) and not ctx.get(dut.last)
                await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_it_stops_at_once():
    dut = KernelSequencer(layout())

    async def testbench(ctx):
        ctx.set(dut.instr, dict.fromkeys(WIDTHS, 3))
        ctx.set(dut.held, dict.fromkeys(WIDTHS, 3))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick()
        assert ctx.get(dut.active)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        for _ in range(3):
            assert not ctx.get(dut.active)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
