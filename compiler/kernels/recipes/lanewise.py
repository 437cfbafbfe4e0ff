"""Functions of bytes side by side: of one tensor, or of two.

    before   for every element:  y = REQUANTIZE(ADD(x, b))
    after    for every vector:   a = LDV(in0); b = LDV(in1); y quarter 0..3 = REQB(a quarter 0..3, b quarter 0..3); STV(y)
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import cell

__all__ = ["PAIRING", "Lanewise", "lanewise"]

#: Number of what is done to two values, by the operation of an engine.
PAIRING = {"ADD": 1, "MUL": 2, "MIN": 3, "MAX": 4}


@dataclass(frozen=True)
class Lanewise:
    """`pairing`: 0 for a function of one tensor; `vectors` of an iteration."""

    pairing: int
    vectors: int = 1


def lanewise(shape: Lanewise, core: Core) -> Body:
    """The body: streams in0, in1 where there are two tensors, out0."""
    items: list[Item] = []
    for number in range(shape.vectors):
        a, b, y = (cell(name, number) for name in ("a", "b", "y"))
        items.append(Item("LDV", a, stream="in0"))
        if shape.pairing:
            items.append(Item("LDV", b, stream="in1"))
        for quarter in range(4):
            numbers = {"quarter": quarter, "qa": quarter, "qb": quarter, "set": 0, "op": shape.pairing}
            items.append(Item("REQB", y, {"a": a, "b": b if shape.pairing else a}, numbers, partial=True))
        items.append(Item("STV", reads={"a": y}, numbers={"first": 0}, stream="out0"))
    return Body(tuple(items), ())
