"""Tile functions of bytes side by side: of one tensor, or of two of one shape.

    before   codelet: for c, oy, ox: y = REQUANTIZE(ADD(x[c, oy, ox], b[c, oy, ox]))
    after    for each strip of rows: [load boxes] core [store]        and another for what is left of a vector

Planes that lie one behind the other are one row of vectors.
"""

from __future__ import annotations

from compiler.kernels.core import Misfit
from compiler.kernels.recipes.lanewise import PAIRING, Lanewise, lanewise
from compiler.tiles import View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import KernelTiler, Strip, cheapest
from compiler.tiling.kernels.launch import Launch, Step, merged

__all__ = ["KernelLanewiseTiler"]

#: Most iterations of a launch in one go.
MOST_ITERATIONS = (1 << 16) - 1


class KernelLanewiseTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def run(self) -> None:
        """Emit everything."""
        pairing = next((PAIRING[operation.name] for operation in self.codelet.operations if operation.name in PAIRING), 0)
        for strip in self.strips():
            views = [self.input_view(operand, strip) for operand in (self.x, *self.beside)]
            out = self.output_view(strip)
            pixels = (strip.n1 - strip.n0) * (strip.y1 - strip.y0) * self.y.shape[3]
            planes = Step(self.granules, pixels * self.core.granule_bytes)
            if all(view.granule_bytes == planes.bytes for view in (*views, out)):
                pixels, planes = pixels * self.granules, Step(1, 0)
            vectors, rest = divmod(pixels, self.core.pixels)
            try:
                if vectors:
                    self.launch(strip, pairing, views, out, planes.count, vectors, 0, self.core.pixels)
                if rest:
                    self.launch(strip, pairing, views, out, planes.count, 1, vectors * self.core.pixels, rest)
            except Misfit as misfit:
                raise self.misfit(misfit) from None
            self.store(strip, out)

    def launch(self, strip: Strip, pairing: int, views: list[View], out: View, planes: int, vectors: int, first: int, granules: int) -> None:
        """One instruction: so many vectors of each plane from a pixel on, ``granules`` of each."""
        total = planes * vectors
        shapes = [Lanewise(pairing, count) for count in (4, 2, 1) if total % count == 0]
        shape, packed = cheapest(lanewise, shapes, self.core, lambda shape: total // shape.vectors)
        label = f"{strip.label} p{first}"
        iterations = total // shape.vectors
        tiles = next(count for count in range(ceil_div(iterations, MOST_ITERATIONS), iterations + 1) if iterations % count == 0)
        launch = Launch(self.unit, packed, self.kernel(packed, label), tiles=tiles, iterations=iterations // tiles)
        numbers = [(operand.dtype == "i8", operand.zero) for operand in (self.x, *self.beside)]
        launch.numbers(a=numbers[0], w=numbers[-1])
        finish = self.codelet.finish
        self.finish(launch, Region((0, 0, 0, 0), finish.scale_a, finish.divisor), label)
        corner = (strip.n0, strip.y0, 0, 0)
        for name, view in zip(("in0", "in1", "out0"), (*views, out) if self.beside else (*views, None, out), strict=True):
            if view is not None:
                steps = merged([Step(planes, view.granule_bytes), Step(vectors, self.core.vector_bytes)])
                launch.stream(name, view.buffer, view.at(*corner) + first * self.core.granule_bytes, steps, granules)
        launch.add(self.context, label)
