"""What a compilation decides where several ways are open, by name: `tile conv_3`, `engines conv_3`, `home conv_3_output`.

    before   decide("tile conv_3", six ways that fit, cheapest first)
    after    the first, or the one whose number was given; and a note that there are six

The first way is the compiler's own, so that a compilation to which nothing is given is the usual one. Who searches gives other numbers (`search`);
the numbers that led to a program stand in its file, and lead to the same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from compiler.errors import CompilerError

__all__ = ["SHORTLIST", "Decisions"]

#: So many ways of one decision are open at most.
SHORTLIST = 8

Way = TypeVar("Way")


class Decisions:
    """Numbers of the ways to take, by name of the decision; 0 where none is given. `open`: how many ways each had that was met, kept from one to the next."""

    def __init__(self, given: Mapping[str, int] | None = None, met: dict[str, int] | None = None) -> None:
        self.given = {name: number for name, number in (given or {}).items() if number}
        self.open: dict[str, int] = {} if met is None else met

    def number(self, name: str, ways: int) -> int:
        """The way to take of so many. Of fewer than the number given, as where less is on chip for a while, the last."""
        ways = min(ways, SHORTLIST)
        if ways > self.open.get(name, 1):
            self.open[name] = ways
        return min(self.given.get(name, 0), max(0, ways - 1))

    def decide(self, name: str, ways: Sequence[Way]) -> Way:
        """One of the ways, which are at least one."""
        return ways[self.number(name, len(ways))]

    def cheapest(self, name: str, ways: Sequence[Way], price: Callable[[Way], float]) -> Way:
        """The cheapest of the ways, or the one that is so manieth; of equal ones the first."""
        number = self.number(name, len(ways))
        if not number:
            return min(ways, key=price)
        ranked: dict[float, Way] = {}
        for way in ways:
            ranked.setdefault(price(way), way)  # of ways that cost the same one is enough
        return ranked[sorted(ranked)[min(number, len(ranked) - 1)]]

    def of(self, layer: str) -> tuple[tuple[str, int], ...]:
        """What is given for a layer."""
        return tuple((name, number) for name, number in self.given.items() if name.partition(" ")[2] == layer) if self.given else ()

    def unread(self) -> list[str]:
        """Names of what was given and led to nothing: no such decision was met, or none with so many ways."""
        return [name for name, number in self.given.items() if number >= self.open.get(name, 1)]

    def require_read(self, network: str) -> None:
        """Refuse what was given and led to nothing. Raises CompilerError."""
        unread = self.unread()
        if unread:
            name = unread[0]
            ways = self.open.get(name, 0)
            raise CompilerError(
                f"network {network}: choice {name!r}", found=f"number {self.given[name]}" + (f" and {len(unread) - 1} others like it" if unread[1:] else ""),
                expected=f"a number below {ways}" if ways else "a decision that this compilation meets",
                do="use choices of this network on this machine and of this version, or search anew with --optimise",
            )
