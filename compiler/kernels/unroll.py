"""Pass: statements under loops -> the operations of one iteration, in program order.

    before   for word in 2: for pixel in 2: acc[pixel] = DOT(acc[pixel], x[0], k = 4*pixel + word, w[word])
    after    acc.0 = DOT c=acc.0 a=x.0 w=w.0 k=0
             acc.1 = DOT c=acc.1 a=x.0 w=w.0 k=4
             acc.0 = DOT c=acc.0 a=x.0 w=w.1 k=1
             acc.1 = DOT c=acc.1 a=x.0 w=w.1 k=5

Loops that a register block spans are unrolled whole: cells get a name an index. The first statement of a sum may read something else in place of the sum.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from compiler.kernels.body import Item

__all__ = ["At", "Loops", "Statement", "cell", "unroll"]

#: Iteration of each loop by name.
Loops = Mapping[str, int]
#: The index of a cell, or a number, in an iteration.
At = Callable[[Loops], tuple[int, ...]]
Number = Callable[[Loops], int]


def cell(name: str, *index: int) -> str:
    """Name of an element of an array of cells.

    >>> cell("acc", 1, 3)
    'acc.1.3'
    """
    return ".".join((name, *map(str, index)))


@dataclass(frozen=True, eq=False)
class Statement:
    """An operation under `loops` (name, iterations), outermost first; `result` and `reads` are arrays of cells with an index each, `numbers` its other
    fields. `first`: what it reads instead where `when` holds; `per_tile`: the same where a tile is several iterations, of its first one."""

    operation: str
    loops: tuple[tuple[str, int], ...]
    result: tuple[str, At] | None = None
    reads: Mapping[str, tuple[str, At]] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    stream: str = ""
    partial: bool = False
    first: Mapping[str, tuple[str, At]] = field(default_factory=dict)
    when: Callable[[Loops], bool] = lambda loops: False
    per_tile: bool = False


def _iterations(loops: Iterable[tuple[str, int]]) -> Iterator[dict[str, int]]:
    names, counts = zip(*loops, strict=True) if loops else ((), ())
    for index in itertools.product(*map(range, counts)):
        yield dict(zip(names, index, strict=True))


def unroll(statements: Iterable[Statement]) -> tuple[Item, ...]:
    """Operations of each statement in all iterations of its loops, statement by statement."""
    items: list[Item] = []
    for statement in statements:
        for loops in _iterations(statement.loops):
            reads = {name: cell(array, *at(loops)) for name, (array, at) in statement.reads.items()}
            first: dict[str, str] = {}
            if statement.first and statement.when(loops):
                first = {name: cell(array, *at(loops)) for name, (array, at) in statement.first.items()}
            if not statement.per_tile:
                reads, first = reads | first, {}
            items.append(Item(
                statement.operation, cell(statement.result[0], *statement.result[1](loops)) if statement.result else "", reads,
                {name: number(loops) for name, number in statement.numbers.items()}, statement.stream, statement.partial, first,
            ))
    return tuple(items)
