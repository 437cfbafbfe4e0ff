"""Tile Softmax for a programmable engine: four launches a strip of pixels, with what is between them on chip.

    before   codelet: for each pixel: m = MAXIMUM(x); e = TABLE(x - m); S = SUM(e); y = REQUANTIZE(e / S)
    after    for each strip: [load box] core (u) core (e, S) core (1 / S) core (y) [store]
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets import Finish
from compiler.codelets.rows.row_program import Chain
from compiler.kernels.core import Misfit
from compiler.kernels.recipes.softmax import SoftmaxRows, digits, reciprocal, shifted, weighted
from compiler.kernels.vectorise import QUARTERS
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import KernelTiler, Strip, cheapest
from compiler.tiling.kernels.launch import Bounds, Launch, Step

__all__ = ["KernelSoftmaxTiler"]

_RAW = Finish("float", zero=0, low=0, high=255)


class KernelSoftmaxTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def run(self) -> None:
        """Emit everything."""
        program = self.codelet.program
        assert program is not None, f"{self.codelet.name} is no micro-program"
        chains = [step for step in program.steps if isinstance(step, Chain)]
        tables, last = [chain.table for chain in chains if chain.table is not None], chains[-1]
        masks = self.masks()
        for strip in self.strips():
            view, out = self.input_view(self.x, strip), self.output_view(strip)
            try:
                self.strip(strip, view, out, tables, last, masks)
            except Misfit as misfit:
                raise self.misfit(misfit) from None
            self.store(strip, out)

    def vectors(self, strip: Strip) -> int:
        """Vectors of pixels of a strip."""
        return ceil_div((strip.n1 - strip.n0) * (strip.y1 - strip.y0) * self.y.shape[3], self.core.pixels)

    def sizes(self, strip: Strip) -> tuple[int, int, int]:
        """Bytes between the launches: u, e and S, r."""
        vectors = self.vectors(strip) * self.core.vector_bytes
        return vectors * self.granules, vectors * (2 * self.granules + 1), vectors * QUARTERS

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip, what is between its launches among them."""
        return super().bytes_of(strip) + sum(self.sizes(strip))

    def masks(self) -> bytes:
        """Vectors: 255 in every byte, and in those of the last granule's channels; zeros; 1 in the same bytes; 255 and 1 in every lane."""
        core = self.core
        valid = np.arange(core.granule_bytes) < self.y.shape[1] - (self.granules - 1) * core.granule_bytes
        last = np.tile(valid, core.pixels).astype(np.uint8)
        every = np.ones(core.vector_bytes, np.uint8)
        lanes = [np.full(core.lanes, value, "<i4").tobytes() for value in (255, 1)]
        return b"".join([
            (255 * every).tobytes(), (255 * last).tobytes(), bytes(core.vector_bytes), (255 * every).tobytes(), every.tobytes(), (255 * last).tobytes(),
            last.tobytes(), bytes(core.vector_bytes), *lanes,
        ])  # fmt: skip

    def strip(self, strip: Strip, view: View, out: View, tables: list[np.ndarray], last: Chain, masks: bytes) -> None:
        """The four launches of a strip."""
        core, shape, name = self.core, SoftmaxRows(self.granules), self.codelet.name
        pixels = (strip.n1 - strip.n0) * (strip.y1 - strip.y0) * self.y.shape[3]
        vectors, vector, own = self.vectors(strip), core.vector_bytes, self.granules
        u, e, r = (self.context.buffer(f"{name}.{part}", self.unit.activation, size) for part, size in zip("uer", self.sizes(strip), strict=True))
        constants = self.context.load_constant(f"{name}.masks", masks, self.unit.weight, strip.label)
        label = strip.label
        bounds = Bounds((0, 0), (1, pixels))

        def planes(of: View) -> list[Step]:
            return [Step(vectors, core.pixels * of.pixel_bytes, 0, core.pixels), Step(own, of.granule_bytes)]

        def start(of: View) -> int:
            return of.at(strip.n0, strip.y0, 0, 0)

        def launch(recipe: object, first: int, count: int) -> Launch:
            _, packed = cheapest(recipe, [shape], core, lambda _: vectors)  # type: ignore[arg-type]
            made = Launch(self.unit, packed, self.kernel(packed, label), tiles=1, iterations=vectors)
            return made.stream("in2", constants, first * vector, [Step(count, vector)], core.pixels) if count else made

        least = -128 if self.x.dtype == "i8" else 0
        one = launch(shifted, 0, 2).numbers(a=(self.x.dtype == "i8", least), w=(False, 0)).parameters(0, replace(_RAW, scale_b=1.0))
        one.stream("in0", view.buffer, start(view), planes(view), core.pixels, bounds)
        one.stream("out0", u, 0, [Step(vectors * own, vector)], core.pixels).add(self.context, f"{label} u")
        two = launch(digits, 2, 5).numbers(a=(False, 0), w=(False, 0))
        for number, table in enumerate(tables):
            place = self._table(number, table, label)
            two.parameters(number, replace(_RAW, zero=255, scale_b=-1.0), table=place)
        two.stream("in0", u, 0, [Step(vectors * own, vector)], core.pixels).stream("in1", u, 0, [Step(vectors * own, vector)], core.pixels)
        two.stream("out0", e, 0, [Step(vectors * (2 * own + 1), vector)], core.pixels).add(self.context, f"{label} e")
        three = launch(reciprocal, 0, 0).numbers().parameters(0, _RAW)
        three.stream("in0", e, 2 * own * vector, [Step(vectors, (2 * own + 1) * vector)], core.pixels)
        three.stream("out0", r, 0, [Step(vectors * QUARTERS, vector)], core.pixels).add(self.context, f"{label} r")
        finish = Finish("float", zero=last.zero, low=last.low, high=last.high)
        four = launch(weighted, 7, 3).numbers(a=(False, 0), w=(False, 0)).parameters(0, finish, Region((0, 0, 0, 0), 1.0, last.divisor))
        four.stream("in0", e, 0, [Step(vectors, (2 * own + 1) * vector), Step(2 * own, vector)], core.pixels)
        four.stream("in1", r, 0, [Step(vectors * QUARTERS, vector)], core.pixels)
        four.stream("out0", out.buffer, start(out), planes(out), core.pixels, bounds).add(self.context, f"{label} y")

    def _table(self, number: int, table: np.ndarray, label: str) -> Buffer:
        assert self.unit.table_or_none is not None, "tables are bound to cores that have some"
        return self.context.table(f"{self.codelet.name}.t{number}", table.tobytes(), self.unit.table_or_none, label)
