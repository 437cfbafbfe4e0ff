"""Pass: the loops of an operator -> statements on vectors: a parallel dimension becomes lanes, what is reduced together bytes of a lane.

    before   for oy, ox, oc: reduce ky, kx, ic:  acc[oc, oy, ox] += x[ic, ..] * w[oc, ic, ky, kx]
    after    for tile: reduce step (ic / 16, ky, kx):  for word in 4, block, row, pixel:
                 acc[block, row, pixel] = DOT(acc[block, row, pixel], x[step, row] word 4*pixel + word, w[step, word, block])

A *plane* is a granule of channels of all pixels, so that a vector is so many neighbouring pixels. DOT spreads one word (4 channels of a pixel) over all
lanes (output channels); DOTH takes one word for either half of the lanes, so that half as many output channels meet two pixels. A tile is `rows` vectors of
pixels, beside or below each other, by `blocks` of output channels. REQ narrows a pixel's lanes into a quarter of a register; four pixels of all planes of a
block fill it. Sums that leave as they are (`raw`) need no packing: the lanes of a plane are four granules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import Loops, Statement, unroll

__all__ = ["QUARTERS", "Contraction", "contraction"]

#: Quarters of a register.
QUARTERS = 4
#: Iterations within which the stores of a tile find packets where loads take all others.
STORING = 4


@dataclass(frozen=True)
class Contraction:
    """What decides the kernel of a contraction.

    Attributes
    ----------
    words : tuple[int, ...]
        Words of four channels that each step of an iteration reduces.
    whole : bool
        An iteration makes a tile; else a tile is several iterations, and ends beside the next one's first.
    stride : int
        Distance of neighbouring windows, in pixels: a row of results reads so many vectors.
    rows, blocks : int
        Of a tile.
    groups : int
        Planes of each block that are stored.
    halves : bool
        By DOTH: a block is half as many output channels, for two pixels half a vector apart. The stride divides that.
    pixels : int
        Results of a row: those of a whole vector, or fewer where rows are short. What is stored beyond them is a later tile's to make.
    raw : bool
        Results are the int32 sums; never by halves.
    """

    words: tuple[int, ...]
    whole: bool
    stride: int
    rows: int
    blocks: int
    groups: int
    halves: bool
    pixels: int
    raw: bool = False

    @property
    def parameters(self) -> int:
        """Vectors of parameters: bias, and scale where there is one, of each block."""
        return self.blocks * (1 if self.raw else 2)

    @property
    def apart(self) -> int:
        """Results from that of the lower half of the lanes to that of the upper one: half a vector of pixels."""
        return QUARTERS // self.stride

    def moved(self, core: Core) -> int:
        """Granules of a store; of sums those of one pixel."""
        return QUARTERS if not self.halves else core.pixels if self.apart == QUARTERS else self.apart

    def vectors(self, core: Core) -> int:
        """Vectors of activations that a row of results reads in a step."""
        return ((self.pixels - 1) * self.stride) // core.pixels + 1

    def sums(self, core: Core) -> int:
        """Registers of sums."""
        return self.rows * self.blocks * (self.pixels // 2 if self.halves else self.pixels)


def _always(*_: Loops) -> tuple[int, ...]:
    return ()


def _swapped(items: Sequence[Item], number: int) -> list[Item]:
    """Products with the last of the first `number` behind the next one: the requantisation of the last sum has a packet more. Of one sum alone the order
    stays, they add up to it one after the other."""
    return [*items[: number - 1], items[number], items[number - 1], *items[number + 1 :]] if len(items) > number > 1 else list(items)


def contraction(shape: Contraction, core: Core) -> Body:
    """The body of a contraction's kernel: streams in0 (activations), in1 (weights), in2 (bias and scale of each block), out0 (results)."""
    granules, words = core.pixels, core.words
    pixels = shape.pixels // 2 if shape.halves else shape.pixels
    quarters = -(-pixels // QUARTERS) * QUARTERS
    vectors, moved = shape.vectors(core), shape.moved(core)

    def first(pixel: int) -> int:
        """The result of a product, of two that of the lower half."""
        return pixel // shape.apart * 2 * shape.apart + pixel % shape.apart if shape.halves else pixel

    def load(step: int, count: int) -> list[Statement]:
        return [
            Statement("LDV", (("row", shape.rows), ("vector", vectors)), ("x", lambda i: (step, i["row"], i["vector"])), stream="in0"),
            Statement("LDV", (("word", count), ("block", shape.blocks)), ("w", lambda i: (step, i["word"], i["block"])), stream="in1"),
        ]

    def product(step: int, count: int) -> Statement:
        return Statement(
            "DOTH" if shape.halves else "DOT", (("word", count), ("block", shape.blocks), ("row", shape.rows), ("pixel", pixels)),
            ("acc", lambda i: (i["block"], i["row"], i["pixel"])),
            {
                "c": ("acc", lambda i: (i["block"], i["row"], i["pixel"])),
                "a": ("x", lambda i: (step, i["row"], first(i["pixel"]) * shape.stride // granules)),
                "b": ("w", lambda i: (step, i["word"], i["block"])),
            },
            {"k": lambda i: first(i["pixel"]) * shape.stride % granules * words + i["word"]},
            first={"c": ("bias", lambda i: (i["block"],))}, when=lambda i: step == 0 and i["word"] == 0, per_tile=not shape.whole,
        )  # fmt: skip

    steps = list(enumerate(shape.words))
    loads = [statement for step in steps for statement in load(*step)]
    products = [product(*step) for step in steps]
    order = (("block", shape.blocks), ("row", shape.rows))
    finish = Statement(
        "REQ", (*order, ("pixel", pixels)), ("y", lambda i: (i["block"], i["row"], i["pixel"] // QUARTERS)),
        {"a": ("acc", lambda i: (i["block"], i["row"], i["pixel"])), "b": ("scale", lambda i: (i["block"],))},
        {"quarter": lambda i: i["pixel"] % QUARTERS, "pack": lambda i: 0, "set": lambda i: 0, "form": lambda i: 0}, partial=True,
    )  # fmt: skip
    rest = Statement(  # what is stored beyond the last result is something, and soon written again
        "REQ", (*order, ("pixel", quarters - pixels)), ("y", lambda i: (i["block"], i["row"], pixels // QUARTERS)),
        {"a": ("bias", lambda i: (i["block"],)), "b": ("scale", lambda i: (i["block"],))},
        {"quarter": lambda i: pixels % QUARTERS + i["pixel"], "pack": lambda i: 0, "set": lambda i: 0, "form": lambda i: 0}, partial=True,
    )  # fmt: skip
    if shape.halves:
        stores = Statement(
            "STV", (*order, ("piece", granules // moved)), None, {"a": ("y", lambda i: (i["block"], i["row"], 0))},
            {"first": lambda i: QUARTERS * (i["piece"] % 2) + i["piece"] // 2 * moved}, stream="out0",
        )  # fmt: skip
    else:
        stores = Statement(
            "STV", (*order, ("half", quarters // QUARTERS), ("group", shape.groups)), None, {"a": ("y", lambda i: (i["block"], i["row"], i["half"]))},
            {"first": lambda i: QUARTERS * i["group"]}, stream="out0",
        )  # fmt: skip
    sums = Statement(
        "STV", (*order, ("pixel", pixels), ("group", shape.groups)), None, {"a": ("acc", lambda i: (i["block"], i["row"], i["pixel"]))},
        {"first": lambda i: QUARTERS * i["group"]}, stream="out0",
    )  # fmt: skip
    constants = Statement("LDV", (("block", shape.blocks),), ("bias", lambda i: (i["block"],)), stream="in2")
    scales = Statement("LDV", (("block", shape.blocks),), ("scale", lambda i: (i["block"],)), stream="in2")
    made = _swapped(unroll(products), shape.sums(core))
    items, ending = (*unroll(loads), *made), unroll([sums] if shape.raw else [finish, rest, stores])
    kept = unroll([constants] if shape.raw else [constants, scales])
    if shape.whole:
        return Body((*items, *ending), kept)
    if shape.raw:  # a sum is stored before the next tile's first product lands on it: more stores than packets between the two
        stored = shape.sums(core) * shape.groups
        return Body(items, kept, ending, idle=stored, lead=stored)
    fetched, stored = (sum(bool(item.stream) for item in some) for some in (items, ending))
    full = fetched * len(core.slots_of(made[0].operation)) >= len(made)  # loads leave no packet to the stores
    return Body(items, kept, ending, idle=-(-stored // STORING) if full else 0)
