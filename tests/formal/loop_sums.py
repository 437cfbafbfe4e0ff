"""Loop counter and address generator: indices walk in row-major order and the value is the base plus the sum of stride times index, modulo its width."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Signal, signed

import hwgen.datapath.agu
from tests.formal.bench import Bench


def bench(module=hwgen.datapath.agu, *, count_widths: Sequence[int], width: int, strides: Mapping[int, int], claims_only: bool = False) -> Bench:
    """Any counts, strides and bases, loaded and stepped at any time. ``strides``: width of the stride of each strided level."""
    b = Bench(claims_only=claims_only)
    m, levels = b.m, len(count_widths)
    m.submodules.loops = loops = module.LoopCounter(count_widths=count_widths)
    m.submodules.sums = sums = module.AddressGenerator(width=width, levels=levels, stride_widths=strides)
    load, step, base = b.free(1, "load"), b.free(1, "step"), b.free(width, "base")
    counts = [b.constant(bits, f"n_{level}") for level, bits in enumerate(count_widths)]
    steps = {level: b.constant(bits, f"stride_{level}").as_signed() for level, bits in strides.items()}
    m.d.comb += [
        loops.load.eq(load), loops.step.eq(step), sums.load.eq(load), sums.base.eq(base), sums.step.eq(step), sums.moving.eq(loops.moving),
        *(getattr(loops, f"n_{level}").eq(count) for level, count in enumerate(counts)),
        *(getattr(sums, f"stride_{level}").eq(value) for level, value in steps.items()),
    ]
    index = [Signal(bits, name=f"spec_{level}") for level, bits in enumerate(count_widths)]
    taken = Signal(width)
    ended = [index[level] == counts[level] for level in range(levels)]
    for level in range(levels):
        with m.If(step & Cat(ended[level + 1:]).all()):
            m.d.sync += index[level].eq(index[level] + 1)
            with m.If(ended[level]):
                m.d.sync += index[level].eq(0)
    with m.If(load):
        m.d.sync += [taken.eq(base), *(item.eq(0) for item in index)]
    last = Cat(Cat(ended[level:]).all() for level in range(levels))
    loaded = Signal()
    m.d.sync += loaded.eq(loaded | load)
    # A step past the end returns the counter to its first iteration; the generator stays, as its users load it anew.
    over = Signal()
    with m.If(load):
        m.d.sync += over.eq(0)
    with m.Elif(step & last[0]):
        m.d.sync += over.eq(1)

    def total(upto: int) -> Signal:
        value = Signal(signed(width + 8), name=f"total_{upto}")
        m.d.comb += value.eq(taken + sum(steps[level] * index[level] for level in steps if level <= upto))
        return value[:width]

    b.always(~loaded | (loops.last == last), "last: this level and all inside it are in their last iteration")
    b.always(~loaded | (loops.zero == Cat(item == 0 for item in index)), "zero: the level is in its first iteration")
    b.always(~loaded | over | (sums.value == total(levels - 1)), "value is the base plus the sum of stride times index")
    for level in range(levels):
        b.inside(~loaded | (b.look(f"loops.count_{level}", count_widths[level]) == counts[level]), "counts")
        b.inside(~loaded | (b.look(f"loops.left_{level}", count_widths[level]) == counts[level] - index[level]), "iterations left")
        for name, wanted in (("single", counts[level] == 0), ("at_last", ended[level]), ("at_first", index[level] == 0)):
            b.inside(~loaded | (b.look(f"loops.{name}_{level}", 1) == wanted), f"registered flags: {name}")
        b.inside(~loaded | (index[level] <= counts[level]), "indices are in range")
        if level in strides and not claims_only:
            b.inside(~loaded | over | (b.look(f"sums.partial_{level}", width) == total(level)), "partial sums")
    return b
