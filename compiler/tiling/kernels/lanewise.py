"""Tile functions of bytes side by side: of one tensor, or of two, each of the result's shape, spread over rows, columns and images, or constant.

    before   codelet: for c, oy, ox: y = REQUANTIZE(ADD(x[c, oy, ox], b[c, oy, ox]))
    after    for each strip of rows: [load boxes] [core (spread)] core [store]        and another for what is left of a vector

Planes that lie one behind the other are one row of vectors. An operand of one row is read again for each; one of one column is first spread on the core, a
vector of copies for each pixel. Constants are spread by the compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acg import primitives
from compiler.codelets import Operand
from compiler.kernels.core import Misfit
from compiler.kernels.recipes.lanewise import PAIRING, Lanewise, lanewise
from compiler.kernels.recipes.numbered import Numbered, numbered
from compiler.kernels.recipes.spreading import Spreading, spreading
from compiler.layout import Layout
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import KernelTiler, Strip, cheapest
from compiler.tiling.kernels.launch import Launch, Step, merged
from compiler.tiling.tile_context import Box, TileContext

__all__ = ["KernelLanewiseTiler"]

#: Most iterations of a launch in one go.
MOST_ITERATIONS = (1 << 16) - 1


@dataclass(frozen=True)
class Read:
    """How an operand is read: from a byte of a buffer on, so many bytes from a plane, a row, a vector of a row and a pixel of it to the next."""

    buffer: Buffer
    offset: int
    plane: int
    row: int
    vector: int
    pixel: int


class KernelLanewiseTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        #: Operands that are read element by element; beside numbers, one a channel, the tensor alone.
        self.read = [operand for role, operand in self.codelet.operands.items() if role in "xb"][-1 if self.codelet.per_channel else 0 :]
        self.beside = self.read[1:]
        self.rowwise = any(self.spread(operand) in ((True, False), (False, True)) for operand in self.read)
        self._constants: dict[tuple[object, ...], Buffer] = {}

    def spread(self, operand: Operand) -> tuple[bool, bool]:
        """Whether an operand has one row for all, and one pixel for all of a row; where the result has one row or column that of the other axis counts."""
        rows, columns = (own == 1 < out for own, out in zip(operand.shape[2:], self.y.shape[2:], strict=True))
        _, _, height, width = self.y.shape
        return rows or (columns and height == 1), columns or (rows and width == 1)

    def run(self) -> None:
        """Emit everything."""
        for strip in self.strips():
            out = self.output_view(strip)
            try:
                self.strip(strip, [self.reading(operand, strip) for operand in self.read], out)
            except Misfit as misfit:
                raise self.misfit(misfit) from None
            self.store(strip, out)

    def strip(self, strip: Strip, reads: Sequence[Read], out: View) -> None:
        """The launches of a strip: of whole vectors, and of what is left of them."""
        g, height, width = self.core.granule_bytes, strip.y1 - strip.y0, self.y.shape[3]
        rows, pixels = (height, width) if self.rowwise else (1, height * width)
        planes, result = self.granules, Read(out.buffer, out.at(strip.n0, strip.y0, 0, 0), out.granule_bytes, out.row_bytes, self.core.vector_bytes, g)
        if not self.rowwise and not self.codelet.per_channel and all(read.pixel and read.plane == pixels * g for read in (*reads, result)):
            planes, pixels = 1, pixels * planes
        vectors, rest = divmod(pixels, self.core.pixels)
        if vectors:
            self.launch(strip, reads, result, (planes, rows, vectors), 0, self.core.pixels)
        if rest:
            self.launch(strip, reads, result, (planes, rows, 1), vectors * self.core.pixels, rest)

    def box(self, operand: Operand, strip: Strip) -> Box:
        """What of an operand a strip touches."""
        n, _, height, width = operand.shape
        images = (strip.n0, strip.n1) if n == self.y.shape[0] else (0, 1)
        return (*images, *((strip.y0, strip.y1) if height == self.y.shape[2] else (0, 1)), 0, width, 0, operand.shape[1])

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip, what is spread for it among them."""
        spread = sum(self.granules * self.rows_of(operand, strip) * self.core.vector_bytes for operand in self.read if self.spread(operand)[1])
        return spread + sum(self.box_bytes(operand, strip) for operand in (*self.read, self.y))

    def rows_of(self, operand: Operand, strip: Strip) -> int:
        """Rows of an operand that a strip reads."""
        box = self.box(operand, strip)
        return 1 if self.spread(operand)[0] else box[3] - box[2]

    def reading(self, operand: Operand, strip: Strip) -> Read:
        """How a strip reads an operand, which is loaded and spread for it."""
        repeated, single = self.spread(operand)
        g, vector, box = self.core.granule_bytes, self.core.vector_bytes, self.box(operand, strip)
        rows = self.rows_of(operand, strip)
        if not operand.tensor:
            buffer = self._constant(operand, box, single, strip.label)
            if single:
                return Read(buffer, 0, rows * vector, 0 if repeated else vector, 0, 0)
            row = (box[5] - box[4]) * g
            return Read(buffer, 0, (box[3] - box[2]) * row, 0 if repeated else row, vector, g)
        view = self.input_view(operand, strip)
        start = view.at(box[0], box[2], 0, 0)
        if not single:
            return Read(view.buffer, start, view.granule_bytes, 0 if repeated else view.row_bytes, vector, g)
        place = self.context.buffer(f"{self.codelet.name}.s", self.unit.activation, self.granules * rows * vector)
        _, packed = cheapest(spreading, [Spreading(self.core.pixels)], self.core, lambda _: self.granules * rows)
        label = f"{strip.label} spread"
        launch = self.launching(packed, self.granules * rows, label)
        launch.stream("in0", view.buffer, start, [Step(self.granules, view.granule_bytes), Step(rows, view.row_bytes)], 1)
        launch.stream("out0", place, 0, [Step(self.granules * rows * self.core.pixels, g)], 1).add(self.context, label)
        return Read(place, 0, rows * vector, 0 if repeated else vector, 0, 0)

    def _constant(self, operand: Operand, box: Box, single: bool, label: str) -> Buffer:
        """Buffer of a box of a constant, by planes; a vector of copies for each pixel where it is spread."""
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        if (key := (operand.tensor, *box, single)) not in self._constants:
            array = operand.constant[n0:n1, c0:c1, y0:y1, x0:x1]
            array = np.repeat(array, self.core.pixels, axis=3) if single else array
            content = Layout(array.shape, operand.dtype, self.core.granule_bytes, planes=True).pack(np.ascontiguousarray(array))
            self._constants.clear()
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.b", content, self.unit.activation, label)
        return self._constants[key]

    def launching(self, packed: object, iterations: int, label: str) -> Launch:
        """An instruction of a kernel that makes so many iterations."""
        tiles = next(count for count in range(ceil_div(iterations, MOST_ITERATIONS), iterations + 1) if iterations % count == 0)
        return Launch(self.unit, packed, self.kernel(packed, label), tiles=tiles, iterations=iterations // tiles)  # type: ignore[arg-type]

    def launch(self, strip: Strip, reads: Sequence[Read], result: Read, counts: tuple[int, int, int], first: int, granules: int) -> None:
        """One instruction: so many planes, rows and vectors of each from a pixel on, ``granules`` of each."""
        planes, rows, vectors = counts
        total, label, finish = planes * rows * vectors, f"{strip.label} p{first}", self.codelet.finish
        named = self.codelet.per_channel
        if named:
            recipe, shapes, made = numbered, [Numbered(self.codelet.operations[0].name)], 1
            _, packed = cheapest(recipe, shapes, self.core, lambda _: total)
        else:
            pairing = next((PAIRING[operation.name] for operation in self.codelet.operations if operation.name in PAIRING), 0)
            shape, packed = cheapest(lanewise, [Lanewise(pairing, count) for count in (4, 2, 1) if total % count == 0], self.core,
                                     lambda shape: total // shape.vectors)  # fmt: skip
            made = shape.vectors
        launch = self.launching(packed, total // made, label)
        numbers = [(operand.dtype == "i8", operand.zero) for operand in self.read]
        launch.numbers(a=numbers[0], w=numbers[-1])
        self.finish(launch, Region((0, 0, 0, 0), finish.scale_a, finish.divisor), label)
        for name, read in zip(("in0", "in1", "out0") if len(reads) > 1 else ("in0", "out0"), (*reads, result), strict=True):
            steps = merged([Step(planes, read.plane), Step(rows, read.row), Step(vectors, read.vector)])
            launch.stream(name, read.buffer, read.offset + first * read.pixel, steps, granules)
        if named:
            self._numbers(launch, planes, rows * vectors, label)
        launch.add(self.context, label)

    def _numbers(self, launch: Launch, planes: int, vectors: int, label: str) -> None:
        """The numbers of each channel, and what stands in all lanes."""
        core, finish, x = self.core, self.codelet.finish, self.codelet.operands["x"]
        exact = (x.constant[0, :, 0, 0].astype(np.int32) - x.zero).astype(np.float32)
        numbers = np.zeros(self.granules * core.granule_bytes, np.float32)
        numbers[: len(exact)] = primitives.multiply(exact, finish.scale)
        tiled = np.tile(numbers.reshape(self.granules, core.granule_bytes), (1, core.lanes // core.granule_bytes))
        lanes = np.stack([np.full(core.lanes, value) for value in (0, 1)]).astype("<i4").tobytes()
        floats = np.stack([np.full(core.lanes, value) for value in (finish.scale_b, 1.0)]).astype("<f4").tobytes()
        content = tiled.astype("<f4").tobytes() + lanes + floats
        if ("numbers",) not in self._constants:
            self._constants["numbers",] = self.context.load_constant(f"{self.codelet.name}.w", content, self.unit.weight, label)
        place, vector = self._constants["numbers",], core.vector_bytes
        launch.stream("in1", place, 0, [Step(planes, vector), Step(vectors, 0)], core.pixels)
        launch.stream("in2", place, self.granules * vector, [Step(4, vector)], core.pixels)


