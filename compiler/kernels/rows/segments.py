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
from dataclasses import dataclass, field

import numpy as np

from compiler.codelets.rows.row_program import RowProgram
from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.recipes.rows import RowKernel, earliest, fitted, frozen
from compiler.kernels.rows.emit import Emitter, Places, Setting
from compiler.kernels.rows.values import QUARTERS, Rows, Task, tasks

__all__ = ["Cut", "Segment", "cut"]

#: Operations that are looked at together: more are cut without trying.
MOST_ITEMS = 320
@dataclass(frozen=True, eq=False)
class Segment:
    """A kernel and what its instruction needs.

    Attributes
    ----------
    by_planes : bool
        An iteration is a plane of a vector of pixels, else a vector of pixels.
    shape : RowKernel
    planes : range
        Planes that it reads of each pixel.
    streams : Mapping[str, str]
        'direct', 'frame', 'pixels', 'constants', 'planes' -> in-stream.
    direct : str
        The tensor that it reads where it stands.
    frame, pixels : range
        Vectors that it reads of the frame, and of the values one a pixel.
    stores : str
        'y', 'frame' or 'pixels'; `first` of the vectors that it writes there, of which there are `count`.
    shared, by_plane : tuple
        Constants: vectors, and arrays of a vector a plane.
    settings, numbers
        Parameter sets; sign and zero point of both operands.
    """

    by_planes: bool
    shape: RowKernel
    planes: range
    streams: dict[str, str]
    direct: str
    frame: range
    pixels: range
    stores: str
    first: int
    count: int
    shared: tuple[bytes, ...]
    by_plane: tuple[np.ndarray, ...]
    settings: tuple[Setting, ...]
    numbers: dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Cut:
    """Segments in order; `entered`: tensors that first become values of the frame (or one a pixel), with their vector there; how many vectors of a plane
    of pixels the frame has, and of pixels."""

    rows: Rows
    segments: tuple[Segment, ...]
    entered: dict[str, int]
    frame: int
    pixels: int


@dataclass
class _Piece:
    """Tasks of a segment to be."""

    tasks: list[Task]
    by_planes: bool
    reads: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)


