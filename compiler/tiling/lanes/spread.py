"""Operands that are spread over a box: what of them it needs, and a view that repeats them."""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets import Operand
from compiler.tiles import View

#: Axes in which an operand may have one element for all: number, place of its bounds in a box, stride of a View.
_SPREAD = ((0, 0, "image_bytes"), (2, 2, "row_bytes"), (3, 4, "pixel_bytes"))


def within(operand: Operand, box: tuple) -> tuple:
    """The part of `operand` that a box (n0, n1, y0, y1, x0, x1, c0, c1) of the result sees: all of an axis that its index leaves out."""
    for axis, at, _ in _SPREAD:
        if not operand.index[axis].terms:
            box = (*box[:at], 0, 1, *box[at + 2 :])
    return box


def spread(operand: Operand, view: View) -> View:
    """View of an operand that does not move along the axes that its index leaves out."""
    return replace(view, **{name: 0 for axis, _, name in _SPREAD if not operand.index[axis].terms})  # type: ignore[arg-type]


__all__ = ["spread", "within"]
