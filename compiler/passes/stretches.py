"""Since when each byte of a memory is free: a step function over its addresses."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

#: Of bytes where nothing ever stood.
NEVER = -1


class Stretches:
    """For every byte the last operation that uses what stands there.

    >>> past = Stretches()
    >>> past.fill(16, 48, 7)
    >>> past.fill(32, 64, 9)
    >>> [past.until(*stretch) for stretch in ((0, 16), (0, 17), (16, 32), (31, 33), (64, 80))]
    [-1, 7, 7, 9, -1]
    """

    __slots__ = ("_starts", "_untils")

    def __init__(self) -> None:
        self._starts, self._untils = [0], [NEVER]

    def until(self, lo: int, hi: int) -> int:
        """Last operation that uses one of the bytes [lo, hi), NEVER for none."""
        return max(self._untils[bisect_right(self._starts, lo) - 1 : bisect_left(self._starts, hi)])

    def fill(self, lo: int, hi: int, until: int) -> None:
        """Something used last by operation `until` stands at the bytes [lo, hi) from now on."""
        starts, untils = self._starts, self._untils
        first, last = bisect_right(starts, lo) - 1, bisect_left(starts, hi)
        if starts[first] < lo:  # what stood below lo stays
            first += 1
        if last == len(starts) or starts[last] != hi:  # and what stood from hi on
            starts[first:last], untils[first:last] = (lo, hi), (until, untils[last - 1])
        else:
            starts[first:last], untils[first:last] = (lo,), (until,)
