"""Tile a micro-program for a programmable engine: a launch for each of its kernels on every strip of pixels, with what is between them on chip.

    before   codelet: for each pixel: m = MAXIMUM(x); e = TABLE(x - m); S = SUM(e); y = REQUANTIZE(e / S)
    after    for each strip: [load box] core (m) core (e) core (S, 1 / S) core (y) [store]

A strip's *frame* holds value after value, of each plane after plane, of each vector after vector of pixels: a narrow value is a tensor as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.codelets import Finish
from compiler.kernels.body import Item
from compiler.kernels.core import Misfit
from compiler.kernels.pack import Packed
from compiler.kernels.recipes.rows import RowKernel, fitted, frozen
from compiler.kernels.rows.cutting import cut_for
from compiler.kernels.rows.segments import Band, Pixels, Segment
from compiler.kernels.rows.values import QUARTERS
from compiler.mapping.assigned import Assigned
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.bands import BandTiler
from compiler.tiling.kernels.base import KernelTiler, Strip
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.tile_context import TileContext

__all__ = ["KernelRowsTiler", "Stage"]

#: Iterations that are one.
COPIES = (4, 2, 1)
#: Most iterations of a launch in one go.
MOST_ITERATIONS = (1 << 16) - 1


@dataclass
class Stage:
    """A strip of pixels on its way: views of its tensors, its frame, where parts of sums over channels stand, and the values one a channel."""

    strip: Strip
    views: dict[str, View]
    out: View | None
    frame: Buffer | None
    sums: dict[str, Buffer]
    channels: Buffer | None


class KernelRowsTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self.roles = [role for role in self.codelet.operands if role != "y"]
        self.beside = [self.codelet.operands[role] for role in self.roles if role != "x"]
        self.cut = cut_for(self.codelet, self.unit)
        self.planes = self.cut.rows.planes
        #: Parts of sums over channels.
        self.parts = sum(isinstance(segment, Band) for segment in self.cut.segments)

    def run(self) -> None:
        """Emit everything."""
        for strip in self.strips():
            views = {role: self.input_view(self.codelet.operands[role], strip) for role in self.roles}
            stage = Stage(strip, views, self.output_view(strip), self.frame(strip), {}, None)
            self.launches(stage, self.cut.segments)
            assert stage.out is not None, "a strip has results"
            self.store(strip, stage.out)

    def launches(self, stage: Stage, segments: tuple[Segment | Band | Pixels, ...]) -> None:
        """The launches of some segments. Raises CompilerError where the core can hold one of the kernels no more."""
        try:
            for role, place in self.cut.entered.items():
                self.enter(stage, role, place)
            for segment in segments:
                if isinstance(segment, Band):
                    self.band(stage, segment)
                elif isinstance(segment, Segment):
                    self.segment(stage, segment)
        except Misfit as misfit:
            raise self.misfit(misfit) from None

    # ---- sizes

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
        """Bytes between the launches, parts of sums over channels left out."""
        return self.padded(strip) * (self.cut.frame * self.planes + self.cut.pixels) * self.core.vector_bytes

    def part_bytes(self, strip: Strip) -> int:
        """Bytes of a part of a sum over channels."""
        return self.padded(strip) * QUARTERS * self.planes * self.core.vector_bytes

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip, what is between its launches among them."""
        return super().bytes_of(strip) + self.frame_bytes(strip) + self.parts * self.part_bytes(strip)

    def frame(self, strip: Strip) -> Buffer | None:
        """A new frame for a strip, unless nothing stands there."""
        size = self.frame_bytes(strip)
        return self.context.buffer(f"{self.codelet.name}.frame", self.unit.activation, size) if size else None

    # ---- launches

    def start(self, view: View, strip: Strip, plane: int = 0) -> int:
        """Where a strip begins in a view."""
        return view.at(strip.n0, strip.y0, 0, 0) + plane * view.granule_bytes

    def launch(self, shape: RowKernel, total: int, label: str) -> Launch:
        """An instruction of so many iterations, several of them together where that is faster. Raises Misfit."""
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

    def tensor(self, view: View, strip: Strip, planes: range) -> tuple[list[Step], Bounds]:
        """Levels and bounds of a stream over some planes of each vector of a tensor."""
        steps = [Step(self.vectors(strip), self.core.pixels * view.pixel_bytes, 0, self.core.pixels), Step(len(planes), view.granule_bytes)]
        return steps, Bounds((0, 0), (1, self.pixels(strip)))

    def enter(self, stage: Stage, role: str, place: int) -> None:
        """A tensor becomes a value of the frame, or of those one a pixel; its bytes of the sign that the kernels' bytes have. What is beyond the last pixel
        counts as nothing."""
        assert stage.frame is not None, "what enters has a place"
        rows, vector, core, strip = self.cut.rows, self.core.vector_bytes, self.core, stage.strip
        planes, moved, vectors, padded, view = rows.planes_of(role), rows.moved(role), self.vectors(strip), self.padded(strip), stage.views[role]
        items = [Item("LDV", "x", stream="in0")]
        if moved:
            items += [Item("REQB", "y", {"a": "x", "b": "x"}, {"quarter": q, "qa": q, "qb": q, "set": 0, "op": 0}, partial=True) for q in range(QUARTERS)]
        items.append(Item("STV", reads={"a": "y" if moved else "x"}, numbers={"first": 0}, stream="out0"))
        made = self.launch(RowKernel(tuple(map(frozen, items))), vectors * planes, strip.label)
        natural = rows.value(role)
        made.numbers(a=(natural.dtype == "i8", natural.zero), w=(False, 0))
        low, high = rows.range
        made.parameters(0, Finish("float", zero=natural.zero + moved, low=low, high=high))
        steps, bounds = self.tensor(view, strip, range(planes))
        made.stream("in0", view.buffer, self.start(view, strip), steps, core.pixels, bounds)
        first = place * padded * self.planes if planes == self.planes else (self.cut.frame * self.planes + place) * padded
        steps = [Step(vectors, vector), Step(planes, padded * vector)]
        made.stream("out0", stage.frame, first * vector, steps, core.pixels).add(self.context, f"{strip.label} {role}")

    def band(self, stage: Stage, band: Band) -> None:
        """A product of channels; its sums go to the frame where several are read at once."""
        strip, vector, padded, core = stage.strip, self.core.vector_bytes, self.padded(stage.strip), self.core
        size, granule = self.part_bytes(strip), core.granule_bytes
        stage.sums[band.result] = self.context.buffer(f"{self.codelet.name}.{band.result}", self.unit.activation, size)
        pixels = self.pixels(strip) if band.tensor else padded * core.pixels
        if band.tensor:
            view = stage.views[band.tensor]
            x = View(view.buffer, self.start(view, strip), 0, pixels * granule, granule, 1, 1, pixels, granule=granule, granule_bytes=view.granule_bytes)
        else:
            assert stage.frame is not None, "what is read has a place"
            first = band.place * padded * self.planes * vector
            x = View(stage.frame, first, 0, pixels * granule, granule, 1, 1, pixels, granule=granule, granule_bytes=padded * vector)
        pitch = padded * QUARTERS * vector
        y = View(stage.sums[band.result], 0, 0, 4 * pixels * granule, 4 * granule, 4, 1, pixels, granule=granule, granule_bytes=pitch)
        BandTiler(self, band, pixels).emit(x, y, strip.label)
        if band.entered < 0:
            return
        assert stage.frame is not None, "what enters has a place"
        items = [Item("LDV", "x", stream="in0"), Item("STV", reads={"a": "x"}, numbers={"first": 0}, stream="out0")]
        made = self.launch(RowKernel(tuple(map(frozen, items))), padded * self.planes * QUARTERS, strip.label).numbers().parameters(0, Finish("float"))
        steps = [Step(padded, QUARTERS * vector), Step(self.planes, pitch), Step(QUARTERS, vector)]
        made.stream("in0", stage.sums[band.result], 0, steps, core.pixels)
        every = padded * self.planes * vector
        steps = [Step(padded, vector), Step(self.planes, padded * vector), Step(QUARTERS, every)]
        made.stream("out0", stage.frame, band.entered * every, steps, core.pixels).add(self.context, f"{strip.label} {band.result}")

    def segment(self, stage: Stage, segment: Segment) -> None:
        """One launch."""
        core, vector, strip, own, label = self.core, self.core.vector_bytes, stage.strip, self.planes, stage.strip.label
        padded, planes = self.padded(strip), own if segment.kind != "pixel" else 1
        vectors = {"element": self.vectors(strip), "pixel": padded, "channel": 1}[segment.kind]
        made = self.launch(segment.shape, vectors * planes, label)
        made.numbers(a=(bool(segment.numbers["a"][0]), segment.numbers["a"][1]), w=(bool(segment.numbers["w"][0]), segment.numbers["w"][1]))
        for number, setting in enumerate(segment.settings):
            place = None
            if setting.table:
                assert self.unit.table_or_none is not None, "tables are bound to cores that have some"
                place = self.context.table(f"{self.codelet.name}.t", setting.table, self.unit.table_or_none, label)
            finish = Finish("float", zero=setting.zero, low=setting.low, high=setting.high, scale_b=setting.scale_b)
            made.parameters(number, finish, Region((0, 0, 0, 0), setting.scale_a, setting.divisor), place)
        read = range(own) if segment.kind != "pixel" else segment.planes
        every, pixels_at = padded * own * vector, self.cut.frame * padded * own * vector
        for kind, name in segment.streams.items():
            buffer: Buffer | None = stage.frame
            bounds = None
            if kind == "direct":
                view = stage.views[segment.direct]
                buffer, offset = view.buffer, self.start(view, strip, read.start)
                steps, bounds = self.tensor(view, strip, read)
                steps[0] = replace(steps[0], count=vectors)
            elif kind == "frame":
                offset = segment.frame.start * every + read.start * padded * vector
                steps = [Step(vectors, vector), Step(len(read), padded * vector), Step(len(segment.frame), every)]
            elif kind == "sums":
                buffer, offset = stage.sums[segment.sums], read.start * padded * QUARTERS * vector
                steps = [Step(vectors, QUARTERS * vector), Step(len(read), padded * QUARTERS * vector), Step(QUARTERS, vector)]
            elif kind == "pixels":
                offset = pixels_at + segment.pixels.start * padded * vector
                steps = [Step(vectors, vector), Step(planes, 0), Step(len(segment.pixels), padded * vector)]
            elif kind == "channels":
                buffer, offset = stage.channels, segment.channels.start * own * vector
                steps = [Step(vectors, 0), Step(own, vector), Step(len(segment.channels), own * vector)]
            else:
                content = b"".join(segment.shared) if kind == "constants" else np.stack(segment.by_plane, 1).tobytes()
                buffer, offset = self.context.load_constant(f"{self.codelet.name}.{kind}", content, self.unit.weight, label), 0
                count = len(segment.by_plane)
                steps = [Step(vectors, 0), Step(own, count * vector), Step(count, vector)] if kind == "planes" else [Step(len(segment.shared), vector)]
            assert buffer is not None, "what is read has a place"
            made.stream(name, buffer, offset, steps, core.pixels, bounds)
        self._stored(made, stage, segment, vectors)
        made.add(self.context, f"{label} {segment.stores}")

    def _stored(self, made: Launch, stage: Stage, segment: Segment, vectors: int) -> None:
        """The stream of what a segment leaves."""
        strip, vector, own, padded = stage.strip, self.core.vector_bytes, self.planes, self.padded(stage.strip)
        buffer, bounds, every = stage.frame, None, padded * own * vector
        if segment.stores == "y":
            assert stage.out is not None, "a strip has results"
            buffer, offset = stage.out.buffer, self.start(stage.out, strip)
            steps, bounds = self.tensor(stage.out, strip, range(own) if self.granules == own else range(1))
            if not self.cut.rows.narrow("y"):  # a pixel is four granules, and a vector of pixels four of lanes
                steps = [replace(steps[0], x=QUARTERS * steps[0].x), steps[1], Step(QUARTERS, vector, 0, self.core.pixels)]
                bounds = Bounds((0, 0), (1, QUARTERS * self.pixels(strip)))
            steps[0] = replace(steps[0], count=vectors)
        elif segment.stores == "channels":
            buffer, offset = stage.channels, segment.first * own * vector
            steps = [Step(own, vector), Step(segment.count, own * vector)]
        elif segment.stores == "frame":
            offset = segment.first * every
            steps = [Step(vectors, vector), Step(own, padded * vector), Step(segment.count, every)]
        else:
            offset = self.cut.frame * every + segment.first * padded * vector
            steps = [Step(vectors, vector), Step(segment.count, padded * vector)]
        assert buffer is not None, "what is made has a place"
        made.stream("out0", buffer, offset, steps, self.core.pixels, bounds)
