"""Pass: a layer of a vector unit goes beside the layer whose result it reads, row by row, before anything has a place.

    before   matrix layer a: a0 a1 a2 .. a9    pool b: b0 b1 b2 .. b4
    after    a0 a1 b0 a2 a3 b1 ..              each operation of b behind the last one of a that makes what it reads

Buffers are placed in the order of their first use and rotate. In the order of layers a buffer of b goes where one of the last of a was, so that b waits for a
to end; beside each other they live in different places. The operations of each layer keep their order, and the scheduler may still change all of it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import groupby

from acg.machine import Machine
from compiler.ordering.emit import emit
from compiler.tiles import Buffer, TileOp

__all__ = ["follow"]

#: Bytes [lo, hi) of a buffer.
Span = tuple[int, int]
#: Of an operation the bytes that it reads, and those that it writes, of each memory.
Spans = dict[TileOp, tuple[dict[str, Span], dict[str, Span]]]


def follow(ops: Sequence[TileOp], machine: Machine, followers: Container[int], known: Spans | None = None) -> list[TileOp]:
    """Operations in the new order: layers that are among the `followers`, by number, beside the one in front of them. `known`: what is known of operations,
    kept from one call to the next."""
    known = {} if known is None else known
    result: list[TileOp] = []
    group: list[TileOp] = []
    for number, layer in groupby(ops, key=lambda op: op.layer):
        own = list(layer)
        if group and number in followers:
            group = list(_merged(group, own, machine, known))
        else:
            result += group
            group = own
    return result + group


def _merged(first: list[TileOp], second: list[TileOp], machine: Machine, known: Spans) -> Iterator[TileOp]:
    """Two sequences as one, each in its order, an operation of the second behind all of the first that it depends on."""
    _learn([*first, *second], machine, known)
    made = _writes(first, known)
    touched: dict[Buffer, int] = {}
    for position, op in enumerate(first):
        for buffer in (*op.reads, *op.writes):
            touched[buffer] = position
    place = 0
    for op in second:
        needed, spans = 0, known[op][0]
        for buffer in (*op.reads, *op.writes):
            if buffer not in touched or (buffer.content is not None):
                continue
            written = made.get(buffer)
            if buffer in op.writes or written is None or buffer.memory.name not in spans:
                behind = touched[buffer] + 1 if buffer in op.writes or written is not None else 0
            else:
                lo, hi = spans[buffer.memory.name]
                behind = max((position + 1 for position, (a, b) in written if a < hi and lo < b), default=0)
            needed = max(needed, behind)
        while place < needed:
            yield first[place]
            place += 1
        yield op
    yield from first[place:]


def _writes(ops: list[TileOp], known: Spans) -> dict[Buffer, list[tuple[int, Span]]]:
    """For each buffer the operations that write it, by position, and the bytes that each writes."""
    made: dict[Buffer, list[tuple[int, Span]]] = {}
    for position, op in enumerate(ops):
        for buffer in op.writes:
            made.setdefault(buffer, []).append((position, known[op][1].get(buffer.memory.name, (0, buffer.size_bytes))))
    return made


def _learn(ops: list[TileOp], machine: Machine, known: Spans) -> None:
    """For each operation the bytes that it touches of each memory: from the first to the last, in buffers that all begin at 0."""
    new = [op for op in ops if op not in known]
    buffers = {buffer: buffer.address for op in new for buffer in (*op.reads, *op.writes)}
    for buffer in buffers:
        buffer.address = 0
    try:
        instructions = emit(new, machine)
    finally:
        for buffer, address in buffers.items():
            buffer.address = address
    for op, instruction in zip(new, instructions, strict=True):
        spans: tuple[dict[str, Span], dict[str, Span]] = {}, {}
        for access in machine.footprints(instruction):
            side = spans[access.write]
            lo, hi = side.get(access.memory, (access.lo_byte, access.hi_byte))
            side[access.memory] = min(lo, access.lo_byte), max(hi, access.hi_byte)
        known[op] = spans
