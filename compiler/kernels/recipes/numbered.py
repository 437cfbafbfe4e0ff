"""A function of bytes and of a float32 number for each channel.

    before   for every element:  y = REQUANTIZE(ADD(number[c], (b - zero) * scale))        or MUL, MIN, MAX
    after    for every vector:   v = LDV(in0); n = LDV(in1); for quarter: w = LMAC(v quarter, 1); f = FMUL(CVT(w), scale);  y quarter = REQ(FADD(n, f), 1.0)

A quarter of a vector is whole pixels: the numbers of a granule of channels stand side by side in its lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import cell
from compiler.kernels.vectorise import QUARTERS

__all__ = ["CONSTANTS", "NEEDED", "Numbered", "numbered"]

#: What slots must issue, and the operation on two floats beside it by that of an engine.
NEEDED = ("LDV", "STV", "LMAC", "CVT", "FMUL", "REQ")
FLOATS = {"ADD": "FADD", "MUL": "FMUL", "MIN": "FMIN", "MAX": "FMAX"}
#: Vectors that the prologue loads: int32 0 and 1, float32 scale and 1.0, in all lanes.
CONSTANTS = ("zero", "one", "scale", "unit")


@dataclass(frozen=True)
class Numbered:
    """`operation` of an engine on number and element."""

    operation: str


def numbered(shape: Numbered, core: Core) -> Body:
    """The body: streams in0 (elements), in1 (numbers), in2 (`CONSTANTS`), out0."""
    items = [Item("LDV", "v", stream="in0"), Item("LDV", "n", stream="in1")]
    for q in range(QUARTERS):
        w, f, s, r = (cell(name, q) for name in "wfsr")
        items += [
            Item("LMAC", w, {"c": "zero", "a": "v", "b": "one"}, {"k": q}), Item("CVT", f, {"a": w}), Item("FMUL", s, {"a": f, "b": "scale"}),
            Item(FLOATS[shape.operation], r, {"a": "n", "b": s}),
            Item("REQ", "y", {"a": r, "b": "unit"}, {"quarter": q, "pack": 1, "set": 0, "form": 1}, partial=True),
        ]
    items.append(Item("STV", reads={"a": "y"}, numbers={"first": 0}, stream="out0"))
    return Body(tuple(items), tuple(Item("LDV", name, stream="in2") for name in CONSTANTS))
