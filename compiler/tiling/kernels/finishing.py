"""Tile a contraction whose sums a matrix unit makes and a programmable engine finishes.

    before   codelet: for n, oc, oy, ox: reduce ic, ky, kx: acc = MATMUL(..); y = REQUANTIZE(acc)
    after    for each tile: [load weights] [load input box] matrix+ [load kernel] [load bias and scale] core [store]

Tiles are those of any contraction (`compiler.tiling.contraction`). The sums of a tile stand by planes, as the result does: all positions of a block of
channels, then those of the next.
"""

from __future__ import annotations

import numpy as np

from compiler.errors import CompilerError
from compiler.kernels.core import Misfit
from compiler.kernels.recipes.finishing import QUARTERS, Finishing, finishing
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.contraction.contraction import ContractionTiler, Spot
from compiler.tiling.contraction.price import Choice, ContractionSizes
from compiler.tiling.kernels.base import KernelStore, cheapest
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.tile_context import TileContext

__all__ = ["FinishedTiler"]

#: Part of the memory of weights that all parameters of a layer may take, to be loaded once.
PARAMETERS = 1 / 8
#: Vectors of results of an iteration, tried in this order.
VECTORS = (4, 3, 2, 1)


class FinishedTiler(ContractionTiler):
    """Emits the operations of one contraction: sums on the matrix unit, results on the core."""

    def __init__(self, context: TileContext, step: Assigned, sizes: ContractionSizes, choice: Choice, share: Share | None = None) -> None:
        super().__init__(context, step, sizes, choice, share)
        self.unit, self.core = step.core, step.core.core
        self._kernels = KernelStore(context, self.codelet.name, self.unit)

    def sums(self, positions: int, columns: int, pitch: int, channel: int) -> tuple[int, dict[str, int]]:
        """Where the sums of a channel of the tile begin, and steps between them: planes."""
        word = 4 * self.columns
        return channel // self.columns * positions * word, {"oc": positions * word, "oy": columns * word, "ox": word}

    def finish_op(
        self, spot: Spot, region: Region, channels: tuple[int, int], source: tuple[Buffer, int, int], view: View, label: str, second: View | None = None
    ) -> None:
        """One instruction of the core: all planes of a rectangle of the tile. `source`: accumulators, first lane, lanes a position; no second operand."""
        n0, n1, y0, y1, x0, x1 = spot
        ry0, ry1, rx0, rx1 = region.box
        acc, wide = source[0], x1 - x0
        batched, word, pixels = self.sizes.batched, 4 * self.columns, self.core.pixels
        positions = (n1 - n0 if batched else y1 - y0) * wide
        rows, columns, down = (n1 - n0 if batched else ry1 - ry0), rx1 - rx0, view.image_bytes if batched else view.row_bytes
        planes = ceil_div(channels[1] - channels[0], self.columns)
        start = ((ry0 - y0) * wide + rx0 - x0) * word
        across = wide * word
        if rows > 1 and columns == wide and down == columns * view.pixel_bytes:  # rows that follow one another are one
            rows, columns = 1, rows * columns
        vectors = ceil_div(columns, pixels)
        total = rows * vectors
        shapes = [Finishing(count, planes > 1) for count in VECTORS if total % count == 0]
        try:
            shape, packed = cheapest(finishing, shapes, self.core, lambda shape: planes * total // shape.vectors)
        except Misfit as misfit:
            raise CompilerError(f"node {self.codelet.name}", found=str(misfit), expected=f"a kernel on {self.unit.engine.name}",
                                do="use a core with more registers or packets, or other slots") from None
        label = f"{label} p{rx0}" if region.box != (y0, y1, x0, x1) else label
        launch = Launch(self.unit, packed, self._kernels.buffer(packed, label), tiles=1, iterations=planes * total // shape.vectors)
        finish = self.codelet.finish
        table = None
        if finish.table is not None:
            assert self.unit.table_or_none is not None, "tables are bound to cores that have some"
            table = self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), self.unit.table_or_none, label)
        launch.numbers().parameters(0, finish, region, table)
        vector, granules = self.core.vector_bytes, word // self.core.granule_bytes
        sums = [Step(planes, positions * word), Step(rows, across, 1), Step(QUARTERS * vectors, vector, 0, pixels)]
        launch.stream("in0", acc, start, sums, pixels, Bounds((0, 0), (rows, columns * granules)))
        place, first = self.numbers(*channels, region, label)
        again = [Step(planes, 2 * vector), Step(total // shape.vectors if planes > 1 else 1, 0), Step(2, vector)]
        launch.stream("in1", place, first * 2 * vector, again, pixels)
        results = [Step(planes, view.granule_bytes), Step(rows, down, 1), Step(vectors, vector, 0, pixels)]
        launch.stream("out0", view.buffer, view.at(n0, ry0, rx0, channels[0]), results, pixels, Bounds((0, 0), (rows, columns)))
        launch.add(self.context, label)

    def numbers(self, lo: int, hi: int, region: Region, label: str) -> tuple[Buffer, int]:
        """Buffer of bias and scale of the channels [lo, hi), a vector of either for each plane, and the number of the first plane in it."""
        outputs, finish = self.sizes.out_channels, self.codelet.finish
        everything = ceil_div(outputs, self.columns) * 2 * self.core.vector_bytes <= PARAMETERS * self.unit.weight.size_bytes
        first, last = (0, outputs) if everything else (lo, hi)
        key = first, last
        if key not in self._parameters:
            bias = finish.bias if finish.bias.size else np.zeros(outputs, np.int32)
            scale = finish.scale if finish.scale.size else np.full(outputs, region.scale_a, np.float32)
            content = _vectors((bias.astype(np.int32), scale.astype(np.float32).view(np.int32)), first, last, self.columns, self.core.lanes)
            self._parameters = {key: self.context.load_constant(f"{self.codelet.name}.p", content, self.unit.weight, label)}
        return self._parameters[key], (lo - first) // self.columns


def _vectors(values: tuple[np.ndarray, ...], lo: int, hi: int, granule: int, lanes: int) -> bytes:
    """For each granule of channels [lo, hi) a vector of each array, its values as often as they find room, 0 beyond the last channel."""
    planes = ceil_div(hi - lo, granule)
    found = np.zeros((len(values), planes * granule), np.int32)
    for row, numbers in zip(found, values, strict=True):
        row[: hi - lo] = numbers[lo:hi]
    by_plane = found.reshape(len(values), planes, granule).transpose(1, 0, 2)
    return np.tile(by_plane, (1, 1, lanes // granule)).astype("<i4").tobytes()
