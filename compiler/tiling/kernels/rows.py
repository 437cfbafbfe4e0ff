"""Tile a micro-program for a programmable engine: a launch for each of its kernels on every strip of pixels, with what is between them on chip.

    before   codelet: for each pixel: m = MAXIMUM(x); e = TABLE(x - m); S = SUM(e); y = REQUANTIZE(e / S)
    after    for each strip: [load box] core (m) core (e) core (S, 1 / S) core (y) [store]
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets import Finish
from compiler.kernels.body import Item
from compiler.kernels.core import Misfit
from compiler.kernels.pack import Packed
from compiler.kernels.recipes.rows import RowKernel, fitted, frozen
from compiler.kernels.rows.cutting import cut_for
from compiler.kernels.rows.segments import Segment
from compiler.kernels.rows.values import QUARTERS
from compiler.mapping.assigned import Assigned
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import KernelTiler, Strip
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.tile_context import TileContext

__all__ = ["KernelRowsTiler"]

#: Iterations that are one.
COPIES = (4, 2, 1)
#: Most iterations of a launch in one go.
MOST_ITERATIONS = (1 << 16) - 1


class KernelRowsTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self.roles = [role for role in self.codelet.operands if role != "y"]
        self.beside = [self.codelet.operands[role] for role in self.roles if role != "x"]
        self.cut = cut_for(self.codelet, self.unit)
        self.planes = self.cut.rows.planes

    def run(self) -> None:
        """Emit everything."""
        for strip in self.strips():
            views = {role: self.input_view(self.codelet.operands[role], strip) for role in self.roles}
            out = self.output_view(strip)
            try:
                self.strip(strip, views, out)
            except Misfit as misfit:
                raise self.misfit(misfit) from None
            self.store(strip, out)

    def vectors(self, strip: Strip) -> int:
        """Vectors of pixels of a strip."""
        return ceil_div(self.pixels(strip), self.core.pixels)

    def padded(self, strip: Strip) -> int:
        """Vectors of pixels that the frame has room for: several are an iteration."""
        copies = next(count for count in COPIES if count <= self.vectors(strip))
        return ceil_div(self.vectors(strip), copies) * copies

    def pixels(self, strip: Strip) -> int:
        """Pixels of a strip."""
        return (strip.n1 - strip.n0) * (strip.y1 - strip.y0) * self.y.shape[3]

    def frame_bytes(self, strip: Strip) -> int:
        """Bytes between the launches."""
        return self.padded(strip) * (self.cut.frame * self.planes + self.cut.pixels) * self.core.vector_bytes

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip, what is between its launches among them."""
        return super().bytes_of(strip) + self.frame_bytes(strip)

    def strip(self, strip: Strip, views: dict[str, View], out: View) -> None:
        """The launches of a strip."""
        size = self.frame_bytes(strip)
        frame = self.context.buffer(f"{self.codelet.name}.frame", self.unit.activation, size) if size else None
        for role, place in self.cut.entered.items():
            self.enter(strip, role, views[role], frame, place)
        for segment in self.cut.segments:
            self.segment(strip, segment, views, out, frame)

    def start(self, view: View, strip: Strip, plane: int = 0) -> int:
        """Where a strip begins in a view."""
        return view.at(strip.n0, strip.y0, 0, 0) + plane * view.granule_bytes

    def launch(self, shape: RowKernel, total: int, label: str) -> Launch:
        """An instruction of so many iterations, several of them together where that is faster."""
        found: list[tuple[int, int, Packed]] = []
        why = Misfit("no kernel")
        for copies in COPIES:
            if total % copies:
                continue
            try:
                packed = fitted(replace(shape, copies=copies), self.core)
                found.append((len(packed.prologue) + total // copies * len(packed.body) + packed.drain, copies, packed))
            except Misfit as misfit:
                why = misfit
        if not found:
            raise why
        _, copies, packed = min(found, key=lambda each: each[:2])
        total //= copies
        tiles = next(count for count in range(ceil_div(total, MOST_ITERATIONS), total + 1) if total % count == 0)
        return Launch(self.unit, packed, self.kernel(packed, label), tiles=tiles, iterations=total // tiles)

    def enter(self, strip: Strip, role: str, view: View, frame: Buffer | None, place: int) -> None:
        """A tensor becomes a value of the frame, or of those one a pixel; its bytes of the sign that the kernels' bytes have."""
        assert frame is not None, "what enters has a place"
        rows, vector, vectors, core, padded = self.cut.rows, self.core.vector_bytes, self.vectors(strip), self.core, self.padded(strip)
        planes, moved = rows.planes_of(role), rows.moved(role)
        items = [Item("LDV", "x", stream="in0")]
        if moved:
            items += [Item("REQB", "y", {"a": "x", "b": "x"}, {"quarter": q, "qa": q, "qb": q, "set": 0, "op": 0}, partial=True) for q in range(QUARTERS)]
        items.append(Item("STV", reads={"a": "y" if moved else "x"}, numbers={"first": 0}, stream="out0"))
        made = self.launch(RowKernel(tuple(map(frozen, items))), vectors * planes, strip.label).numbers(a=(rows.lowest_dtype(role) == "i8", 0), w=(False, 0))
        low, high = rows.range
        made.parameters(0, Finish("float", zero=moved, low=low, high=high))
        steps = [Step(vectors, core.pixels * view.pixel_bytes, 0, core.pixels), Step(planes, view.granule_bytes)]
        made.stream("in0", view.buffer, self.start(view, strip), steps, core.pixels, Bounds((0, 0), (1, self.pixels(strip))))
        first = place * padded * self.planes if planes == self.planes else (self.cut.frame * self.planes + place) * padded
        made.stream("out0", frame, first * vector, [Step(vectors * planes, vector)], core.pixels).add(self.context, f"{strip.label} {role}")

    def segment(self, strip: Strip, segment: Segment, views: dict[str, View], out: View, frame: Buffer | None) -> None:
        """One launch."""
        core, vector, padded, own, label = self.core, self.core.vector_bytes, self.padded(strip), self.planes, strip.label
        vectors = self.vectors(strip) if segment.by_planes else padded
        made = self.launch(segment.shape, vectors * own if segment.by_planes else vectors, label)
        made.numbers(a=(bool(segment.numbers["a"][0]), segment.numbers["a"][1]), w=(bool(segment.numbers["w"][0]), segment.numbers["w"][1]))
        for number, setting in enumerate(segment.settings):
            place = None
            if setting.table:
                assert self.unit.table_or_none is not None, "tables are bound to cores that have some"
                place = self.context.table(f"{self.codelet.name}.t", setting.table, self.unit.table_or_none, label)
            finish = Finish("float", zero=setting.zero, low=setting.low, high=setting.high, scale_b=setting.scale_b)
            made.parameters(number, finish, Region((0, 0, 0, 0), setting.scale_a, setting.divisor), place)
        bounds, read = Bounds((0, 0), (1, self.pixels(strip))), range(own) if segment.by_planes else segment.planes
        every, pixels_at = padded * own * vector, self.cut.frame * padded * own * vector

        def tensor(view: View, planes: range) -> list[Step]:
            return [Step(vectors, core.pixels * view.pixel_bytes, 0, core.pixels), Step(len(planes), view.granule_bytes)]

        for kind, name in segment.streams.items():
            if kind == "direct":
                view = views[segment.direct]
                made.stream(name, view.buffer, self.start(view, strip, read.start), tensor(view, read), core.pixels, bounds)
            elif kind == "frame":
                assert frame is not None, "what is read has a place"
                steps = [Step(vectors, own * vector), Step(len(read), vector), Step(len(segment.frame), every)]
                made.stream(name, frame, segment.frame.start * every + read.start * vector, steps, core.pixels)
            elif kind == "pixels":
                assert frame is not None, "what is read has a place"
                steps = [Step(vectors, vector), Step(own if segment.by_planes else 1, 0), Step(len(segment.pixels), padded * vector)]
                made.stream(name, frame, pixels_at + segment.pixels.start * padded * vector, steps, core.pixels)
            else:
                content = b"".join(segment.shared) if kind == "constants" else np.stack(segment.by_plane, 1).tobytes()
                place = self.context.load_constant(f"{self.codelet.name}.{kind}", content, self.unit.weight, label)
                count = len(segment.by_plane)
                steps = [Step(vectors, 0), Step(own, count * vector), Step(count, vector)] if kind == "planes" else [Step(len(segment.shared), vector)]
                made.stream(name, place, 0, steps, core.pixels)
        if segment.stores == "y":
            y = range(own) if self.granules > 1 or self.granules == own else range(1)
            made.stream("out0", out.buffer, self.start(out, strip), tensor(out, y), core.pixels, bounds)
        elif segment.stores == "frame":
            assert frame is not None, "what is made has a place"
            made.stream("out0", frame, segment.first * every, [Step(vectors * own, vector), Step(segment.count, every)], core.pixels)
        else:
            assert frame is not None, "what is made has a place"
            steps = [Step(vectors, vector), Step(segment.count, padded * vector)]
            made.stream("out0", frame, pixels_at + segment.first * padded * vector, steps, core.pixels)
        made.add(self.context, f"{label} {segment.stores}")


