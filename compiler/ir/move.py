"""The IR node of all data movement: every element of the result is an element of an input, or a constant.

Element i of the result, in row-major order of (N, C, H, W), is element `index[i]` of the inputs' elements, counted in row-major order
through all inputs one after the other; a negative index -1-k stands for `constants[k]`, and one below the last of them for any value at
all, on which nothing may depend (`anything`).

A transposition of a 2x3 matrix, and its inverse, composed:

    >>> there = Move(np.arange(6).reshape(2, 3).T)
    >>> back = Move(np.arange(6).reshape(3, 2).T)
    >>> compose(back, [(6, there, (6,))])[0].index.tolist()
    [0, 1, 2, 3, 4, 5]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


def _nothing() -> np.ndarray:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, eq=False)
class Move:
    """`index` int64 (elements of the result,); `constants` int16 (K,): values of the result's type, any K >= 0."""

    index: np.ndarray
    constants: np.ndarray = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        for name, dtype in (("index", np.int64), ("constants", np.int16)):
            array = np.array(getattr(self, name), dtype).reshape(-1)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def is_identity(self) -> bool:
        """Whether element i is element i of the first input, for every i."""
        return bool(np.array_equal(self.index, np.arange(self.index.size)))

    @property
    def anything(self) -> int:
        """Index of elements that may hold anything."""
        return -1 - self.constants.size

    def apply(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Return the result's elements (elements,) for arrays of one type; what may hold anything holds 0."""
        constants = np.append(self.constants, 0)[::-1]
        pool = np.concatenate([*(a.reshape(-1) for a in inputs), constants.astype(inputs[0].dtype)])
        return pool[self.index]


#: An input of a Move: its elements, the Move that makes it (None: what it is stays) and the elements of each of that one's inputs.
Source = tuple[int, Move | None, tuple[int, ...]]


def compose(move: Move, sources: Sequence[Source]) -> tuple[Move, list[tuple[int, int]]]:
    """Return the Move that does at once what `move` does to the results of other Moves.

    Its inputs are (source, input of that source's Move), as the second result lists them; those that no element comes from are left out.
    """
    pool: list[np.ndarray] = []
    constants = [move.constants.astype(np.int64)]
    listed: list[tuple[int, int]] = []
    sizes: list[int] = []
    base, known = 0, move.constants.size
    for number, (elements, inner, inner_sizes) in enumerate(sources):
        index = np.arange(elements) if inner is None else inner.index
        shifted = np.where(index < 0, index - known, index + base)
        pool.append(shifted)
        if inner is not None:
            constants.append(inner.constants.astype(np.int64))
            known += inner.constants.size
        for part, size in enumerate(inner_sizes if inner is not None else (elements,)):
            listed.append((number, part))
            sizes.append(size)
            base += size
    table = np.concatenate(pool)
    found = np.where(move.index < 0, move.index, table[np.maximum(move.index, 0)])
    return _compact(found, np.concatenate(constants), sizes, listed)


def _compact(index: np.ndarray, constants: np.ndarray, sizes: list[int], listed: list[tuple[int, int]]) -> tuple[Move, list[tuple[int, int]]]:
    """Leave out inputs and constants that nothing is taken from; equal constants become one."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    owner = np.searchsorted(starts, np.maximum(index, 0), side="right") - 1
    owner = np.where(index < 0, -1, owner)
    new, kept, base = index.copy(), [], 0
    for number, size in enumerate(sizes):
        mine = owner == number
        if mine.any():
            new[mine] += base - starts[number]
            base += size
            kept.append(listed[number])
    values = np.zeros(0, np.int64)
    filled = index < 0
    if filled.any():
        values, place = np.unique(constants[-1 - index[filled]], return_inverse=True)
        new[filled] = -1 - place.reshape(-1)
    return Move(new, values), kept


def placed(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Return for each element of an (N, C, H, W) tensor, in row-major order, its place among them in memory: pixel by pixel, channels innermost."""
    n, c, h, w = shape
    return np.arange(n * h * w * c).reshape(n, h, w, c).transpose(0, 3, 1, 2).reshape(-1)


def keeps_places(move: Move, x: tuple[int, int, int, int], y: tuple[int, int, int, int]) -> bool:
    """Return whether a Move of one tensor leaves every element at its channel and at its pixel, counted through all images."""
    if x[1] != y[1] or np.prod(x) != np.prod(y) or move.index.min() < 0:
        return False
    return bool(np.array_equal(placed(x)[move.index], placed(y)))


@dataclass(frozen=True)
class Origins:
    """Where each element of a result comes from: its place in the memory of all inputs together (-2: from none), and whether it opens a pixel there."""

    place: np.ndarray
    opens: np.ndarray
    stays: Callable[[tuple[int, int, int, int]], bool]


def origins(move: Move, inputs: Sequence[tuple[int, int, int, int]]) -> Origins:
    """What `neighbours` asks of a Move and the views of its inputs, whatever the view of the result."""
    starts = np.cumsum([0, *(int(np.prod(s)) + 1 for s in inputs)])
    places = [placed(s) for s in inputs]
    table = np.concatenate([start + place for start, place in zip(starts, places, strict=False)])
    first = np.concatenate([place % s[1] == 0 for place, s in zip(places, inputs, strict=True)])
    known = np.maximum(move.index, 0)
    return Origins(np.where(move.index < 0, -2, table[known]), np.where(move.index < 0, True, first[known]),
                   lambda y: len(inputs) == 1 and keeps_places(move, inputs[0], y))


def neighbours(found: Origins, y: tuple[int, int, int, int]) -> int:
    """Return how many elements stand behind the same element of their pixel as in the input: the more, the longer the copies of a Move.

    A Move that leaves everything at its place counts for more than any that does not.
    """
    ordered, breaks = (array.reshape(y).transpose(0, 2, 3, 1).reshape(-1) for array in (found.place, found.opens))
    follows = (np.diff(ordered) == 1) & ~breaks[1:]
    follows[y[1] - 1 :: y[1]] = False  # what opens a pixel of the result
    return int(follows.sum()) + ordered.size * found.stays(y)
