"""A granule for all pixels of a vector: it is stored as often as a vector has granules.

    before   b[c]                            one pixel for a row of them
    after    for granule:  v = LDV(in0), one granule;  STV v, one granule, pixels times
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core

__all__ = ["Spreading", "spreading"]


@dataclass(frozen=True)
class Spreading:
    """`copies` of each granule."""

    copies: int


def spreading(shape: Spreading, core: Core) -> Body:
    """The body: streams in0, out0, both of single granules."""
    stores = (Item("STV", reads={"a": "v"}, numbers={"first": 0}, stream="out0") for _ in range(shape.copies))
    return Body((Item("LDV", "v", stream="in0"), *stores), ())
