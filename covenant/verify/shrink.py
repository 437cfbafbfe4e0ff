"""Smaller failures: drop what does not matter, as long as it still fails."""

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrink"]

Item = TypeVar("Item")


def shrink(items: Sequence[Item], fails: Callable[[list[Item]], bool], *, tries: int) -> list[Item]:
    """Drop runs of items, halves first, then ever shorter ones, while ``fails`` holds for what is left.

    ``items`` itself is known to fail; ``fails`` is called at most ``tries`` times. The order of what is left is kept. The result is
    minimal in that no single item can be dropped, unless the tries ran out.
    """
    kept = list(items)
    length = len(kept) // 2
    while length and tries > 0:
        dropped = False
        position = len(kept)
        while position > 0 and tries > 0:
            first = max(0, position - length)
            candidate = kept[:first] + kept[position:]
            position = first
            if candidate:
                tries -= 1
                if fails(candidate):
                    kept, dropped = candidate, True
        if length == 1 and not dropped:
            break
        length = max(1, length // 2)
    return kept
