"""Which steps of a micro-program go into one kernel: pieces, and the operations and streams of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compiler.kernels.body import Item
from compiler.kernels.core import Core, Misfit
from compiler.kernels.recipes.rows import RowKernel, earliest, fitted, frozen
from compiler.kernels.rows.emit import Emitter
from compiler.kernels.rows.operands import Places
from compiler.kernels.rows.values import QUARTERS, Rows, Task, tasks

__all__ = ["Cutter", "Piece"]

#: Operations that are looked at together: more are cut without trying.
MOST_ITEMS = 320


@dataclass
class Piece:
    """Tasks of a segment to be."""

    tasks: list[Task]
    kind: str
    reads: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)


class Cutter:
    def __init__(self, rows: Rows, core: Core, tables: int, direct: str) -> None:
        self.rows, self.core, self.tables, self.direct = rows, core, tables, direct
        self.inputs = [name for name in rows.channels if name != "y"]
        self.tasks = tasks(rows)
        self.one = rows.planes == 1 and all(rows.planes_of(name) == 1 for name in self.inputs)
        if rows.program.of_images:
            self.one = False
        self.wanted = self._before_reductions()
        #: Inputs that products alone read: where they stand.
        self.outside = set() if rows.program.of_images else set(self.inputs) - {name for task in self.tasks if not task.terms for name in task.reads}
        #: The part of a sum over channels that is read where it was made: the only one there is.
        parts = [part for all_of in rows.banded.values() for part in all_of]
        self.sums = parts[0] if len(parts) == 1 else ""
        for name in self.inputs:
            if rows.value(name).wide:
                raise Misfit(f"operand {name} of type {rows.value(name).dtype}")
            if name not in self.outside and rows.planes_of(name) not in (1, rows.planes):
                raise Misfit(f"operand {name} of {rows.channels_of(name)} channels beside {rows.planes * rows.granule}")

        self._needs()

    def _needs(self) -> None:
        """What the kernels around segments take: products of channels, sums over pixels, bytes of the other sign. Raises Misfit where the core lacks it."""
        needs: list[tuple[int, tuple[str, ...]]] = []
        if self.rows.banded:
            needs.append((3, ("LDV", "STV", "DOT")))
        if self.rows.program.of_images:
            needs.append((2, ("LDV", "STV", "LMAC", "ADDV", *(("PERM",) if self.core.pixels > QUARTERS else ()))))
        if any(self.rows.moved(name) for name in self.inputs):
            needs.append((1, ("LDV", "STV", "REQB")))
        for streams, operations in needs:
            for operation in operations:
                self.core.slots_of(operation)
            if streams > self.core.in_streams:
                raise Misfit(f"{streams} streams of operands, the core has {self.core.in_streams}")

    # ---- which tasks go together

    def _before_reductions(self) -> set[str]:
        """Values that some reduction, or something one a pixel or a channel, still needs."""
        needed: set[str] = set()
        for task in reversed(self.tasks):
            if self.kind(task) != "element" or task.result in needed:
                needed.update(task.reads)
        return needed

    def kind(self, task: Task) -> str:
        """What an iteration of a task is; 'alone' of one that is a segment by itself."""
        extent = self.rows.extent(task.result)
        return "alone" if task.alone else "pixel" if self.one and extent == "element" else extent

    def _pixelwise(self, name: str) -> bool:
        """Whether a value stands among those one a pixel: a vector for each of pixels."""
        return not self.one and (self.rows.extent(name) == "pixel" or (name in self.inputs and self.rows.planes_of(name) == 1 < self.rows.planes))

    def pieces(self) -> list[Piece]:
        """Tasks of each segment: those of one kind that are ready, as many as fit; what reductions need first."""
        waiting, done, found = list(self.tasks), set(self.inputs), []
        while waiting:
            ready = [task for task in waiting if done.issuperset(task.reads)]
            urgent = [task for task in ready if self.kind(task) == "element" and task.result in self.wanted]
            first = next((task for task in ready if task.alone), None) or (urgent or [task for task in ready if self.kind(task) != "element"] or ready)[0]
            kind, more = self.kind(first), any(self.kind(task) != "element" for task in waiting)
            chosen: list[Task] = []
            made: set[str] = set()
            for task in [first] if first.alone else waiting:
                suits = self.kind(task) == kind and (kind != "element" or not more or task.result in self.wanted)
                if suits and (done | made).issuperset(task.reads) and (task.alone or self._fits([*chosen, task], kind, waiting)):
                    chosen.append(task)
                    made.add(task.result)
            if not chosen:  # the first that is ready tells why not
                self.emit(self.piece([first], kind, waiting))
                raise Misfit(f"no kernel of {type(first.step).__name__}")
            found.append(Piece(chosen, kind))
            waiting = [task for task in waiting if task not in chosen]
            done |= made
        return found

    def _fits(self, chosen: list[Task], kind: str, waiting: Sequence[Task]) -> bool:
        try:
            emitter, _ = self.emit(self.piece(chosen, kind, waiting))
        except Misfit:
            return False
        return len(chosen) == 1 or len(emitter.items) <= MOST_ITEMS

    def piece(self, chosen: list[Task], kind: str, waiting: Sequence[Task]) -> Piece:
        made = [task.result for task in chosen]
        reads = list(dict.fromkeys(name for task in chosen for name in task.reads if name not in made))
        later = {name for task in waiting if task not in chosen for name in task.reads}
        return Piece(chosen, kind, reads, [name for name in made if name in later or name == "y"])

    # ---- a kernel

    def vectors(self, name: str) -> tuple[str, ...]:
        """A value's vectors of a plane, as the frame has them."""
        if self.rows.narrow(name) or (name != "y" and self.rows.extent(name) in ("pixel", "channel")):
            return (name,)
        return tuple(f"{name}:{quarter}" for quarter in range(QUARTERS))

    def emit(self, piece: Piece, places: Places | None = None) -> tuple[Emitter, list[str]]:
        """Operations of a piece, and the streams that it loads. Raises Misfit where there are not enough of what a core has."""
        emitter = Emitter(self.rows, self.core, by_planes=piece.kind in ("element", "channel"), tables=self.tables)
        planes = self.planes(piece)
        places = places or self.places(piece)
        emitter.load(places, planes)
        for task in piece.tasks:
            emitter.add(task, planes if self.rows.extent(task.result) == "element" else range(1))
        kinds = {self.place_of(name) for name in piece.leaves}
        if len(kinds) > 1:
            raise Misfit("results of several kinds")
        if kinds:
            names = [vector for name in piece.leaves for vector in self.vectors(name)]
            made = planes if kinds == {"frame"} or (kinds == {"y"} and self.rows.extent("y") == "element") else range(1)
            cells = [emitter.result(name, plane) if kinds == {"y"} else emitter.cell(name, plane) for plane in made for name in names]
            emitter.items += [Item("STV", reads={"a": cell}, numbers={"first": 0}, stream="out") for cell in cells]
        for item in emitter.items:
            self.core.slots_of(item.operation)
        streams = [name for name, used in (("direct", places.direct), ("frame", places.frame), ("sums", places.sums), ("pixels", places.pixels),
                                           ("channels", places.channels), ("constants", emitter.shared), ("planes", emitter.by_plane)) if used]  # fmt: skip
        if len(streams) > self.core.in_streams and "planes" in streams and "constants" in streams:
            streams.remove("constants")  # which then come with those of each plane
        if len(streams) > self.core.in_streams:
            raise Misfit(f"{len(streams)} streams of operands, the core has {self.core.in_streams}")
        return emitter, streams

    def place_of(self, name: str) -> str:
        """Where a value stands: 'y', 'direct', 'sums', 'pixels', 'channels' or 'frame'."""
        if name in ("y", self.direct, self.sums):
            return "y" if name == "y" else "direct" if name == self.direct else "sums"
        return "pixels" if self._pixelwise(name) else "channels" if self.rows.extent(name) == "channel" else "frame"

    def places(self, piece: Piece) -> Places:
        """What a piece loads, without what lies between."""
        where = {name: self.place_of(name) for name in piece.reads}

        def of(place: str) -> tuple[str, ...]:
            return tuple(vector for name in piece.reads if where[name] == place for vector in (self.vectors(name) if place == "frame" else (name,)))

        return Places("".join(of("direct")), of("frame"), "".join(of("sums")), of("pixels"), of("channels"))

    def planes(self, piece: Piece) -> range:
        """Planes that are loaded in an iteration."""
        if piece.kind != "pixel" or self.one:
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

    def shape(self, piece: Piece, places: Places) -> tuple[Emitter, list[str], RowKernel]:
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
