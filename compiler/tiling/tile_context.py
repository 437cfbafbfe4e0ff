"""What tiling one codelet needs: buffers for tensors and constants, transfers of boxes, and the list of operations made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from acg.graph import Engine, Memory
from compiler.codelets import Codelet, Operand
from compiler.codelets.base import pixel
from compiler.errors import LengthError
from compiler.mapping.insert_transfers import Residency
from compiler.mapping.price import Occupancy
from compiler.target import CopyPath, Target
from compiler.tiles import Buffer, Ref, TileOp, View, ceil_div, spans
from compiler.tiling.copy_nest import Level, copy_nest, pixel_levels
from compiler.tiling.nest import Nest
from compiler.tiling.tensor_buffers import Box, TensorBuffers
from compiler.ways.decisions import Decisions

#: A fetch of a whole input is cut into this many pieces, none below so many bytes: its first rows are used while the others come.
FETCH_PIECES = 8
FETCH_BYTES = 1024
#: Most operations of a program, several times as many as ResNet-50 takes: beyond, each pass of the compiler takes minutes.
MOST_OPERATIONS = 1 << 16


@dataclass(frozen=True, eq=False)
class Done:
    """What tiling one step did: its operations, the rows of inputs that were `missing` afterwards, and offsets wished at a border of banks."""

    ops: list[TileOp]
    missing: dict[str, tuple[tuple[int, int], ...]]
    borders: tuple[tuple[Buffer, int], ...]


class TileContext(TensorBuffers):
    """Collects the operations of a network, codelet by codelet."""

    def __init__(self, target: Target, residency: Residency, before: TileContext | None = None, decisions: Decisions | None = None) -> None:
        """`before`: the context of another residency of the same network, whose buffers of tensors and constants this one shares where they are alike."""
        super().__init__(target, residency, before)
        self.decisions = decisions or Decisions()
        self.ops: list[TileOp] = []
        self.occupancy: Occupancy = Occupancy(target.graph) if before is None else before.occupancy
        #: Names of the engines that compute.
        self.computing = {unit.engine.name for unit in target.matrix} | {unit.engine.name for unit in target.vector}
        self.layer = -1
        self.codelet: Codelet | None = None
        self.budget_bytes: dict[str, int] = {}
        self._borders: list[tuple[Buffer, int]] = []
        self._constants: dict[tuple[str, bytes], Buffer] = {} if before is None else before._constants
        self._tables: dict[tuple[int, str, bytes], Buffer] = {}
        #: Rows of inputs that are to be fetched onto the chip and are not yet, first ones first.
        self._missing: dict[str, list[tuple[int, int]]] = {}
        for name in residency.fetched:
            n, _, h, _ = residency.layouts[name].shape
            rows = max(ceil_div(n * h, FETCH_PIECES), ceil_div(FETCH_BYTES, residency.layouts[name].row_bytes))
            self._missing[name] = spans(n * h, rows)

    def state(self, tensors: Iterable[str]) -> tuple:
        """What tiling a step on these tensors goes by, besides the step: the room there is, buffers, layouts, rows not fetched yet, who makes them."""
        return tuple(sorted(self.budget_bytes.items())), *(
            (root, self._making.get(root, 0), self.residency.layouts.get(root), self.resident.get(root),
             self.copies.get(root), self.residency.copies.get(root), self.external.get(root), tuple(self._missing.get(root, ())))
            for root in map(self.residency.root, tensors)
        )

    def repeat(self, done: Done, layer: int) -> None:
        """Take over, as what this layer does, what a step did in another context that was in the same `state`."""
        if done.ops and done.ops[0].layer != layer:
            self.ops += [TileOp(op.engine, op.fields, op.reads, op.writes, layer, op.tile) for op in done.ops]
        else:
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

    def making_cycles(self, operand: Operand) -> int:
        """Cycles for which a lane-by-lane codelet is busy making an operand, while matrix units wait for it; 0 for other operands."""
        return self._making.get(self.residency.root(operand.tensor), 0)

    @cached_property
    def _making(self) -> dict[str, int]:
        """Of each tensor that a lane-by-lane codelet makes, for how many cycles it is busy."""
        making: dict[str, int] = {}
        for step in self.residency.steps:
            codelet = step.codelet
            if step.matrix_or_none is None and step.vector_or_none is not None:
                n, c, h, w = codelet.operands["y"].shape
                taps = [loop.extent for loop in codelet.loops if loop.reduction] if step.window_or_none is None else []
                making.setdefault(self.residency.root(codelet.operands["y"].tensor), n * h * w * ceil_div(c, step.vector.lanes) * prod(taps))
        return making

    def _levels(self, operand: Operand, outside: View, inside: View, box: Box) -> tuple[int, list[Level]]:
        c0, c1 = box[6:]
        if outside.granule_bytes:
            return inside.pixel_bytes, [
                Level(-(-(c1 - c0) // outside.granule), outside.granule_bytes, inside.granule_bytes), *pixel_levels(outside, inside, box),
            ]
        whole_pixels = (c0, c1) == (0, operand.shape[1]) and outside.pixel_bytes == inside.pixel_bytes
        row = inside.pixel_bytes if whole_pixels else (c1 - c0) * inside.element_bytes
        return row, pixel_levels(outside, inside, box)

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
