"""Windows that slide over each channel alone: depthwise convolutions and averages.

    before   for oy, ox, c: reduce ky, kx:  acc[oy, ox, c] += x[c, oy + ky, ox + kx] * w[c, ky, kx]
    after    for tile of 8 pixels, 8 rows:  for row in 10, pair in 4:
                 window = LDW(in0)                              4 neighbouring pixels of 16 channels, for two results beside each other
                 for ky, if row - ky is one of the 8:  acc[row - ky, pair] = DOTV(acc[row - ky, pair], window, w[ky])

A window serves all rows of results that it is part of. Kernels of more than four columns take further windows, those whose columns lie apart one a column.
Where results lie more than two pixels apart, a window makes one result.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from compiler.kernels.body import Body
from compiler.kernels.core import Core
from compiler.kernels.unroll import Loops, Statement, unroll

__all__ = ["Sliding", "sliding"]


@dataclass(frozen=True)
class Sliding:
    """What decides the kernel of a sliding window.

    Attributes
    ----------
    weights : tuple[tuple[int, ...], ...]
        For each row of the window and each group of four columns the number of its vector of weights.
    rows, pairs : int
        Rows of results of a tile, and windows that make a row of it.
    stride, dilation : int
        Of rows.
    step : int
        Pixels between two results of a window: 1 or 2; 0 where it makes one.
    whole : bool
        An iteration makes a tile; else it adds one row of the window to a row of results.
    streamed : bool
        Each tile loads its weights and parameters, so that one instruction goes over channels; else the prologue does.
    """

    weights: tuple[tuple[int, ...], ...]
    rows: int
    pairs: int
    stride: int
    dilation: int
    step: int
    whole: bool
    streamed: bool = False

    @property
    def vectors(self) -> int:
        """Vectors of weights."""
        return 1 + max(number for row in self.weights for number in row)

    @property
    def between(self) -> int:
        """Rows from one that is read to the next."""
        return self.stride if len(self.weights) == 1 else gcd(self.stride, self.dilation) if self.rows > 1 else self.dilation

    @property
    def read(self) -> int:
        """Rows that a tile reads."""
        return ((self.rows - 1) * self.stride + (len(self.weights) - 1) * self.dilation) // self.between + 1




def sliding(shape: Sliding, core: Core) -> Body:
    """The body of a sliding window: streams in0 (activations), in1 (bias, weights, scale), out0 (results)."""
    groups = len(shape.weights[0])
    results = core.lanes // core.granule_bytes  # of a window
    beside = (("group", groups), ("pair", shape.pairs))

    def load(row: int) -> Statement:
        return Statement("LDW", beside, ("window", lambda i: (row, i["group"], i["pair"])), numbers={"step": lambda i: int(shape.step == 2)}, stream="in0")

    def product(row: int, ky: int, result: int) -> Statement:
        return Statement(
            "DOTV", (("pair", shape.pairs), ("group", groups)), ("acc", lambda i: (result, i["pair"])),
            {
                "c": ("acc", lambda i: (result, i["pair"])), "a": ("window", lambda i: (row, i["group"], i["pair"])),
                "b": ("w", lambda i: (shape.weights[ky][i["group"]],)),
            },
            first={"c": ("bias", _nothing)}, when=lambda i: ky == 0 and i["group"] == 0, per_tile=not shape.whole,
        )  # fmt: skip

    loads = [load(row) for row in range(shape.read if shape.whole else 1)]
    products: list[Statement] = []
    for row in range(len(loads)):
        for ky in range(len(shape.weights) if shape.whole else 1):
            result, rest = divmod(row * shape.between - ky * shape.dilation, shape.stride)
            if not rest and 0 <= result < shape.rows:
                products.append(product(row, ky, result))
    rows = (("row", shape.rows),)
    finish = Statement(
        "REQ", (*rows, ("pair", shape.pairs)), ("y", lambda i: (i["row"], i["pair"] // 4)),
        {"a": ("acc", lambda i: (i["row"], i["pair"])), "b": ("scale", _nothing)},
        {"quarter": lambda i: i["pair"] % 4, "pack": lambda i: 1, "set": lambda i: 0, "form": lambda i: 0}, partial=True,
    )  # fmt: skip
    if shape.step:
        stores = Statement("STV", rows, None, {"a": ("y", lambda i: (i["row"], 0))}, {"first": lambda i: 0}, stream="out0")
    else:
        stores = Statement("STV", (*rows, ("pair", shape.pairs)), None, {"a": ("y", lambda i: (i["row"], 0))}, {"first": lambda i: results * i["pair"]},
                           stream="out0")  # fmt: skip
    constants = [
        Statement("LDV", (), ("bias", _nothing), stream="in1"), Statement("LDV", (("number", shape.vectors),), ("w", lambda i: (i["number"],)), stream="in1"),
        Statement("LDV", (), ("scale", _nothing), stream="in1"),
    ]
    items, ending = (*unroll(loads), *unroll(products)), unroll([finish, stores])
    kept = unroll(constants)
    if shape.streamed:
        items, kept = (*kept, *items), ()
    return Body((*items, *ending), kept) if shape.whole else Body(items, kept, ending, idle=1)


def _nothing(_: Loops) -> tuple[int, ...]:
    return ()
