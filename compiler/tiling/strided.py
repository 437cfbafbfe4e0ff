"""Cut a list of address pairs into few copies: rows or single elements under loops, the same count and two strides a loop.

    pairs (0, 0) (1, 8) (4, 1) (5, 9)     ->     one piece at (0, 0): 2 times (4, 1) of 2 times (1, 8)

Greedy, innermost loop first: neighbours at equal distances become one piece with a loop around it, as often as loops are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.tiling.copy_nest import Level

#: Most iterations of a loop: what a count field of 16 bits holds.
MOST_ITERATIONS = 1 << 15
#: Most bytes of a row.
MOST_ROW = 1 << 20
#: With so few pieces none better are looked for.
FEW = 2


@dataclass(frozen=True)
class Piece:
    """A copy: first place on both sides, `row` units side by side, loops around them outermost first."""

    outside: int
    inside: int
    row: int
    levels: tuple[Level, ...]


#: One loop or row of units: (units side by side, loops around them).
Shape = tuple[int, tuple[Level, ...]]


def fewest(
    outside: np.ndarray, inside: np.ndarray, unit: int, *, outer: Sequence[int], inner: Sequence[int], loops: int = 3, rows: bool = True
) -> list[Piece]:
    """Return the pieces of the best of several ways to cut: in the order of either side, across the borders of its pixels, rows and images or not.

    `outer`, `inner`: sizes of a pixel, a row and an image on the two sides.
    """
    best: list[Piece] | None = None
    for (pixel, row, image), side in ((outer, 0), (inner, 1)):
        for borders in ((), (pixel, row, image), (pixel, row, row, image, image), (pixel, pixel, row, row, image), (row, image)):
            found = list(strided(outside, inside, unit, loops=loops, rows=rows, borders=borders, side=side))
            if best is None or len(found) < len(best):
                best = found
            if len(best) <= FEW:
                return best
    assert best is not None, "there are always ways to cut"
    return best


def strided(
    outside: np.ndarray, inside: np.ndarray, unit: int, *, loops: int = 3, rows: bool = True, borders: Sequence[int] = (), side: int = 0
) -> Iterator[Piece]:
    """Yield the pieces that together are all pairs, given in the order of either side; units of `unit` places, `rows`: those side by side
    on both sides become a row. The k-th merging does not cross multiples of `borders[k]` on the outside (side 0) or the inside (side 1),
    in whose order pieces are joined.

    >>> next(strided(np.array([0, 1, 4, 5]), np.array([0, 8, 1, 9]), 1)).levels
    (Level(count=2, outside=4, inside=1), Level(count=2, outside=1, inside=8))
    """
    if not outside.size:
        return
    places = np.stack([np.asarray(outside, np.int64), np.asarray(inside, np.int64)])
    shapes: list[Shape] = [(unit, ())]
    shape = np.zeros(outside.size, np.int64)
    cuts = [*borders, *[1 << 62] * (loops + 1)]
    if rows:
        places, shape, shapes = _rows(places, unit, cuts.pop(0), side)
    order = np.argsort(places[side], kind="stable")
    places, shape = places[:, order], shape[order]
    for cut in cuts[:loops]:
        if places.shape[1] == 1:
            break
        places, shape, shapes = _looped(places, shape, shapes, cut, side)
    for at in range(places.shape[1]):
        row, levels = shapes[shape[at]]
        yield Piece(int(places[0, at]), int(places[1, at]), row, levels)


def _rows(places: np.ndarray, unit: int, cut: int, side: int) -> tuple[np.ndarray, np.ndarray, list[Shape]]:
    """Join what lies side by side on both sides."""
    breaks = np.flatnonzero((np.diff(places, axis=1) != unit).any(0) | (np.diff(places[side] // cut) != 0)) + 1
    starts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([starts, [places.shape[1]]]))
    most = MOST_ROW // unit
    if counts.max() > most:
        starts = np.concatenate([np.arange(s, s + c, most) for s, c in zip(starts, counts, strict=True)])
        counts = np.diff(np.concatenate([starts, [places.shape[1]]]))
    sizes, shape = np.unique(counts, return_inverse=True)
    return places[:, starts], shape.reshape(-1), [(int(size) * unit, ()) for size in sizes]


def _looped(
    places: np.ndarray, shape: np.ndarray, shapes: list[Shape], cut: int, side: int
) -> tuple[np.ndarray, np.ndarray, list[Shape]]:
    """Join runs of equal pieces at equal distances into one with a further loop."""
    steps = np.diff(places, axis=1)
    equal = (shape[1:] == shape[:-1]) & (np.diff(places[side] // cut) == 0)
    fresh = np.concatenate([[True], (np.diff(steps, axis=1) != 0).any(0) | ~equal[1:] | ~equal[:-1]])
    first = np.flatnonzero(fresh)
    last = np.concatenate([first[1:] - 1, [steps.shape[1] - 1]])
    usable = equal[first]
    heads, counts = [], []
    taken = 0
    for a, b in zip(first[usable].tolist(), last[usable].tolist(), strict=True):
        start = max(a, taken)
        while start <= b:
            count = min(b + 2 - start, MOST_ITERATIONS)
            heads.append(start)
            counts.append(count)
            start = taken = start + count
    if not heads:
        return places, shape, shapes
    head, count = np.array(heads), np.array(counts)
    covered = np.zeros(places.shape[1] + 1, np.int64)
    np.add.at(covered, head + 1, 1)
    np.add.at(covered, head + count, -1)
    keep = np.cumsum(covered[:-1]) == 0
    made = list(shapes)
    known: dict[tuple[int, int, int, int], int] = {}
    new = shape.copy()
    for at, *key in zip(heads, shape[head].tolist(), counts, *steps[:, head].tolist(), strict=True):
        old, times, out, into = key
        number = known.setdefault((old, times, out, into), len(made))
        if number == len(made):
            row, levels = shapes[old]
            made.append((row, (Level(times, out, into), *levels)))
        new[at] = number
    return places[:, keep], new[keep], made
