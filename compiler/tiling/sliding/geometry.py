"""How a window engine slides a kernel along one axis: which outputs and which positions of the input an instruction takes.

    before   kernel positions 0..2 with dilation 2 over 9 inputs, padding 2, outputs 0..8
    after    outputs 0, 2, 4, .. on inputs 0, 2, 4, .., one apart for the engine; outputs 1, 3, .. on inputs 1, 3, ..

A window engine reads a box position by position and knows no dilation: outputs that a dilation keeps apart are instructions of their own, each on
every so many-th position of the input. Outputs that see nothing but padding are left out: a pass that adds to the others leaves them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from compiler.tiles import ceil_div, spans


@dataclass(frozen=True)
class Slide:
    """Outputs `out`, `out` + `out_step` ... (`outs` of them) of one axis, on positions `place`, `place` + `place_step` ... (`places`) of the input.

    `step` positions from one output to the next; the first window's last position is number `lead` of them.
    """

    out: int
    out_step: int
    outs: int
    place: int
    place_step: int
    places: int
    step: int
    lead: int


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution: step and dilation, padding in front, positions of the input."""

    step: int
    dilation: int
    pad: int
    size: int

    def slides(self, outs: tuple[int, int], kernel: tuple[int, int]) -> list[Slide]:
        """Slides over outputs [lo, hi) with kernel positions [k_lo, k_hi), of all outputs that see any of the input."""
        return list(_slides(self, outs, kernel))

    def sees_all(self, outs: tuple[int, int], kernel: tuple[int, int]) -> bool:
        """Whether each output sees some of the input."""
        return sum(slide.outs for slide in self.slides(outs, kernel)) == outs[1] - outs[0]


@lru_cache(maxsize=4096)
def _slides(axis: Axis, outs: tuple[int, int], kernel: tuple[int, int]) -> tuple[Slide, ...]:
    apart = axis.dilation // gcd(axis.step, axis.dilation)
    step = axis.step * apart // axis.dilation
    taps = kernel[1] - kernel[0]
    found = []
    for out in range(outs[0], min(outs[0] + apart, outs[1])):
        # Window j covers numbers j * step to j * step + taps - 1 of the positions start + number * dilation.
        start = out * axis.step - axis.pad + kernel[0] * axis.dilation
        count = ceil_div(outs[1] - out, apart)
        low, high = ceil_div(-start, axis.dilation), (axis.size - 1 - start) // axis.dilation
        first = max(0, ceil_div(low - taps + 1, step))
        last = min(count - 1, high // step)
        if first > last:
            continue
        a, b = max(low, first * step), min(high, last * step + taps - 1)
        lead = first * step + taps - 1 - a
        found.append(Slide(out + first * apart, apart, last - first + 1, start + a * axis.dilation, axis.dilation, b - a + 1, step, lead))
    return tuple(found)


@dataclass(frozen=True)
class Pass:
    """A piece [y0, y1) x [x0, x1) of a kernel."""

    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return (self.y[1] - self.y[0]) * (self.x[1] - self.x[0])


@lru_cache(maxsize=256)
def passes(kernel: tuple[int, int], taps: int, kernel_rows: int) -> tuple[Pass, ...]:
    """The fewest pieces of a kernel that fit so many taps in so many rows each."""
    ways = []
    for rows in range(1, min(kernel[0], kernel_rows, taps) + 1):
        for columns in range(1, min(kernel[1], taps // rows) + 1):
            ways.append((ceil_div(kernel[0], rows) * ceil_div(kernel[1], columns), rows * columns, rows, columns))
    _, _, rows, columns = min(ways)
    return tuple(Pass(y, x) for y in spans(kernel[0], rows) for x in spans(kernel[1], columns))
