"""What goes where when data moves: bytes of the result by where they come from, in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.codelets import Operand
from compiler.ir.network import Move
from compiler.layout import Layout

#: Bytes of a result that are worth instructions of their own, and how many such chunks there are at most: what reads the first rows
#: need not wait for the last.
CHUNK_BYTES, MOST_CHUNKS = 4096, 8


@dataclass(frozen=True, eq=False)
class Part:
    """Bytes that come from one operand, or from constants (None): places in y and in the source, ascending in y.

    Places are byte addresses, int64, of the first byte of each element; those of constants number them.
    """

    operand: Operand | None
    to: np.ndarray
    of: np.ndarray

    def chosen(self, which: np.ndarray) -> Part:
        """The elements that a mask chooses."""
        return Part(self.operand, self.to[which], self.of[which])


def places(shape: tuple[int, int, int, int], layout: Layout) -> np.ndarray:
    """Byte address of each element in row-major order, of a tensor that is seen as `shape` with the pixels of `layout`: int64 (elements,)."""
    n, c, h, w = shape
    pixels = np.arange(n * h * w).reshape(n, 1, h, w) * layout.pixel_bytes
    granule, within = np.divmod(np.arange(c), layout.lanes)
    return (pixels + (granule * layout.granule_bytes + within * layout.element_bytes).reshape(1, c, 1, 1)).reshape(-1)


def parts_of(move: Move, inputs: Sequence[tuple[Operand, Layout]], shape: tuple[int, int, int, int], layout: Layout) -> list[Part]:
    """What comes from where: a part an input that anything comes from, and one for the constants; `shape` and `layout` are those of the result."""
    to = places(shape, layout)
    order = np.argsort(to, kind="stable")
    to, index = to[order], move.index[order]
    found, base = [], 0
    for operand, laid in inputs:
        size = int(np.prod(operand.shape))
        mine = (index >= base) & (index < base + size)
        if mine.any():
            found.append(Part(operand, to[mine], places(operand.shape, laid)[index[mine] - base]))
        base += size
    fixed = (index < 0) & (index != move.anything)
    if fixed.any():
        found.append(Part(None, to[fixed], -1 - index[fixed]))
    return found


def chunks(parts: list[Part], size_bytes: int, row_bytes: int, pixel_bytes: int) -> Iterator[list[Part]]:
    """The parts of a result of `size_bytes`, chunk by chunk: each some of its rows, or of its pixels where it has but one row."""
    step = row_bytes if size_bytes > row_bytes else pixel_bytes
    count = min(MOST_CHUNKS, size_bytes // CHUNK_BYTES, size_bytes // step)
    if count < 2:
        yield parts
        return
    size = -(-size_bytes // step // count) * step
    for start in range(0, size_bytes, size):
        inside = [(p.to >= start) & (p.to < start + size) for p in parts]
        yield [p.chosen(m) for p, m in zip(parts, inside, strict=True) if m.any()]
