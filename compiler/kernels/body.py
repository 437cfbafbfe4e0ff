"""A loop body before it is scheduled: operations on cells, in program order.

A *cell* is a value in a register that one operation writes, or several one after the other (a sum that grows, a register filled by quarters); who reads it
sees what those before it in program order have written. A cell that is read before it is written holds what the iteration before left. A cell that nothing
in the body writes is a constant: the prologue loads it, and it keeps its register.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Body", "Item"]

_NONE: Mapping[str, str] = {}
_NO_NUMBERS: Mapping[str, int] = {}


@dataclass(frozen=True, eq=False)
class Item:
    """An operation that has no slot, time or registers yet.

    Attributes
    ----------
    operation : str
    result : str
        The cell that it writes, "" for none.
    reads : Mapping[str, str]
        Cell for each field that names a register it reads.
    numbers : Mapping[str, int]
        Its other fields.
    stream : str
        The stream that it takes one step of, "" for none.
    partial : bool
        It writes some bytes of its cell and leaves the others.
    first : Mapping[str, str]
        Cells that it reads instead in the first iteration of a tile.
    """

    operation: str
    result: str = ""
    reads: Mapping[str, str] = field(default_factory=lambda: _NONE)
    numbers: Mapping[str, int] = field(default_factory=lambda: _NO_NUMBERS)
    stream: str = ""
    partial: bool = False
    first: Mapping[str, str] = field(default_factory=lambda: _NONE)

    def __str__(self) -> str:
        fields = [f"{name}={value}" for name, value in (*self.reads.items(), *self.numbers.items())]
        return f"{self.result + ' = ' if self.result else ''}{self.operation} {' '.join(fields)}{' on ' + self.stream if self.stream else ''}"


@dataclass(frozen=True, eq=False)
class Body:
    """A kernel before it is scheduled.

    Attributes
    ----------
    items : tuple[Item, ...]
        One iteration, in program order.
    constants : tuple[Item, ...]
        What the prologue does: loads of the cells that the iterations only read, in the order of their streams.
    ending : tuple[Item, ...]
        Where a tile is several iterations: what follows its last one, beside the first ones of the next tile. Each reads cells of `items` or of `ending`.
    idle : int
        Packets of an iteration that are left free for what follows the last one.
    lead : int
        Packets by which an iteration begins later than what follows the last one of the tile before.
    """

    items: tuple[Item, ...]
    constants: tuple[Item, ...]
    ending: tuple[Item, ...] = ()
    idle: int = 0
    lead: int = 0

    @property
    def written(self) -> frozenset[str]:
        """Cells that an iteration writes."""
        return frozenset(item.result for item in self.items if item.result)

    @property
    def kept(self) -> tuple[str, ...]:
        """Cells of the constants, each once."""
        return tuple(dict.fromkeys(item.result for item in self.constants if item.result))
