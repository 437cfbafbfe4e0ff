"""Address generators of a core: levels that count for themselves, moved by the operation that names the stream."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwgen.datapath.agu import follow, nest_of

__all__ = ["LEVELS", "CoreStream", "coordinate_bits"]

LEVELS = 6


def _width(layout: data.Layout, name: str) -> int:
    return Shape.cast(layout[name].shape).width


def coordinate_bits(layout: data.Layout, prefix: str, axis: str, words: int) -> int:
    """Bits of a coordinate, signed, that holds every one an access of so many words can have."""
    reach = 1 << _width(layout, f"{prefix}_{axis}_origin") - 1
    for level in range(LEVELS):
        reach += ((1 << _width(layout, f"{prefix}_n_{level}")) - 1) * ((1 << _width(layout, f"{prefix}_{axis}_step_{level}")) - 1)
    if axis == "x":
        reach += words * ((1 << _width(layout, f"{prefix}_x_step_word")) - 1)
    return 1 + reach.bit_length()


class CoreStream(wiring.Component):
    """One stream: ``address`` of its present access, and coordinates ``y`` and ``x`` where it has bounds; ``step`` goes to the next one.

    Access number i has the indices of i, level 0 outermost; behind the last comes the first again.

    Parameters
    ----------
    layout : amaranth.lib.data.Layout
        Body of the instruction, counts as encoded.
    prefix : str
        Of the stream's fields.
    words : int
        Granules of a vector.

    Members
    -------
    load : In(1)
        Goes to the first access; ``held`` must have the instruction's fields from this cycle on.
    """

    def __init__(self, *, layout: data.Layout, prefix: str, words: int):
        self.layout, self.prefix, self.words = layout, prefix, words
        self.axes = tuple(axis for axis in "yx" if f"{prefix}_{axis}_origin" in dict(layout))
        super().__init__({
            "load": In(1), "step": In(1), "held": In(layout), "address": Out(_width(layout, f"{prefix}_base")),
            **{axis: Out(signed(coordinate_bits(layout, prefix, axis, words))) for axis in self.axes},
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        names = [f"{self.prefix}_n_{level}" for level in range(LEVELS)]
        counter = nest_of(m, "counter", [self.held[name] for name in names], load=self.load, step=self.step)
        again = Signal()
        m.d.comb += again.eq(self.load | (self.step & counter.last[0]))

        def generate(name: str, width: int, origin: str, steps: Sequence[str]) -> Signal:
            strides: Mapping[int, data.View] = {level: self.held[step] for level, step in enumerate(steps)}
            return follow(m, name, counter, self.held[origin], strides, width, load=again)

        strides = [f"{self.prefix}_stride_{level}" for level in range(LEVELS)]
        m.d.comb += self.address.eq(generate("addresses", len(self.address), f"{self.prefix}_base", strides))
        for axis in self.axes:
            value = getattr(self, axis)
            steps = [f"{self.prefix}_{axis}_step_{level}" for level in range(LEVELS)]
            m.d.comb += value.eq(generate(f"{axis}_coordinates", len(value), f"{self.prefix}_{axis}_origin", steps))
        return m