class _Cutter:
    def __init__(self, rows: Rows, core: Core, tables: int, direct: str) -> None:
        self.rows, self.core, self.tables, self.direct = rows, core, tables, direct
        self.inputs = [name for name in rows.channels if name != "y"]
        self.tasks = tasks(rows)
        self.one = rows.planes == 1 and all(rows.planes_of(name) == 1 for name in self.inputs)
        self.wanted = self._before_reductions()
        for name in self.inputs:
            if rows.value(name).wide:
                raise Misfit(f"operand {name} of type {rows.value(name).dtype}")
            if rows.planes_of(name) not in (1, rows.planes):
                raise Misfit(f"operand {name} of {rows.channels_of(name)} channels beside {rows.planes * rows.granule}")

    # ---- which tasks go together

    def _before_reductions(self) -> set[str]:
        """Values that some reduction, or something one a pixel, still needs."""
        needed: set[str] = set()
        for task in reversed(self.tasks):
            if not self._by_planes(task) or task.result in needed:
                needed.update(task.reads)
        return needed

    def _by_planes(self, task: Task) -> bool:
        return not self.one and self.rows.extent(task.result) == "element"

    def _pixelwise(self, name: str) -> bool:
        """Whether a value stands among those one a pixel: a vector for each of pixels."""
        return not self.one and (self.rows.extent(name) == "pixel" or (name in self.inputs and self.rows.planes_of(name) == 1))

    def pieces(self) -> list[_Piece]:
        """Tasks of each segment: those of one kind that are ready, as many as fit; what reductions need first."""
        waiting, done, found = list(self.tasks), set(self.inputs), []
        while waiting:
            ready = [task for task in waiting if done.issuperset(task.reads)]
            urgent = [task for task in ready if self._by_planes(task) and task.result in self.wanted]
            by_planes = bool(urgent) or all(self._by_planes(task) for task in ready)
            more = any(not self._by_planes(task) for task in waiting)
            chosen: list[Task] = []
            made: set[str] = set()
            for task in waiting:
                suits = self._by_planes(task) == by_planes and (not by_planes or not more or task.result in self.wanted)
                if suits and (done | made).issuperset(task.reads) and self._fits([*chosen, task], by_planes, waiting):
                    chosen.append(task)
                    made.add(task.result)
            if not chosen:  # the first that is ready tells why not
                first = (urgent or ready)[0]
                self.emit(self._piece([first], self._by_planes(first), waiting))
                raise Misfit(f"no kernel of {type(first.step).__name__}")
            found.append(_Piece(chosen, by_planes))
            waiting = [task for task in waiting if task not in chosen]
            done |= made
        return found

    def _fits(self, chosen: list[Task], by_planes: bool, waiting: Sequence[Task]) -> bool:
        try:
            emitter, _ = self.emit(self._piece(chosen, by_planes, waiting))
        except Misfit:
            return False
        return len(chosen) == 1 or len(emitter.items) <= MOST_ITEMS

    def _piece(self, chosen: list[Task], by_planes: bool, waiting: Sequence[Task]) -> _Piece:
        made = [task.result for task in chosen]
        reads = list(dict.fromkeys(name for task in chosen for name in task.reads if name not in made))
        later = {name for task in waiting if task not in chosen for name in task.reads}
        return _Piece(chosen, by_planes, reads, [name for name in made if name in later or name == "y"])

    # ---- a kernel

    def vectors(self, name: str) -> tuple[str, ...]:
        """A value's vectors of a plane, as the frame has them."""
        if self.rows.narrow(name) or self.rows.extent(name) == "pixel":
            return (name,)
        return tuple(f"{name}:{quarter}" for quarter in range(QUARTERS))

    def emit(self, piece: _Piece, places: Places | None = None) -> tuple[Emitter, list[str]]:
        """Operations of a piece, and the streams that it loads. Raises Misfit where there are not enough of what a core has."""
        emitter = Emitter(self.rows, self.core, by_planes=piece.by_planes, tables=self.tables)
        planes = self.planes(piece)
        places = places or self.places(piece)
        emitter.load(places, planes)
        for task in piece.tasks:
            emitter.add(task, planes if self.rows.extent(task.result) == "element" else range(1))
        kinds = {"y" if name == "y" else "pixels" if self._pixelwise(name) else "frame" for name in piece.leaves}
        if len(kinds) > 1:
            raise Misfit("results of several kinds")
        if kinds:
            names = [vector for name in piece.leaves for vector in self.vectors(name)]
            made = planes if kinds == {"frame"} or (kinds == {"y"} and self.rows.extent("y") == "element") else range(1)
            cells = [emitter.element_cell(name, plane) if name == "y" else emitter.cell(name, plane) for plane in made for name in names]
            emitter.items += [Item("STV", reads={"a": cell}, numbers={"first": 0}, stream="out") for cell in cells]
        for item in emitter.items:
            self.core.slots_of(item.operation)
        streams = [name for name, used in (("direct", places.direct), ("frame", places.frame), ("pixels", places.pixels), ("constants", emitter.shared),
                                           ("planes", emitter.by_plane)) if used]  # fmt: skip
        if len(streams) > self.core.in_streams and "planes" in streams and "constants" in streams:
            streams.remove("constants")  # which then come with those of each plane
        if len(streams) > self.core.in_streams:
            raise Misfit(f"{len(streams)} streams of operands, the core has {self.core.in_streams}")
        return emitter, streams

    def places(self, piece: _Piece) -> Places:
        """What a piece loads, without what lies between."""
        frame = tuple(vector for name in piece.reads if name != self.direct and not self._pixelwise(name) for vector in self.vectors(name))
        pixels = tuple(name for name in piece.reads if self._pixelwise(name))
        return Places(self.direct if self.direct in piece.reads else "", frame, pixels)

    def planes(self, piece: _Piece) -> range:
        """Planes that are loaded in an iteration."""
        if piece.by_planes or self.one:
            return range(1)
        spans = [(task.first, task.last) for task in piece.tasks if task.reduces and any(not self._pixelwise(name) for name in task.reads)]
        return range(min((first for first, _ in spans), default=0), max((last for _, last in spans), default=0))

    def each_plane(self, emitter: Emitter, streams: Sequence[str]) -> list[str]:
        """Cells of the constants that are loaded anew for each plane, in the order in which they are needed: none waits in a register for long."""
        cells = [*emitter.by_plane, *(() if "constants" in streams else emitter.shared)] if emitter.by_plane else []
        first: dict[str, int] = {}
        for item, time in zip(emitter.items, earliest(emitter.items, self.core), strict=True):
            for name in item.reads.values():
                first[name] = min(first.get(name, time), time)
        return sorted(cells, key=lambda cell: first.get(cell, 0))

    def shape(self, piece: _Piece, places: Places) -> tuple[Emitter, list[str], RowKernel]:
        """The kernel of a piece. Raises Misfit."""
        emitter, streams = self.emit(piece, places)
        numbers = {name: f"in{number}" for number, name in enumerate(streams)}
        loads = [Item("LDV", cell, stream=numbers["planes"]) for cell in self.each_plane(emitter, streams)]
        items = [*loads, *emitter.items]
        renamed = tuple(frozen(Item(i.operation, i.result, i.reads, i.numbers, {**numbers, "out": "out0"}.get(i.stream, i.stream), i.partial)) for i in items)
        constants = tuple(frozen(Item("LDV", cell, stream=numbers["constants"])) for cell in (emitter.shared if "constants" in streams else ()))
        shape = RowKernel(renamed, constants)
        fitted(shape, self.core)
        return emitter, streams, shape


