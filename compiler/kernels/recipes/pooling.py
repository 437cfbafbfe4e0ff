"""Largest elements of windows, and bytes that leave through a table or a clamp.

    before   for oy, ox, c: reduce ky, kx:  y[oy, ox, c] = MAXIMUM(x[c, 2 oy + ky, 2 ox + kx])                3x3 windows, 2 apart
    after    for tile of 8 pixels, 4 rows:   m[row, at, half] = MAXV over ky of LDV(x[2 row + ky] from pixel at + 8 half on)        at 0 and 2
                 y[row] = MAXV of even(m[row, 0]), odd(m[row, 0]), even(m[row, 2])

Rows first, so that each is loaded once a tile. Where results lie side by side each column of the window is a load of its own; two apart every other pixel
of two vectors is taken by a permutation; where they lie further apart the result of every pixel is made, and granules are stored one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from compiler.kernels.body import Body, Item
from compiler.kernels.core import Core
from compiler.kernels.unroll import cell

__all__ = ["Pooling", "pooling"]

#: Pattern of a permutation that takes every other granule from the first on; the next one, from the second on.
EVEN = 0


@dataclass(frozen=True)
class Pooling:
    """What decides the kernel of a window of largest elements.

    Attributes
    ----------
    kernel, stride, dilation : tuple[int, int]
        Rows and columns.
    rows : int
        Rows of results of a tile.
    finish : bool
        Bytes leave through REQB: a clamp or a table.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    rows: int
    finish: bool

    @property
    def between(self) -> int:
        """Rows from one that is read to the next."""
        if self.kernel[0] == 1:
            return self.stride[0]
        return gcd(self.stride[0], self.dilation[0]) if self.rows > 1 else self.dilation[0]

    @property
    def read(self) -> int:
        """Rows that a tile reads."""
        return ((self.rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0]) // self.between + 1

    @property
    def starts(self) -> tuple[int, int]:
        """Pixels from which a row is loaded: how many, and how far apart."""
        if self.stride[1] == 2 and self.dilation[1] == 1:
            return (self.kernel[1] + 1) // 2, 2
        return self.kernel[1], self.dilation[1]

    @property
    def halves(self) -> int:
        """Vectors from each of these pixels on."""
        return 2 if self.stride[1] == 2 else 1

    def results(self, core: Core) -> int:
        """Results of a vector."""
        return core.pixels if self.stride[1] <= 2 else (core.pixels - 1) // self.stride[1] + 1


class _Maxima:
    """Collects maxima of cells, two at a time."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def of(self, cells: list[str], result: str) -> str:
        """A cell that holds the greatest of some, by a tree."""
        level = 0
        while len(cells) > 1:
            pairs = [cells[n : n + 2] for n in range(0, len(cells), 2)]
            cells = []
            for number, pair in enumerate(pairs):
                if len(pair) == 2:
                    name = f"{result}.t{level}.{number}"
                    self.items.append(Item("MAXV", name, {"a": pair[0], "b": pair[1]}, {"form": 0}))
                    cells.append(name)
                else:
                    cells.append(pair[0])
            level += 1
        return cells[0]

    def permuted(self, pattern: int, cells: Sequence[str], result: str) -> str:
        """Even or odd granules of two cells."""
        self.items.append(Item("PERM", result, dict(zip("ab", cells, strict=True)), {"pattern": pattern}))
        return result


def pooling(shape: Pooling, core: Core) -> Body:
    """The body of a window of largest elements: streams in0 and out0."""
    loads: list[Item] = []
    made = _Maxima()
    starts, halves = shape.starts[0], shape.halves
    for row in range(shape.read):
        for start in range(starts):
            for half in range(halves):
                loads.append(Item("LDV", cell("x", row, start, half), stream="in0"))
    ends: list[Item] = []
    kernel_rows, kernel_columns = shape.kernel
    for row in range(shape.rows):
        rows = [(row * shape.stride[0] + ky * shape.dilation[0]) // shape.between for ky in range(kernel_rows)]
        columns = [[made.of([cell("x", r, start, half) for r in rows], cell("m", row, start, half)) for half in range(halves)] for start in range(starts)]
        if halves == 1:
            parts = [column[0] for column in columns]
        elif shape.dilation[1] == 1:
            parts = [made.permuted(kx % 2, columns[kx // 2], cell("p", row, kx)) for kx in range(kernel_columns)]
        else:
            parts = [made.permuted(EVEN, column, cell("p", row, number)) for number, column in enumerate(columns)]
        result = made.of(parts, cell("n", row))
        if shape.finish:
            for quarter in range(4):
                numbers = {"quarter": quarter, "qa": quarter, "qb": quarter, "set": 0, "op": 0}
                ends.append(Item("REQB", cell("y", row), {"a": result, "b": result}, numbers, partial=True))
            result = cell("y", row)
        singles = range(shape.results(core)) if shape.stride[1] > 2 else (0,)
        ends += [Item("STV", reads={"a": result}, numbers={"first": shape.stride[1] * single if single else 0}, stream="out0") for single in singles]
    return Body((*loads, *made.items, *ends), ())
