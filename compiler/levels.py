"""Which level of an engine's loop nest each loop of a codelet takes, found from the specification of its kind.

    before   loops oc, ky, kx, ic, oy, ox of a contraction;  streams a (levels 0-5, padding moved by 1 and 4, 2 and 5), w (a run over 0-3), c (0, 4, 5)
    after    {oc: 0, ky: 1, kx: 2, ic: 3, oy: 4, ox: 5}

A loop may take a level when every operand that it moves has a stride there, or runs over it, and no operand that it does not move runs over it;
when the result stays where it is at a loop that is reduced, or is told to (`Stream.folded`); and when a loop that moves a padded coordinate is at one of
the levels of that coordinate. Loops that move an operand which runs keep their order: it is that of the operand in memory. A loop that finds no
level iterates once an instruction: its iterations become tiles, a reduced one's where the result can be added to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from acg.kinds.spec import EngineKind, Offer, Stream

__all__ = ["CONTRACTION", "Loop", "levels_of"]


@dataclass(frozen=True)
class Loop:
    """A loop of a codelet: whether the result moves with it, which operands do by number, and which of the padded coordinates of operand 0 it moves, by
    number, -1 for none."""

    name: str
    result: bool
    operands: tuple[int, ...]
    axis: int = -1


#: The loops of a contraction, in the order of its weights: blocks of outputs, kernel, blocks of inputs; positions.
CONTRACTION = (
    Loop("oc", True, (1,)), Loop("ky", False, (0, 1), 0), Loop("kx", False, (0, 1), 1), Loop("ic", False, (0, 1)),
    Loop("oy", True, (0,), 0), Loop("ox", True, (0,), 1),
)  # fmt: skip


@cache
def levels_of(kind: EngineKind, offer: Offer, loops: Sequence[Loop]) -> Mapping[str, int]:
    """Levels of as many of the loops as possible; of several ways the one with the outermost levels for the first loops."""
    streams = tuple(kind.stream(prefix) for prefix in offer.operands), kind.stream(offer.result)
    count = max((max(stream.levels + stream.run[0], default=-1) for stream in (*streams[0], streams[1])), default=-1) + 1
    best: dict[str, int] = {}
    for found in _ways(streams, loops, count, {}):
        if len(found) > len(best):
            best = found
            if len(best) == len(loops):
                break
    return MappingProxyType(best)


def _ways(streams: tuple[tuple[Stream, ...], Stream], loops: Sequence[Loop], count: int, taken: dict[str, int]) -> Iterator[dict[str, int]]:
    """All ways to give levels to loops, in lexical order of their levels, a loop without one last."""
    if not loops:
        yield taken
        return
    loop, rest = loops[0], loops[1:]
    for level in range(count):
        if level not in taken.values() and _able(streams, loop, level) and _ordered(streams[0], loop, level, taken):
            yield from _ways(streams, rest, count, {**taken, loop.name: level})
    yield from _ways(streams, rest, count, taken)


def _able(streams: tuple[tuple[Stream, ...], Stream], loop: Loop, level: int) -> bool:
    operands, result = streams
    for number, stream in enumerate(operands):
        runs = level in stream.run[0]
        if (number in loop.operands and not (runs or level in stream.levels)) or (number not in loop.operands and runs):
            return False
        if 0 <= loop.axis < len(stream.axes) and level not in stream.axes[loop.axis].levels:
            return False
    moves = level in result.levels
    return moves if loop.result else not moves or level in result.folded[1]


def _ordered(operands: tuple[Stream, ...], loop: Loop, level: int, taken: Mapping[str, int]) -> bool:
    """Whether an operand that runs over this level does so over those of the loops before first."""
    return all(level not in stream.run[0] or all(other < level for other in taken.values() if other in stream.run[0]) for stream in operands)
