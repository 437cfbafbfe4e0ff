"""Cut copies of many short rows, so that whoever reads the first part need not wait for the last.

    before   one copy of 128 x 64 single bytes, a cycle or more each
    after    eight copies of 16 x 64
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from compiler.tiles import ceil_div, spans
from compiler.tiling.strided import Piece

#: Rows of a copy that are worth an instruction of their own.
LEAST_ROWS = 512
#: Copies that one is cut into at most.
MOST_PARTS = 8


def split_copies(pieces: Sequence[Piece]) -> list[Piece]:
    """The same copies, those of many rows cut along their outermost loop."""
    return [part for piece in pieces for part in _parts(piece)]


def _parts(piece: Piece) -> list[Piece]:
    rows = prod(level.count for level in piece.levels)
    parts = min(MOST_PARTS, rows // LEAST_ROWS)
    if parts < 2 or piece.levels[0].count < 2:
        return [piece]
    first = piece.levels[0]
    return [
        replace(
            piece, outside=piece.outside + lo * first.outside, inside=piece.inside + lo * first.inside,
            levels=(replace(first, count=hi - lo), *piece.levels[1:]),
        )
        for lo, hi in spans(first.count, ceil_div(first.count, parts))
    ]  # fmt: skip
