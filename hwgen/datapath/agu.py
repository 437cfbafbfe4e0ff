"""Loop nests and strided addresses: the two building blocks of every engine's address generation.

A :class:`LoopCounter` walks a nest of loops, one iteration a cycle, and says which level moves. Any number of
:class:`AddressGenerator` follow it: each keeps one partial sum a strided level, so that a step needs a single adder
whatever the depth of the nest, and no multiplication.

Together, for a nest with counts ``n_l`` and indices ``i_l``, after ``load`` and k steps::

    value = (base + sum over l of stride_l * i_l) mod 2**width

where ``i`` is the k-th tuple of indices in row-major order (level 0 outermost).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AddressGenerator", "LoopCounter", "Walk", "follow", "nest_of"]


def _widths(where: str, name: str, widths: Iterable[int]) -> tuple[int, ...]:
    widths = tuple(widths)
    for width in widths:
        if not isinstance(width, int) or isinstance(width, bool):
            raise TypeError(f"{where}: {name} must be integers, not {width!r}")
        if width < 1:
            raise ValueError(f"{where}: {name} must be at least 1, not {width}")
    return widths


class LoopCounter(wiring.Component):
    """Counters of a loop nest, one step a cycle. What is last stands in registers, so that no comparison is between a step and what it moves.

    Parameters
    ----------
    count_widths : sequence of int
        Width in bits of each level's count, outermost first; its length is the number of levels.

    Members
    -------
    load : In(1)
        Takes the counts and sets all indices to 0; seen in the next cycle. Wins over ``step``.
    step : In(1)
        Advances to the next iteration; seen in the next cycle. A step from the last iteration returns to the first.
    n_0, n_1, ... : In(width)
        Number of iterations of each level minus one, in the cycle of ``load``.
    moving : Out(levels)
        One-hot: bit l is set when a step would increment level l (and clear the levels inside it). No bit is set in the last iteration. Combinational,
        for an :class:`AddressGenerator`; whether there is a step has no part in it.
    last : Out(levels)
        Bit l: level l and all levels inside it are in their last iteration, so bit 0 marks the end of the nest.
    zero : Out(levels)
        Bit l: index of level l (alone) is 0.
    """

    def __init__(self, *, count_widths: Sequence[int]):
        self.count_widths = _widths("LoopCounter", "count_widths", count_widths)
        if not self.count_widths:
            raise ValueError("LoopCounter: count_widths must name at least one level, not none")
        self.levels = len(self.count_widths)
        super().__init__({
            "load": In(1),
            "step": In(1),
            **{f"n_{level}": In(width) for level, width in enumerate(self.count_widths)},
            "moving": Out(self.levels),
            "last": Out(self.levels),
            "zero": Out(self.levels),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        inner_last = Const(1)
        for level in reversed(range(self.levels)):
            given, width = getattr(self, f"n_{level}"), self.count_widths[level]
            count, left = (Signal(width, name=f"{name}_{level}", reset_less=True) for name in ("count", "left"))
            single, at_last, at_first = (Signal(name=f"{name}_{level}", reset_less=True) for name in ("single", "at_last", "at_first"))
            m.d.comb += [
                self.last[level].eq(at_last & inner_last),
                self.zero[level].eq(at_first),
                self.moving[level].eq(inner_last & ~at_last),
            ]
            with m.If(self.load):
                m.d.sync += [count.eq(given), left.eq(given), single.eq(given == 0), at_last.eq(given == 0), at_first.eq(1)]
            with m.Elif(self.step & inner_last):
                m.d.sync += [
                    left.eq(Mux(at_last, count, left - 1)),
                    at_last.eq(Mux(at_last, single, left == 1)),
                    at_first.eq(at_last),
                ]
            inner_last = self.last[level]
        return m


class AddressGenerator(wiring.Component):
    """A strided sum that follows a :class:`LoopCounter`: one adder, one partial sum a strided level.

    ``value`` belongs to the counter's present iteration: it is ``base`` in the cycle after ``load``. All arithmetic is
    modulo ``2**width``; strides are signed and sign-extended. Also serves as a generator of coordinates (``value`` is
    then read as signed).

    Parameters
    ----------
    width : int
        Width of ``base``, ``value`` and the partial sums in bits.
    levels : int
        Number of levels of the loop nest.
    stride_widths : mapping of int to int
        For each level that has a stride, the width of that stride in bits. Other levels do not move the value.

    Members
    -------
    load : In(1)
        Takes ``base`` and starts over; the loop counter's ``load`` in the same cycle.
    base : In(width)
        Sampled in the cycle of ``load``, free afterwards.
    step, moving : In(1), In(levels)
        The loop counter's.
    stride_<l> : In(signed(stride_widths[l]))
        Added when a step moves level l. Must be stable from the cycle after ``load`` on.
    value : Out(width)
        The present sum, from a register.
    """

    def __init__(self, *, width: int, levels: int, stride_widths: Mapping[int, int]):
        (self.width,) = _widths("AddressGenerator", "width", [width])
        (self.levels,) = _widths("AddressGenerator", "levels", [levels])
        self.stride_widths = dict(sorted(stride_widths.items()))
        _widths("AddressGenerator", "stride_widths", self.stride_widths.values())
        for level in self.stride_widths:
            if not 0 <= level < levels:
                raise ValueError(f"AddressGenerator: strided level must be in 0..{levels - 1}, not {level}")
        super().__init__({
            "load": In(1),
            "base": In(width),
            "step": In(1),
            "moving": In(levels),
            **{f"stride_{level}": In(signed(bits)) for level, bits in self.stride_widths.items()},
            "value": Out(width),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # partial[l]: base plus the strides of levels 0..l. A level without a stride shares the register of the level
        # around it; outside the first strided level that is the base itself, which needs a register only if such a
        # level exists (else nothing ever goes back to it).
        partial = []
        for level in range(self.levels):
            if level in self.stride_widths:
                partial.append(Signal(self.width, name=f"partial_{level}", reset_less=True))
            else:
                partial.append(partial[-1] if partial else Signal(self.width, name="base_taken", reset_less=True))
        registers = list({id(register): register for register in partial}.values())

        # What a step would lead to, whether there is one or not: a step is an enable alone. Gates and an OR, as one level moves at most.
        start = Signal(self.width)
        stride = Signal(signed(max([*self.stride_widths.values(), 1])))
        following = Signal(self.width)
        starts = [Mux(self.moving[level], partial[level], 0) for level in range(self.levels)]
        strides = [Mux(self.moving[level], getattr(self, f"stride_{level}"), 0)[:bits].as_signed() for level, bits in self.stride_widths.items()]
        m.d.comb += [start.eq(reduce(or_, starts)), stride.eq(reduce(or_, strides, Const(0, signed(1)))), following.eq(start + stride)]

        for register in registers:
            outermost = next(level for level in range(self.levels) if partial[level] is register)
            # A step of a level outside (or at) this register's own moves it; a stride-less level that shares it
            # leaves it where it is.
            moving = [self.moving[level] for level in range(self.levels)
                      if level <= outermost and not (level == outermost and level not in self.stride_widths)]
            if moving:
                with m.If(self.step & Cat(moving).any()):
                    m.d.sync += register.eq(following)
            with m.If(self.load):
                m.d.sync += register.eq(self.base)
        m.d.comb += self.value.eq(partial[-1])
        return m


def nest_of(m: Module, name: str, counts: Sequence[Value], *, load: Value, step: Value) -> LoopCounter:
    """A nest over ``counts``, iterations minus one outermost first, as submodule ``name`` of ``m``."""
    m.submodules[name] = nest = LoopCounter(count_widths=[len(count) for count in counts])
    m.d.comb += [nest.load.eq(load), nest.step.eq(step), *(getattr(nest, f"n_{level}").eq(count) for level, count in enumerate(counts))]
    return nest


class Walk(NamedTuple):
    """What address generators follow where it is not the loop counter itself: its members, later."""

    levels: int
    load: Value
    step: Value
    moving: Value


def follow(m: Module, name: str, nest: LoopCounter | Walk, base: Value, strides: Mapping[int, Value], width: int, *, load: Value | None = None) -> Signal:
    """A value of ``width`` bits, by submodule ``name`` of ``m``, that starts at ``base`` with the nest, or with ``load``, and moves by a stride a level."""
    widths = {level: len(stride) + (not stride.shape().signed) for level, stride in strides.items()}
    m.submodules[name] = generator = AddressGenerator(width=width, levels=nest.levels, stride_widths=widths)
    m.d.comb += [generator.load.eq(nest.load if load is None else load), generator.step.eq(nest.step), generator.moving.eq(nest.moving)]
    m.d.comb += generator.base.eq(base)
    m.d.comb += [getattr(generator, f"stride_{level}").eq(stride) for level, stride in strides.items()]
    return generator.value
