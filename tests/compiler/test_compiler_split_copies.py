"""Long copies are cut along their outermost loop; what they move is the same."""

import numpy as np

from compiler.tiling.copy_nest import Level
from compiler.tiling.moves.split_copies import split_copies
from compiler.tiling.strided import Piece


def moved(piece):
    """Pairs of addresses of a copy."""
    return {
        (
            piece.outside + sum(i * level.outside for i, level in zip(at, piece.levels, strict=True)),
            piece.inside + sum(i * level.inside for i, level in zip(at, piece.levels, strict=True)),
        )
        for at in np.ndindex(*(level.count for level in piece.levels))
    }  # fmt: skip


def test_a_transposition_is_eight_copies():
    whole = Piece(3, 5, 1, (Level(100, 64, 1), Level(64, 1, 128)))
    parts = split_copies([whole])
    assert [part.levels[0].count for part in parts] == [13] * 7 + [9]
    assert set().union(*(moved(part) for part in parts)) == moved(whole) and sum(len(moved(part)) for part in parts) == 6400


def test_short_copies_and_single_rows_stay():
    pieces = [Piece(0, 0, 16, (Level(100, 64, 16),)), Piece(0, 0, 4096, ())]
    assert split_copies(pieces) == pieces
