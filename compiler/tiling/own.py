"""Tile a codelet that begins with an operation which a package brings.

    before   codelet: for n, oy, ox: reduce ic: acc = ABSDIFF(x[n, ic, oy, ox], b[n, ic, oy, ox]); y = REQUANTIZE(acc)
    after    for each tile: [load boxes] own vector [store]         or own alone, where the operation makes the result itself

A tile is some rows of one image, all columns and all channels. Each index of an operand is one loop, or none.
"""

from __future__ import annotations

from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, finish_chain, look_up, regions
from compiler.tiling.tile_context import TileContext

__all__ = ["OwnTiler"]

#: Place of each dimension's bounds in a box (n0, n1, y0, y1, x0, x1, c0, c1).
_AT = (0, 6, 2, 4)


class OwnTiler:
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        self.context, self.step, self.codelet, self.unit = context, step, step.codelet, step.own
        self.roles = self.codelet.operations[0].operands
        self.y = self.codelet.operands["y"]
        self.granule = context.residency.layouts[context.residency.root(self.y.tensor)].lanes
        self.stored = context.residency.root(self.y.tensor) in context.residency.external

    @property
    def pitch(self) -> int:
        """Elements of a position among the int32 results."""
        return ceil_div(self.y.shape[1], self.granule) * self.granule

    def run(self) -> None:
        """Emit everything."""
        rows, columns = self.tile()
        n, _, oh, ow = self.y.shape
        for image in range(n):
            for y0, y1 in spans(oh, rows):
                for x0, x1 in spans(ow, columns):
                    self.body((image, image + 1, y0, y1, x0, x1, 0, self.y.shape[1]))

    def tile(self) -> tuple[int, int]:
        """Rows and columns of a tile: as many rows as fit twice, else once. Raises CompilerError where one row does not."""
        _, _, oh, ow = self.y.shape
        able = {"oy": oh, "ox": ow} | {loop: 1 for loop in ("oy", "ox") if loop not in self.unit.levels}
        for copies in (2, 1):
            for rows in range(able["oy"], 0, -1):
                if self.fits(rows, able["ox"], copies):
                    return rows, able["ox"]
        raise CompilerError(f"node {self.codelet.name}", found="no tile that fits the on-chip memories", expected="room for one row of all operands",
                            do="use an architecture with larger memories")

    def fits(self, rows: int, columns: int, copies: int) -> bool:
        """Whether the buffers of a tile fit, so many of each."""
        box = (0, 1, 0, rows, 0, columns, 0, self.y.shape[1])
        need = dict.fromkeys((self.step.source.name, self.step.sink.name, self.unit.result.name), 0)
        for operand in (*(self.codelet.operands[role] for role in self.roles), self.y):
            if not self.context.is_resident(operand):
                n0, n1, y0, y1, x0, x1, c0, c1 = self.box(operand, box)
                size = (n1 - n0) * (y1 - y0) * (x1 - x0) * ceil_div(c1 - c0, self.granule) * self.granule
                need[self.step.sink.name if operand is self.y else self.step.source.name] += copies * size
        if self.step.vector_or_none is not None:
            bank = self.unit.result.bank_bytes
            need[self.unit.result.name] += copies * ceil_div(4 * rows * columns * self.pitch, bank) * bank
        return all(size <= min(self.context.budget_bytes[name] if name != self.unit.result.name else self.unit.result.size_bytes,
                               self.context.target.partitions[name].size_bytes) for name, size in need.items())

    def box(self, operand: Operand, box: tuple) -> tuple:
        """The part of an operand that a box of the result sees: all of a dimension whose loop the result has not."""
        bounds = {loop: box[at : at + 2] for at, index in zip(_AT, self.y.index, strict=True) for loop, _ in index.terms}
        seen = [0] * 8
        for at, size, index in zip(_AT, operand.shape, operand.index, strict=True):
            lo, hi = next((bounds[loop] for loop, _ in index.terms if loop in bounds), (0, size))
            seen[at : at + 2] = lo, hi
        return tuple(seen)

    def body(self, box: tuple) -> None:
        """One tile of results."""
        n0, _, y0, y1, x0, x1, c0, _ = box
        label = f"n{n0} y{y0} x{x0}"
        resident = self.context.is_resident(self.y)
        out = self.context.whole(self.y) if resident else self.context.view_box(self.y, box, self.step.sink, f"{self.codelet.name}.y")
        if self.step.vector_or_none is None:
            self.operation(box, out, label)
        else:
            size, width = 4, x1 - x0
            accumulators = self.context.buffer(f"{self.codelet.name}.acc", self.unit.result, size * (y1 - y0) * width * self.pitch, self.unit.result.bank_bytes)
            row = size * width * self.pitch
            self.operation(box, View(accumulators, 0, (y1 - y0) * row, row, size * self.pitch, size, y1 - y0, width, n0, y0, x0, c0), label)
            self.finish(box, accumulators, out, label)
        if self.stored:
            self.context.store_box(self.y, box, out, label)

    def operation(self, box: tuple, out: View, label: str) -> None:
        """The instruction of the engine."""
        lengths = dict(zip(("n", "c", "oy", "ox"), (1, self.y.shape[1], box[3] - box[2], box[5] - box[4]), strict=True))
        counts = {}
        operands = [(number, self.codelet.operands[role]) for number, role in enumerate(self.roles)]
        word = {loop: self.unit.lanes(number) for number, operand in [*operands, (-1, self.y)] for loop, _ in operand.index[1].terms}
        for loop in self.codelet.loops:
            extent = lengths.get(loop.name, loop.extent)
            counts[loop.name] = ceil_div(extent, word[loop.name]) if loop.name in word else extent
        nest = self.context.nest(self.unit.engine, self.unit.levels, counts)
        for number, operand in operands:
            view = self.input_view(operand, self.box(operand, box), self.roles[number], label)
            start = view.at(*self._corner(operand, box))
            nest.stream(self.unit.offer.operands[number], view.buffer, start, self._steps(operand, view, self.unit.lanes(number)),
                        signed=operand.dtype == "i8", zero=operand.zero, element_bytes=1)
        nest.stream(self.unit.offer.result, out.buffer, out.at(*self._corner(self.y, box)), self._steps(self.y, out, self.unit.lanes(-1)),
                    element_bytes=out.element_bytes)
        nest.operation(self.codelet.operations[0].name).control(**dict(self.codelet.controls))
        self.context.add(nest, label)

    def _corner(self, operand: Operand, box: tuple) -> tuple[int, int, int, int]:
        n0, _, y0, _, x0, _, c0, _ = self.box(operand, box)
        return n0, y0, x0, c0

    @staticmethod
    def _steps(operand: Operand, view: View, lanes: int) -> dict[str, int]:
        """Bytes by which each loop moves an operand: a loop over channels by a word."""
        strides = (view.image_bytes, lanes * view.element_bytes, view.row_bytes, view.pixel_bytes)
        return {loop: step for index, step in zip(operand.index, strides, strict=True) for loop, _ in index.terms}

    def input_view(self, operand: Operand, box: tuple, role: str, label: str) -> View:
        """The resident tensor, or a box of it loaded for this tile."""
        if self.context.is_resident(operand):
            self.context.require(operand, box[:4], label)
            return self.context.whole(operand)
        view = self.context.view_box(operand, box, self.step.source, f"{self.codelet.name}.{role}")
        self.context.load_box(operand, box, view, label)
        return view

    def finish(self, box: tuple, accumulators: Buffer, out: View, label: str) -> None:
        """The vector unit's instructions: from int32 results to those of the codelet."""
        vector, finish = self.step.vector, self.codelet.finish
        n0, _, y0, y1, x0, x1, c0, c1 = box
        for region in regions(finish, (y0, y1, x0, x1)):
            ry0, ry1, rx0, rx1 = region.box
            nest = self.context.nest(vector.engine, LOOPS, {"c": ceil_div(c1 - c0, vector.lanes), "y": ry1 - ry0, "x": rx1 - rx0})
            row = 4 * (x1 - x0) * self.pitch
            start = (ry0 - y0) * row + (rx0 - x0) * 4 * self.pitch
            nest.stream("a", accumulators, start, {"c": 4 * vector.lanes, "y": row, "x": 4 * self.pitch}, element_bytes=4)
            nest.stream("y", out.buffer, out.at(n0, ry0, rx0, c0), {"c": vector.lanes, "y": out.row_bytes, "x": out.pixel_bytes}, element_bytes=1)
            finish_chain(nest, finish, region)
            if finish.table is not None:
                look_up(nest, self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), vector.table, label))
            self.context.add(nest, label)
