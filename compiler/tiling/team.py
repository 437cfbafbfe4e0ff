"""Members of a team work on one layer at the same time: their tiles follow each other in the order in which their engines are predicted to be free.

    before   tiles of member 0: a b c d          tiles of member 1: A B C
    after    a A b B c C d

Buffers are placed in this order, so that those of two members are alive together and share no bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.tiling.tile_context import TileContext


def together(context: TileContext, works: Sequence[Iterator[None]]) -> None:
    """Run works that emit a tile at each step: always the one whose busiest engine has had least to do."""
    busy: list[dict[str, int]] = [{} for _ in works]
    waiting = dict.fromkeys(range(len(works)), 0)
    done = object()
    while waiting:
        number = min(waiting, key=lambda each: (waiting[each], each))
        first = len(context.ops)
        if next(works[number], done) is done:
            del waiting[number]
            continue
        for op in context.ops[first:]:
            if op.engine in context.computing:
                counts = [count for level in range(6) if isinstance(count := op.fields.get(f"n_{level}", 1), int)]
                busy[number][op.engine] = busy[number].get(op.engine, 0) + context.occupancy.cycles(op.engine, *counts)
        waiting[number] = max(busy[number].values(), default=0)
