"""Copies between external memory and memory on chip: rows under loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from acg.graph import Engine, Graph
from acg.kinds import kind_of
from acg.kinds.spec import Stream
from compiler.tiles import Ref, View
from compiler.tiling.nest import Nest
from compiler.tiling.tensor_buffers import Box


@dataclass(frozen=True)
class Level:
    """One loop of a copy: iterations and strides in bytes on both sides."""

    count: int
    outside: int
    inside: int


def copy_nest(graph: Graph, engine: Engine, outside: Ref, inside: Ref, row_bytes: int, levels: Sequence[Level]) -> Nest:
    """A copy of rows under loops, outermost first; contiguous loops are merged into the row, the others take the innermost levels that there are."""
    levels = [level for level in levels if level.count > 1]
    while levels and levels[-1].outside == levels[-1].inside == row_bytes and row_bytes * levels[-1].count < 1 << 20:
        row_bytes *= levels.pop().count
    out, near = _sides(engine.kind)
    if len(levels) > len(near.levels):
        raise AssertionError(f"copy of {len(levels)} loops, at most {len(near.levels)} fit an instruction")
    names = [f"loop {number}" for number in range(len(levels))]
    places = dict(zip(names, near.levels[len(near.levels) - len(levels) :], strict=True))
    counts = {name: level.count for name, level in zip(names, levels, strict=True)}
    nest = Nest(graph, engine, places | {"row": near.row}, counts | {"row": row_bytes})
    nest.stream(out.prefix, outside.buffer, outside.offset, {name: level.outside for name, level in zip(names, levels, strict=True)})
    return nest.stream(near.prefix, inside.buffer, inside.offset, {name: level.inside for name, level in zip(names, levels, strict=True)})


@cache
def _sides(kind: str) -> tuple[Stream, Stream]:
    """The streams of a kind that copies: on external memory, and on chip."""
    specification = kind_of(kind)
    streams = {"external" in specification.port(stream.ports[0]).memories: stream for stream in specification.streams}
    return streams[True], streams[False]


def pixel_levels(outside: View, inside: View, box: Box) -> list[Level]:
    """The loops over the pixels of a box."""
    n0, n1, y0, y1, x0, x1 = box[:6]
    return [
        Level(n1 - n0, outside.image_bytes, inside.image_bytes),
        Level(y1 - y0, outside.row_bytes, inside.row_bytes),
        Level(x1 - x0, outside.pixel_bytes, inside.pixel_bytes),
    ]


__all__ = ["Level", "copy_nest", "pixel_levels"]
