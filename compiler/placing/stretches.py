"""Numbers along a memory: a step function over its addresses, as for the last operation that uses each byte."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

#: Of bytes where nothing was ever filled in.
NEVER = -1


class Stretches:
    """A number for every byte.

    >>> last = Stretches()
    >>> last.fill(16, 48, 7)
    >>> last.fill(32, 64, 9)
    >>> [last.greatest(*stretch) for stretch in ((0, 16), (0, 17), (16, 32), (31, 33), (64, 80))]
    [-1, 7, 7, 9, -1]
    """

    __slots__ = ("_numbers", "_starts")

    def __init__(self) -> None:
        #: Where each stretch begins, the first at 0; it ends where the next one begins. Neighbours may have one number.
        self._starts, self._numbers = [0], [NEVER]

    def copy(self) -> Stretches:
        """An equal function that changes on its own."""
        other = Stretches()
        other._starts, other._numbers = list(self._starts), list(self._numbers)
        return other

    def greatest(self, lo: int, hi: int) -> int:
        """Greatest number of the bytes [lo, hi), which are at least one; NEVER where none was filled in."""
        first = bisect_right(self._starts, lo) - 1
        end = bisect_left(self._starts, hi, first)
        return self._numbers[first] if end == first + 1 else max(self._numbers[first:end])

    def fill(self, lo: int, hi: int, number: int) -> None:
        """The bytes [lo, hi) have this number from now on."""
        starts, numbers = self._starts, self._numbers
        first, last = bisect_right(starts, lo) - 1, bisect_left(starts, hi)
        if starts[first] < lo:  # the part below lo keeps its number
            first += 1
        if last == len(starts) or starts[last] != hi:  # and so does what follows hi
            starts[first:last], numbers[first:last] = (lo, hi), (number, numbers[last - 1])
        else:
            starts[first:last], numbers[first:last] = (lo,), (number,)
