"""Which points are tried: ask for the next ones, tell what they came to.

Points are asked for in rounds of a fixed number and told in their order, whatever the number of workers: the same seed tries the same points.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice, product
from typing import Protocol

from covenant.explore.front import front
from covenant.explore.space import Point, Space

__all__ = ["Search", "search_of"]

#: Of the points of a round of the local search one in so many is drawn from the whole space.
_ANYWHERE = 8
#: Draws a point of a round after which the local search is content with fewer points.
_MOST_DRAWS = 40

Values = tuple[float, ...] | None


class Search(Protocol):
    """``ask`` gives points that were not asked for before, none when there are no more; ``tell`` their values, None where refused."""

    def ask(self) -> list[Point]: ...

    def tell(self, values: list[Values]) -> None: ...


def search_of(space: Space) -> Search:
    """The search that a space names; a space of no more points than are to be tried is searched exhaustively by every method."""
    if space.method == "exhaustive" or space.size <= space.points:
        return Exhaustive(space)
    if space.method == "local":
        return Local(space)
    from covenant.explore.search_optuna import OptunaSearch

    return OptunaSearch(space)


class Exhaustive:
    """All points in the order of the file, the last dimension fastest."""

    def __init__(self, space: Space) -> None:
        self._round = space.round
        self._left: Iterator[Point] = product(*(range(len(dimension.values)) for dimension in space.dimensions))

    def ask(self) -> list[Point]:
        return list(islice(self._left, self._round))

    def tell(self, values: list[Values]) -> None:
        """Nothing follows from them."""


class Local:
    """A seeded local search: neighbours of the front's points (one dimension one or two values on, sometimes two dimensions), and some from anywhere.

    It begins with the base and points from anywhere. A front's point whose neighbours have all been tried is left alone.
    """

    def __init__(self, space: Space) -> None:
        self._sizes = tuple(len(dimension.values) for dimension in space.dimensions)
        self._random, self._round = random.Random(space.seed), space.round
        self._tried: dict[Point, Values] = {}
        self._asked: list[Point] = []
        self._first: list[Point] = [space.base_point()]

    def ask(self) -> list[Point]:
        best = self._best()
        self._asked = list(self._first)
        self._first = []
        draws = 0
        while len(self._asked) < self._round and draws < _MOST_DRAWS * self._round:
            draws += 1
            anywhere = not best or self._random.randrange(_ANYWHERE) == 0
            point = self._anywhere() if anywhere else self._neighbour(best[self._random.randrange(len(best))])
            if point not in self._tried and point not in self._asked:
                self._asked.append(point)
        if not self._asked:  # the rest of a space that is nearly done
            everything = product(*(range(size) for size in self._sizes))
            self._asked = list(islice((point for point in everything if point not in self._tried), self._round))
        return self._asked

    def tell(self, values: list[Values]) -> None:
        self._tried.update(zip(self._asked, values, strict=True))

    def _best(self) -> list[Point]:
        feasible = [(point, value) for point, value in self._tried.items() if value is not None]
        return [feasible[place][0] for place in front([value for _, value in feasible])]

    def _anywhere(self) -> Point:
        return tuple(self._random.randrange(size) for size in self._sizes)

    def _neighbour(self, point: Point) -> Point:
        moved = list(point)
        for _ in range(1 + (self._random.randrange(3) == 0)):
            place = self._random.randrange(len(moved))
            step = self._random.choice((-2, -1, 1, 2))
            moved[place] = min(self._sizes[place] - 1, max(0, moved[place] + step))
        return tuple(moved)