def cut(program: RowProgram, channels: dict[str, int], core: Core, tables: int) -> Cut:
    """Cut a micro-program into kernels: `channels` of each tensor, `tables` that are seen at once. Raises Misfit where the core can hold none."""
    signed = program.values["x"].dtype == "i8"
    rows = Rows(program, channels, core.granule_bytes, signed)
    inputs = [name for name in channels if name != "y"]
    direct = "x" if "x" in inputs else ""
    why = Misfit("no input")
    for choice in dict.fromkeys((direct, "")):
        try:
            return _whole(_Cutter(rows, core, tables, choice))
        except Misfit as misfit:
            why = misfit
    raise why


def _whole(cutter: _Cutter) -> Cut:
    pieces = cutter.pieces()
    while True:
        made = _segments(cutter, pieces)
        if isinstance(made, Cut):
            return made
        number, misfit = made
        count = len(pieces[number].tasks)
        if count == 1:
            raise misfit
        halves = [_Piece(part, pieces[number].by_planes) for part in (pieces[number].tasks[: count // 2], pieces[number].tasks[count // 2 :])]
        pieces = [*pieces[:number], *halves, *pieces[number + 1 :]]


def _segments(cutter: _Cutter, pieces: list[_Piece]) -> Cut | tuple[int, Misfit]:
    """The segments of pieces; or which of them does not fit, and why."""
    rows = cutter.rows
    frame: list[str] = []
    pixels: list[str] = []
    entered: dict[str, int] = {}
    for name in cutter.inputs:
        if name != cutter.direct:
            among = pixels if cutter._pixelwise(name) else frame
            entered[name] = len(among)
            among.append(name)
    segments = []
    for number, piece in enumerate(pieces):
        rest = [task for later in pieces[number:] for task in later.tasks]
        whole = cutter._piece(piece.tasks, piece.by_planes, rest)
        wanted = cutter.places(whole)
        spans = [_run(wanted.frame, frame), _run(wanted.pixels, pixels)]
        try:
            places = Places(wanted.direct, tuple(_named(frame, spans[0], wanted.frame)), tuple(_named(pixels, spans[1], wanted.pixels)))
            emitter, streams, shape = cutter.shape(whole, places)
        except Misfit as misfit:
            return number, misfit
        vectors = [vector for name in whole.leaves for vector in cutter.vectors(name)]
        stores = "y" if "y" in whole.leaves else "pixels" if whole.leaves and cutter._pixelwise(whole.leaves[0]) else "frame"
        among = pixels if stores == "pixels" else frame
        repeated = {cell: np.tile(np.frombuffer(content, np.uint8), (rows.planes, 1)) for cell, content in emitter.shared.items()}
        by_plane = tuple((emitter.by_plane | repeated)[cell] for cell in cutter.each_plane(emitter, streams))
        segments.append(Segment(
            piece.by_planes, shape, cutter.planes(whole), {name: f"in{i}" for i, name in enumerate(streams)}, wanted.direct, spans[0], spans[1], stores,
            len(among), len(vectors), tuple(emitter.shared.values()) if "constants" in streams else (), by_plane, tuple(emitter.sets),
            {role: (int(sign or 0), int(zero or 0)) for role, (sign, zero) in emitter.numbers.items()},
        ))  # fmt: skip
        if stores != "y":
            among += vectors
    return Cut(rows, tuple(segments), entered, len(frame), len(pixels))


def _run(wanted: Sequence[str], among: Sequence[str]) -> range:
    """Places from the first to the last of what is wanted."""
    places = [among.index(name) for name in wanted]
    return range(min(places), max(places) + 1) if places else range(0)


def _named(among: Sequence[str], span: range, wanted: Sequence[str]) -> list[str]:
    """Names of a run of places; what nobody wants gets a name that nobody reads."""
    return [among[place] if among[place] in wanted else f"~{place}" for place in span]


