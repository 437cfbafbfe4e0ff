"""What another engine has summed, requantised: int32 sums by planes of a granule of channels, a word of the same channels each.

    before   for every pixel of a plane:  y[c] = REQUANTIZE((sum[c] + bias[c]) * scale[c])
    after    for every vector of results:   for quarter in 4:  s = LDV(in0); t = ADDV(s, bias); y quarter = REQ(t, scale)
                                            STV(y)

A vector of sums is lanes / granule pixels, so that bias and scale stand in a register as often, and four of them are a vector of results.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import cell

__all__ = ["NEEDED", "QUARTERS", "Finishing", "finishing"]

#: Operations that it takes.
NEEDED = ("LDV", "ADDV", "REQ", "STV")
#: Vectors of sums of one of results.
QUARTERS = 4


@dataclass(frozen=True)
class Finishing:
    """`vectors` of results of an iteration, which all lie in one plane; `planes`: bias and scale are those of the iteration's, not of the kernel's."""

    vectors: int
    planes: bool


def finishing(shape: Finishing, core: Core) -> Body:
    """The body: streams in0 (sums), in1 (bias and scale), out0."""
    numbers = [Item("LDV", name, stream="in1") for name in ("bias", "scale")]
    items: list[Item] = list(numbers) if shape.planes else []
    for vector in range(shape.vectors):
        y = cell("y", vector)
        for quarter in range(QUARTERS):
            s, t = cell("s", vector, quarter), cell("t", vector, quarter)
            items.append(Item("LDV", s, stream="in0"))
            items.append(Item("ADDV", t, {"a": s, "b": "bias"}))
            items.append(Item("REQ", y, {"a": t, "b": "scale"}, {"quarter": quarter, "pack": 1, "set": 0, "form": 0}, partial=True))
        items.append(Item("STV", reads={"a": y}, numbers={"first": 0}, stream="out0"))
    return Body(tuple(items), () if shape.planes else tuple(numbers))
