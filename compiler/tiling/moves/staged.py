"""Movement of whole words to external memory by way of a staging memory.

    before   y outside, its words from here and there: a burst a word or two
    after    chunk by chunk: [load what the chunk needs] vector copies into a staging buffer, one store of the whole chunk

Only where every word of y keeps its lanes and comes from one place, and where bursts would cost more than the copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acg.graph import Memory
from compiler.target import VectorUnit
from compiler.tiling.moves.parts import Part
from compiler.tiling.tile_context import TileContext

#: Numbers of chunks that are tried, fewest first: the first that fits its room is taken.
CHUNKS = (8, 16, 32, 64, 128)
#: Staging pays when it takes at most this part of the time of copies in place.
WORTH = 0.8
#: Part of the free room of the staging memory that the buffers of a chunk may take: the next chunk's stand beside them.
ROOM = 0.4


@dataclass(frozen=True, eq=False)
class Source:
    """The words of a chunk that come from one part: word numbers in the chunk and in the source, from byte `first` for `size` bytes."""

    part: Part
    to: np.ndarray
    of: np.ndarray
    first: int
    size: int


@dataclass(frozen=True)
class Chunk:
    """Bytes [start, start + size) of y and what they are made of."""

    start: int
    size: int
    sources: tuple[Source, ...]


def burst_cycles(context: TileContext, memory: Memory) -> float:
    """Cycles of a store's short row: outstanding bursts wait for their responses, see `acg.timing.dma`."""
    path = context.target.store_path(memory)
    return max(1.0, (context.target.external.write_latency_cycles + memory.read_latency_cycles + 5) / path.engine.number("outstanding_bursts"))


def _words(part: Part, lanes: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Word numbers in y and in the source, one a word; None where lanes change or a word is put together."""
    word = part.to // lanes
    first = np.concatenate([[True], np.diff(word) != 0])
    if part.operand is None:
        return (word[first], part.of[first]) if (np.diff(part.of)[~first[1:]] == 0).all() else None
    if (part.of % lanes != part.to % lanes).any() or (np.diff(part.of // lanes)[~first[1:]] != 0).any():
        return None
    return word[first], part.of[first] // lanes


def staged_chunks(
    context: TileContext, parts: list[Part], size_bytes: int, row_bytes: int, vector: VectorUnit, memory: Memory, resident: Callable[[Part], bool]
) -> list[Chunk]:
    """The chunks by which the parts of a result of `size_bytes` go through `memory`; none where that does not pay or fit."""
    lanes, bus = vector.lanes, context.target.external.bus_bytes
    burst = burst_cycles(context, memory)
    rows = sum(1 + int(((np.diff(p.to) != 1) | (np.diff(p.of) != 1)).sum()) for p in parts if p.operand is not None)
    overlapped = (1 + 1 / CHUNKS[0]) * max(size_bytes / lanes, size_bytes / bus)  # a chunk is copied while the one before is stored
    if overlapped > WORTH * rows * burst:
        return []
    found = [_words(part, lanes) for part in parts]
    words = [f for f in found if f is not None]
    if len(words) < len(parts) or np.unique(np.concatenate([w[0] for w in words])).size < sum(w[0].size for w in words):
        return []
    room = context.budget_bytes.get(memory.name, 0) * ROOM
    for count in CHUNKS:
        size = -(-size_bytes // row_bytes // count) * row_bytes
        made = [_chunk(parts, words, start, min(size, size_bytes - start), lanes) for start in range(0, size_bytes, size)]
        loaded = [sum(s.size for s in c.sources if s.part.operand is not None and not resident(s.part)) for c in made]
        if all(c.size + extra <= room for c, extra in zip(made, loaded, strict=True)):
            return made if sum(loaded) <= 2 * size_bytes else []
    return []


def _chunk(parts: list[Part], words: list[tuple[np.ndarray, np.ndarray]], start: int, size: int, lanes: int) -> Chunk:
    sources = []
    for part, (to, of) in zip(parts, words, strict=True):
        mine = (to >= start // lanes) & (to < (start + size) // lanes)
        if mine.any():
            first = 0 if part.operand is None else int(of[mine].min()) * lanes
            end = 0 if part.operand is None else int(of[mine].max() + 1) * lanes
            sources.append(Source(part, to[mine] - start // lanes, of[mine], first, end - first))
    return Chunk(start, size, tuple(sources))
