"""Pass: a micro-program -> kernels, one after the other, with what is between them in memory.

    before   m = largest(x); e0 = table0(x - m); e1 = table1(x - m); S = total(255 e0 + e1); r = 1 / S; y = (255 e0 + e1) * r
    after    by vectors  m                          reads x                 leaves m
             by planes   e0, e1                     reads x, m              leaves e0, e1
             by vectors  S, r                       reads e0, e1            leaves r
             by planes   y                          reads e0, e1, r         leaves y

What is one a pixel has an iteration for each vector of pixels, in which reductions read all planes; what is one an element an iteration for each plane
of each vector. Where there is one plane both are the same. A segment takes tasks as long as parameter sets, tables, streams and zero points last, and
is cut in two where its kernel does not fit registers and packets. Values that others read stand in a *frame*: value after value, each of all planes of all
vectors of pixels, so that what a kernel reads is a run of values and what it writes another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from compiler.codelets import Codelet
from compiler.codelets.rows.row_program import Lookup, Neighbours, PixelSum, RowProgram
from compiler.kernels.core import Core, Misfit
from compiler.kernels.rows.operands import Places
from compiler.kernels.rows.pieces import Cutter, Piece
from compiler.kernels.rows.segments import Band, Cut, Pixels, Segment
from compiler.kernels.rows.values import Rows
from compiler.target import CoreUnit

__all__ = ["cut", "cut_for"]


def cut(program: RowProgram, channels: dict[str, int], core: Core, tables: int) -> Cut:
    """Cut a micro-program into kernels: `channels` of each tensor, `tables` that are seen at once. Raises Misfit where the core can hold none."""
    signed = program.values["x"].dtype == "i8"
    rows = Rows(program, channels, core.granule_bytes, signed)
    inputs = [name for name in channels if name != "y"]
    direct = "x" if "x" in inputs and not program.of_images else ""
    why = Misfit("no input")
    for choice in dict.fromkeys((direct, "")):
        try:
            return _whole(Cutter(rows, core, tables, choice))
        except Misfit as misfit:
            why = misfit
    raise why


def _whole(cutter: Cutter) -> Cut:
    pieces = cutter.pieces()
    while True:
        made = _segments(cutter, pieces)
        if isinstance(made, Cut):
            return made
        number, misfit = made
        count = len(pieces[number].tasks)
        if count == 1:
            raise misfit
        halves = [Piece(part, pieces[number].kind) for part in (pieces[number].tasks[: count // 2], pieces[number].tasks[count // 2 :])]
        pieces = [*pieces[:number], *halves, *pieces[number + 1 :]]


def _segments(cutter: Cutter, pieces: list[Piece]) -> Cut | tuple[int, Misfit]:
    """The segments of pieces; or which of them does not fit, and why."""
    rows = cutter.rows
    places: dict[str, list[str]] = {"frame": [], "pixels": [], "channels": []}
    entered: dict[str, int] = {}
    for name in cutter.inputs:
        if name != cutter.direct and name not in cutter.outside:
            among = places[cutter.place_of(name)]
            entered[name] = len(among)
            among.append(name)
    segments: list[Segment | Band | Pixels] = []
    for number, piece in enumerate(pieces):
        rest = [task for later in pieces[number:] for task in later.tasks]
        whole = cutter.piece(piece.tasks, piece.kind, rest)
        try:
            if piece.kind == "alone":
                segments.append(_alone(cutter, whole, places))
            else:
                segments.append(_segment(cutter, whole, places))
        except Misfit as misfit:
            return number, misfit
    return Cut(rows, tuple(segments), entered, *(len(places[name]) for name in ("frame", "pixels", "channels")))


def _segment(cutter: Cutter, whole: Piece, places: dict[str, list[str]]) -> Segment:
    """The segment of a piece; what it leaves gets places."""
    rows, wanted = cutter.rows, cutter.places(whole)
    spans = [_run(names, places[among]) for names, among in ((wanted.frame, "frame"), (wanted.pixels, "pixels"), (wanted.channels, "channels"))]
    named = [tuple(_named(places[among], span, names)) for span, names, among in
             zip(spans, (wanted.frame, wanted.pixels, wanted.channels), ("frame", "pixels", "channels"), strict=True)]  # fmt: skip
    emitter, streams, shape = cutter.shape(whole, Places(wanted.direct, named[0], wanted.sums, named[1], named[2]))
    vectors = [vector for name in whole.leaves for vector in cutter.vectors(name)]
    stores = cutter.place_of(whole.leaves[0]) if whole.leaves else "frame"
    first = len(places[stores]) if stores != "y" else 0
    repeated = {cell: np.tile(np.frombuffer(content, np.uint8), (rows.planes, 1)) for cell, content in emitter.shared.items()}
    by_plane = tuple((emitter.by_plane | repeated)[cell] for cell in cutter.each_plane(emitter, streams))
    if stores != "y":
        places[stores] += vectors
    return Segment(
        whole.kind, shape, cutter.planes(whole), {name: f"in{i}" for i, name in enumerate(streams)}, wanted.direct, wanted.sums, spans[0], spans[1], spans[2],
        stores, first, len(vectors), tuple(emitter.shared.values()) if "constants" in streams else (), by_plane, tuple(emitter.sets),
        {role: (int(sign or 0), int(zero or 0)) for role, (sign, zero) in emitter.numbers.items()},
    )  # fmt: skip


def _alone(cutter: Cutter, whole: Piece, places: dict[str, list[str]]) -> Band | Pixels:
    """The segment of a product, or of a sum over pixels."""
    rows, (task,) = cutter.rows, whole.tasks
    if isinstance(task.step, PixelSum):
        if len(task.reads) > 1:
            raise Misfit("a sum over pixels of sums over channels that have several parts")
        (name,), narrow = task.reads, rows.narrow(task.reads[0])
        _nothing_outside(rows, task.step.operand)
        places["channels"].append(task.result)
        return Pixels(places["frame"].index(name) if narrow else -1, "" if narrow else name, rows.zero(name) if narrow else 0, len(places["channels"]) - 1)
    names = [name for name, _ in task.terms]
    outside = len(names) == 1 and names[0] in rows.channels and not rows.program.of_images
    if not outside:
        at = [places["frame"].index(name) for name in names]
        if at != list(range(at[0], at[0] + len(at))):
            raise Misfit("a sum over channels of values that do not stand side by side")
    granule = rows.granule
    padded = [np.pad(weights, ((0, 0), (0, -weights.shape[1] % granule))) for _, weights in task.terms]
    entered = -1
    if task.result != cutter.sums and any(task.result in other.reads for other in cutter.tasks if not other.alone):
        entered = len(places["frame"])
        places["frame"] += cutter.vectors(task.result)
    natural = rows.value(names[0])
    return Band(
        task.result, names[0] if outside else "", -1 if outside else at[0], np.concatenate(padded, 1), natural.zero if outside else rows.zero(names[0]),
        natural.dtype == "i8" if outside else rows.signed, entered,
    )  # fmt: skip


def _nothing_outside(rows: Rows, name: str) -> None:
    """Pixels beyond the last of a vector have to count as nothing. Raises Misfit where they do not."""
    for step in rows.program.steps:
        if step.result == name and isinstance(step, Neighbours):
            for term, _ in step.terms:
                _nothing_outside(rows, term)
            return
        if step.result == name and isinstance(step, Lookup) and step.a in rows.channels:
            value = rows.value(name)
            if int(step.table.astype(np.uint8)[rows.value(step.a).zero & 255]) == value.zero & 255:
                return
    if name not in rows.channels:
        raise Misfit("a sum over pixels of what is something where there is no pixel")


def _run(wanted: Sequence[str], among: Sequence[str]) -> range:
    """Places from the first to the last of what is wanted."""
    places = [among.index(name) for name in wanted]
    return range(min(places), max(places) + 1) if places else range(0)


def _named(among: Sequence[str], span: range, wanted: Sequence[str]) -> list[str]:
    """Names of a run of places; what nobody wants gets a name that nobody reads."""
    return [among[place] if among[place] in wanted else f"~{place}" for place in span]


@lru_cache(maxsize=256)
def _cut(program: RowProgram, channels: tuple[tuple[str, int], ...], core: Core, tables: int) -> Cut | str:
    try:
        return cut(program, dict(channels), core, tables)
    except Misfit as misfit:
        return str(misfit)


def cut_for(codelet: Codelet, unit: CoreUnit) -> Cut:
    """The kernels of a codelet's micro-program. Raises Misfit where the core can hold none."""
    assert codelet.program is not None, f"{codelet.name} is no micro-program"
    channels = tuple((role, operand.shape[1]) for role, operand in codelet.operands.items())
    found = _cut(codelet.program, channels, unit.core, unit.table_or_none.banks if unit.table_or_none is not None else 0)
    if isinstance(found, str):
        raise Misfit(found)
    return found
