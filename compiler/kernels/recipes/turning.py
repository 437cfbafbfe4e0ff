"""Weights that the network computes, turned as products read them: for each channel four neighbouring pixels side by side.

    before   w[k, n]             a pixel is a row of the matrix, its channels the columns
    after    for k / 4, plane:   t = LDW(in0);  STV t           channel by channel bytes k .. k + 3; twice where both halves of the lanes meet them

What a window of four pixels has beyond its granule stays behind: the store takes the first four granules.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core

__all__ = ["WINDOW", "Turning", "turning"]

#: Pixels of a window, and granules that it is stored as.
WINDOW = 4


@dataclass(frozen=True)
class Turning:
    """`copies` of each window are stored; `idle` packets a window are left free, so that slow loads are fewer windows behind."""

    copies: int
    idle: int = 0


def turning(shape: Turning, core: Core) -> Body:
    """The body: streams in0, out0."""
    load = Item("LDW", "t", numbers={"step": 0}, stream="in0")
    return Body((load, *(Item("STV", reads={"a": "t"}, numbers={"first": 0}, stream="out0") for _ in range(shape.copies))), (), idle=shape.idle)
