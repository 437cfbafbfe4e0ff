"""What tiling one codelet needs: buffers for tensors and constants, transfers of boxes, and the list of operations made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np

from acg.graph import Engine, Graph, Memory
from acg.kinds import kind_of
from acg.kinds.spec import Stream
from compiler.codelets import Codelet, Operand
from compiler.codelets.base import pixel
from compiler.errors import LengthError
from compiler.mapping.copies import boxed
from compiler.mapping.insert_transfers import Residency
from compiler.mapping.price import Occupancy
from compiler.target import CopyPath, Target
from compiler.tiles import Buffer, Ref, TileOp, View, ceil_div, spans
from compiler.tiling.nest import Nest

#: A fetch of a whole input is cut into this many pieces, none below so many bytes: its first rows are used while the others come.
FETCH_PIECES = 8
FETCH_BYTES = 1024
#: Most operations of a program, several times as many as ResNet-50 takes: beyond, each pass of the compiler takes minutes.
MOST_OPERATIONS = 1 << 16

Box = tuple[int, int, int, int, int, int, int, int]
Box6 = tuple[int, int, int, int, int, int]


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


def _pixels(outside: View, inside: View, box: Box) -> list[Level]:
    """The loops over the pixels of a box."""
    n0, n1, y0, y1, x0, x1 = box[:6]
    return [
        Level(n1 - n0, outside.image_bytes, inside.image_bytes),
        Level(y1 - y0, outside.row_bytes, inside.row_bytes),
        Level(x1 - x0, outside.pixel_bytes, inside.pixel_bytes),
    ]


@dataclass(frozen=True, eq=False)
class Done:
    """What tiling one step did: its operations, the rows of inputs that were `missing` afterwards, and offsets wished at a border of banks."""

    ops: list[TileOp]
    missing: dict[str, tuple[tuple[int, int], ...]]
    borders: tuple[tuple[Buffer, int], ...]


def _shared(buffer: Buffer, other: Buffer | None) -> Buffer:
    """`other` where it is the same buffer as a new one, with what its users wished of it forgotten."""
    if other is None or (other.memory.name, other.size_bytes, other.pinned) != (buffer.memory.name, buffer.size_bytes, buffer.pinned):
        return buffer
    other.border_bytes = 0
    return other


class TileContext:
    """Collects the operations of a network, codelet by codelet."""

    def __init__(self, target: Target, residency: Residency, before: TileContext | None = None) -> None:
        """`before`: the context of another residency of the same network, whose buffers of tensors and constants this one shares where they are alike."""
        self.target = target
        self.residency = residency
        self.ops: list[TileOp] = []
        self.occupancy: Occupancy = Occupancy(target.graph) if before is None else before.occupancy
        #: Names of the engines that compute.
        self.computing = {unit.engine.name for unit in target.matrix} | {unit.engine.name for unit in target.vector}
        self.layer = -1
        self.codelet: Codelet | None = None
        self.resident: dict[str, Buffer] = {}
        self.external: dict[str, Buffer] = {}
        self.budget_bytes: dict[str, int] = {}
        self._borders: list[tuple[Buffer, int]] = []
        self._constants: dict[tuple[str, bytes], Buffer] = {} if before is None else before._constants
        self._tables: dict[tuple[int, str, bytes], Buffer] = {}
        #: Of tensors that have copies the buffer of each, in the place of an empty one that of the first.
        self.copies: dict[str, tuple[Buffer, ...]] = {}
        for name, memory in residency.resident.items():
            if name in residency.copies:
                self._copy_of(name, memory, before)
                continue
            buffer = Buffer(name, memory, residency.layouts[name].size_bytes, memory.word_bytes, lasting=True)
            self.resident[name] = buffer if before is None else _shared(buffer, before.resident.get(name))
            self.resident[name].border_bytes = residency.borders.get(name, 0)
        for name in sorted(residency.external):
            layout = residency.layouts[name]
            pinned = name in residency.edge.values()
            buffer = Buffer(name, target.external, layout.size_bytes, max(64, target.external.bus_bytes), pinned=pinned)
            self.external[name] = buffer if before is None else _shared(buffer, before.external.get(name))
        #: Rows of inputs that are to be fetched onto the chip and are not yet, first ones first.
        self._missing: dict[str, list[tuple[int, int]]] = {}
        for name in residency.fetched:
            n, _, h, _ = residency.layouts[name].shape
            rows = max(ceil_div(n * h, FETCH_PIECES), ceil_div(FETCH_BYTES, residency.layouts[name].row_bytes))
            self._missing[name] = spans(n * h, rows)

    def _copy_of(self, name: str, memory: Memory, before: TileContext | None) -> None:
        """Buffers of the copies of a tensor."""
        earlier = () if before is None else before.copies.get(name, ())
        made: dict[int, Buffer] = {}
        for number, (lo, hi) in enumerate(self.residency.copies[name]):
            if lo < hi:
                buffer = Buffer(name, memory, (hi - lo) * self.residency.layouts[name].pixel_bytes, memory.word_bytes, lasting=True)
                made[number] = _shared(buffer, earlier[number] if number < len(earlier) else None)
        first = next(iter(made.values()))
        self.copies[name] = tuple(made.get(number, first) for number in range(len(self.residency.copies[name])))
        self.resident[name] = self.copies[name][0]

    def state(self, tensors: Iterable[str]) -> tuple:
        """What tiling a step on these tensors goes by, besides the step: the room there is, buffers, rows not fetched yet."""
        return tuple(sorted(self.budget_bytes.items())), *(
            (root, self.resident.get(root), self.copies.get(root), self.residency.copies.get(root), self.external.get(root), tuple(self._missing.get(root, ())))
            for root in map(self.residency.root, tensors)
        )

    def repeat(self, done: Done) -> None:
        """Take over what a step did in another context that was in the same `state`."""
        self.ops += done.ops
        for root, rows in done.missing.items():
            self._missing[root] = list(rows)
        for buffer, border in done.borders:
            buffer.border_bytes = border

    def done(self, since: int, tensors: Iterable[str]) -> Done:
        """What a step on these tensors did, its operations being those `since` this number."""
        roots = (self.residency.root(tensor) for tensor in tensors)
        return Done(self.ops[since:], {root: tuple(self._missing[root]) for root in roots if root in self._missing}, tuple(self._borders))

    def wish_border(self, buffer: Buffer, border_bytes: int) -> None:
        """This offset of a resident tensor would best lie at the border of two banks."""
        buffer.border_bytes = border_bytes
        self._borders.append((buffer, border_bytes))

    def require(self, operand: Operand, rows: tuple[int, int, int, int], tile: str) -> None:
        """Fetch what is missing of a resident input up to the last row of images and rows (n0, n1, y0, y1) as the operand counts them; only what lies
        between them of one that has copies."""
        n0, n1, y0, y1 = rows
        root, width = self.residency.root(operand.tensor), operand.shape[3]
        first = (n0 * operand.shape[2] + y0) * width if root in self.copies else 0
        self._fetch(root, first, ((n1 - 1) * operand.shape[2] + y1) * width, tile)

    def coming(self, operand: Operand) -> bool:
        """Whether rows of a resident input are still to be fetched."""
        return bool(self._missing.get(self.residency.root(operand.tensor)))

    def require_rest(self, codelet: Codelet) -> None:
        """Fetch what is missing of the inputs that a codelet has used."""
        for operand in codelet.operands.values():
            root = self.residency.root(operand.tensor)
            if root in self._missing:
                self._fetch(root, 0, self.residency.layouts[root].image_bytes * self.residency.layouts[root].shape[0], "rest")

    def _fetch(self, root: str, first: int, last: int, tile: str) -> None:
        """Fetch the missing rows of an input that have any of its pixels [first, last)."""
        missing = self._missing.get(root)
        if not missing:
            return
        layout = self.residency.layouts[root]
        n, c, h, w = layout.shape
        operand = Operand(layout.dtype, (1, c, n * h, w), pixel("c"), tensor=root)
        for y0, y1 in [rows for rows in missing if rows[0] * w < last and first < rows[1] * w]:
            missing.remove((y0, y1))
            for view, box in self.places(operand, (0, 1, y0, y1, 0, w)):
                self.load_box(operand, (*box, 0, c), view, tile)

    def begin(self, layer: int, codelet: Codelet | None) -> None:
        """Operations made from now on belong to this layer."""
        self.layer, self.codelet = layer, codelet
        self._borders = []

    def nest(self, engine: Engine, levels: Mapping[str, int], counts: Mapping[str, int]) -> Nest:
        """An instruction-to-be, for `add`."""
        return Nest(self.target.graph, engine, levels, counts)

    def add(self, nest: Nest, tile: str) -> None:
        """Add an operation. Raises LengthError."""
        self.append(TileOp(nest.engine, nest.fields, tuple(nest.reads), tuple(nest.writes), self.layer, tile))

    def append(self, op: TileOp) -> None:
        """Add an operation that is complete. Raises LengthError."""
        if len(self.ops) >= MOST_OPERATIONS:
            name = self.codelet.name if self.codelet is not None else ""
            raise LengthError(f"network {self.residency.ir.name}: layer {name}", found=f"more than {MOST_OPERATIONS} instructions up to here",
                              expected="no more", do="make the batch or the network smaller, or use an architecture with larger memories")
        self.ops.append(op)

    def copy(self, path: CopyPath, outside: Ref, inside: Ref, row_bytes: int, levels: Sequence[Level], tile: str) -> None:
        """Copy rows between external and on-chip memory, in the direction of the path."""
        self.add(copy_nest(self.target.graph, path.engine, outside, inside, row_bytes, levels), tile)

    def buffer(self, name: str, memory: Memory, size_bytes: int, align_bytes: int | None = None) -> Buffer:
        """Return a new buffer, whole words of its memory."""
        words = -(-size_bytes // memory.word_bytes)
        return Buffer(name, memory, words * memory.word_bytes, align_bytes or memory.word_bytes)

    def constant(self, name: str, content: bytes) -> Buffer:
        """External buffer that holds these bytes when the program starts; equal bytes of one name share it."""
        key = (name, content)
        if key not in self._constants:
            external = self.target.external
            self._constants[key] = Buffer(name, external, len(content), external.bus_bytes, content=content, pinned=True)
        return self._constants[key]

    def load_constant(self, name: str, content: bytes, memory: Memory, tile: str, align_bytes: int | None = None) -> Buffer:
        """Copy constant bytes into a new on-chip buffer."""
        path = self.target.load_path(memory, constant=True)
        source = self.constant(name, content)
        place = self.buffer(name, memory, len(content), align_bytes)
        self.copy(path, Ref(source), Ref(place), len(content), (), tile)
        return place

    def table(self, name: str, content: bytes, memory: Memory, tile: str) -> Buffer:
        """Buffer of a table, a bank of the table memory: one for all parts of a codelet, whichever engine computes them."""
        key = (self.layer, memory.name, content)
        if key not in self._tables:
            self._tables = {other: place for other, place in self._tables.items() if other[0] == self.layer and other[1] != memory.name}
            self._tables[key] = self.load_constant(name, content, memory, tile, memory.bank_bytes)
        return self._tables[key]

    def strides(self, operand: Operand) -> tuple[int, int, int, int]:
        """Bytes (image, row, pixel, element) of an operand's tensor as the codelet's shape sees it."""
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        row = operand.shape[3] * layout.pixel_bytes
        return operand.shape[2] * row, row, layout.pixel_bytes, layout.element_bytes

    def making_cycles(self, operand: Operand) -> int:
        """Cycles for which a lane-by-lane codelet is busy making an operand, while matrix units wait for it; 0 for other operands."""
        root = self.residency.root(operand.tensor)
        for step in self.residency.steps:
            codelet = step.codelet
            if self.residency.root(codelet.operands["y"].tensor) == root and step.matrix_or_none is None and step.vector_or_none is not None:
                n, c, h, w = codelet.operands["y"].shape
                taps = [loop.extent for loop in codelet.loops if loop.reduction] if step.window_or_none is None else []
                return n * h * w * ceil_div(c, step.vector.lanes) * prod(taps)
        return 0

    def is_resident(self, operand: Operand) -> bool:
        """Whether the operand's tensor lives on chip."""
        return self.residency.root(operand.tensor) in self.resident

    def whole(self, operand: Operand, *, outside: bool = False, member: int = 0) -> View:
        """View of the whole tensor, on chip or in external memory; or of the copy that a member of a team reads."""
        root = self.residency.root(operand.tensor)
        steps = self.strides(operand)
        if outside or root not in self.copies:
            layout = self.residency.layouts[root]
            granules = (layout.lanes, layout.granule_bytes) if layout.planes else (1, 0)
            return View((self.external if outside else self.resident)[root], 0, *steps, operand.shape[2], operand.shape[3], 0, 0, 0, 0, *granules)
        box = boxed(operand.shape, self.residency.copies[root][member])
        if box is None:  # part of an image: only whole tensors are seen so
            box = (0, operand.shape[0], 0, operand.shape[2], 0, operand.shape[3])
        n0, _, y0, y1, x0, x1 = box
        image = steps[0] if (y0, y1) == (0, operand.shape[2]) else (y1 - y0) * steps[1]
        return View(self.copies[root][member], 0, image, *steps[1:], y1 - y0, x1 - x0, n0, y0, x0)

    def places(self, operand: Operand, box: Box6) -> list[tuple[View, Box6]]:
        """Where a box (n0, n1, y0, y1, x0, x1) of a resident tensor stands: views, and what of the box each has."""
        root = self.residency.root(operand.tensor)
        if root not in self.copies:
            return [(self.whole(operand), box)]
        found = []
        for member, span in enumerate(self.residency.copies[root]):
            own = boxed(operand.shape, span)
            if span[0] < span[1] and own is not None:
                a = tuple(min(max(value, own[at // 2 * 2]), own[at // 2 * 2 + 1]) for at, value in enumerate(box))
                if a[0] < a[1] and a[2] < a[3] and a[4] < a[5]:
                    found.append((self.whole(operand, member=member), a))
        return found  # type: ignore[return-value]

    def _box_strides(self, operand: Operand, box: Box) -> tuple[tuple[int, int, int], int]:
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        pixel, element = self.strides(operand)[2:]
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        granules = -(-(c1 - c0) // layout.lanes)
        if not layout.planes and (c0 > 0 or c1 < operand.shape[1]):
            pixel = granules * layout.lanes * element
        row = (x1 - x0) * pixel
        image = (y1 - y0) * row
        return (image, row, pixel), (n1 - n0) * image * (granules if layout.planes else 1)

    def view_box(self, operand: Operand, box: Box, memory: Memory, name: str) -> View:
        """New buffer for a box (n0, n1, y0, y1, x0, x1, c0, c1) of a tensor, and the view of it."""
        n0, _, y0, y1, x0, x1, c0, _ = box
        strides, size = self._box_strides(operand, box)
        element = self.strides(operand)[3]
        place = self.buffer(name, memory, max(size, 1))
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        granules = (layout.lanes, (box[1] - n0) * strides[0]) if layout.planes else (1, 0)
        return View(place, 0, *strides, element, y1 - y0, x1 - x0, n0, y0, x0, c0, *granules)

    def _levels(self, operand: Operand, outside: View, inside: View, box: Box) -> tuple[int, list[Level]]:
        c0, c1 = box[6:]
        if outside.granule_bytes:
            return inside.pixel_bytes, [
                Level(-(-(c1 - c0) // outside.granule), outside.granule_bytes, inside.granule_bytes), *_pixels(outside, inside, box),
            ]
        whole_pixels = (c0, c1) == (0, operand.shape[1]) and outside.pixel_bytes == inside.pixel_bytes
        row = inside.pixel_bytes if whole_pixels else (c1 - c0) * inside.element_bytes
        return row, _pixels(outside, inside, box)

    def load_box(self, operand: Operand, box: Box, view: View, tile: str) -> None:
        """Copy a box of an external tensor into `view`."""
        self._move(operand, box, view, tile, inward=True)

    def store_box(self, operand: Operand, box: Box, view: View, tile: str) -> None:
        """Copy a box from `view` into its external tensor."""
        self._move(operand, box, view, tile, inward=False)

    def _move(self, operand: Operand, box: Box, view: View, tile: str, *, inward: bool) -> None:
        outside = self.whole(operand, outside=True)
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        if n1 <= n0 or y1 <= y0 or x1 <= x0 or c1 <= c0:
            return
        memory = view.buffer.memory
        path = self.target.load_path(memory) if inward else self.target.store_path(memory)
        row, levels = self._levels(operand, outside, view, box)
        self.copy(path, Ref(outside.buffer, outside.at(n0, y0, x0, c0)), Ref(view.buffer, view.at(n0, y0, x0, c0)), row, levels, tile)

    def parameters(self, bias: np.ndarray, scale: np.ndarray, lanes: int) -> bytes:
        """Bytes of the parameter words of these channels: `lanes` int32 biases, then as many float32 scales, zero beyond the last."""
        blocks = -(-len(bias) // lanes)
        words = np.zeros((blocks, 2, lanes), np.int32)
        for row, values in enumerate((bias.astype(np.int32), scale.astype(np.float32).view(np.int32))):
            padded = np.zeros(blocks * lanes, np.int32)
            padded[: len(values)] = values
            words[:, row] = padded.reshape(blocks, lanes)
        return words.astype("<i4").tobytes()
