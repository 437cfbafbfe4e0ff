"""Tile windows that slide over each channel alone: depthwise convolutions, averages, largest elements.

    before   codelet: for n, c, oy, ox: reduce ky, kx: acc = MAC(..); y = REQUANTIZE(acc)
    after    for each strip of rows, for each granule of channels: [load weights and parameters] core [store]

Weights and parameters of a granule stand in registers. Where all channels have the same, averages and largest elements, granules are a loop of one launch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from compiler.kernels.core import Misfit
from compiler.kernels.pack import Packed
from compiler.kernels.recipes.pooling import Pooling, pooling
from compiler.kernels.recipes.sliding import Sliding, sliding
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region, regions
from compiler.tiling.kernels.base import LEAST_TAPERED, KernelTiler, Strip, cheapest
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.tile_context import TileContext

__all__ = ["KernelPoolingTiler", "KernelSlidingTiler"]

#: Most rows of results of a tile.
MOST_ROWS = 8
#: Columns of a window that one word of a lane takes.
TAPS = 4
#: Cycles that an instruction takes beyond its packets, in a row of its like.
LAUNCH_CYCLES = 20


class _Windows(KernelTiler):
    """What sums and largest elements have in common: strips, regions of one divisor, granules of channels."""

    def run(self) -> None:
        """Emit everything."""
        for strip in self.strips():
            view, out = self.input_view(self.x, strip), self.output_view(strip)
            for region in regions(self.codelet.finish, (strip.y0, strip.y1, 0, self.y.shape[3])):
                together = self.together(self.extent(region))
                for first in range(0, self.granules, together):
                    try:
                        self.launch(strip, first, min(together, self.granules - first), view, out, region)
                    except Misfit as misfit:
                        raise self.misfit(misfit) from None
            self.store(strip, out)

    def reloads(self) -> bool:
        """Whether strips load rows that the one before has had."""
        return self.window.kernel[0] > self.window.step[0] and not self.context.is_resident(self.x)

    def pieces(self) -> int:
        """Strips at least: few where they load rows twice."""
        return min(super().pieces(), LEAST_TAPERED) if self.reloads() else super().pieces()

    def together(self, extent: tuple[int, int]) -> int:
        """Granules of channels of one instruction, over a region of so many rows and columns."""
        return self.granules

    @abstractmethod
    def launch(self, strip: Strip, first: int, granules: int, view: View, out: View, region: Region) -> None:
        """One instruction: granules [first, first + granules) of a region of a strip."""

    def operand(self, launch: Launch, strip: Strip, first: int, granules: int, view: View, region: Region, tiles: list[Step], inner: list[Step]) -> None:
        """The stream of activations: ``tiles`` count results, ``inner`` levels input rows and pixels."""
        y0, _, x0, _ = region.box
        (sy, sx), row, pixel = self.window.step, view.row_bytes, view.pixel_bytes
        start = self.window.origin(0, y0), self.window.origin(1, x0)
        steps = [Step(granules, view.granule_bytes), *(Step(t.count, t.y * sy * row + t.x * sx * pixel, t.y * sy, t.x * sx) for t in tiles)]
        steps += [Step(s.count, s.y * row + s.x * pixel, s.y, s.x) for s in inner]
        offset = view.at(strip.n0, *start, first * self.core.granule_bytes)
        launch.stream("in0", view.buffer, offset, steps, self.core.pixels, Bounds((start[0] - view.y0, start[1] - view.x0), (view.height, view.width)))

    def results(self, launch: Launch, strip: Strip, first: int, granules: int, out: View, region: Region, steps: list[Step], moved: int) -> None:
        """The stream of results, within the region."""
        y0, y1, x0, x1 = region.box
        row, pixel = out.row_bytes, out.pixel_bytes
        levels = [Step(granules, out.granule_bytes), *(Step(s.count, s.y * row + s.x * pixel, s.y, s.x) for s in steps)]
        offset = out.at(strip.n0, y0, x0, first * self.core.granule_bytes)
        launch.stream("out0", out.buffer, offset, levels, moved, Bounds((0, 0), (y1 - y0, x1 - x0)))

    @staticmethod
    def extent(region: Region) -> tuple[int, int]:
        """Rows and columns of a region."""
        y0, y1, x0, x1 = region.box
        return y1 - y0, x1 - x0


class KernelSlidingTiler(_Windows):
    """Sums over windows: depthwise convolutions, and averages by weights of one."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self.w = self.codelet.operands.get("w")
        self.each = self.w is not None
        kh, kw = self.window.kernel
        #: Columns of the window in each group, -1 for none.
        beside = self.window.dilation[1] == 1
        fours = [[kx if kx < kw else -1 for kx in range(lo, lo + TAPS)] for lo in range(0, kw, TAPS)]
        self.groups = fours if beside else [[kx, -1, -1, -1] for kx in range(kw)]
        self.apart = TAPS if beside else self.window.dilation[1]
        #: Numbers of the vectors of weights: sums need but one for each pattern of columns.
        patterns = [tuple(kx >= 0 for kx in group) for group in self.groups]
        known = list(dict.fromkeys(patterns))
        one_each = [tuple(ky * len(self.groups) + g for g in range(len(self.groups))) for ky in range(kh)]
        self.numbers = tuple(one_each) if self.each else (tuple(known.index(pattern) for pattern in patterns),) * kh
        self._constants: dict[tuple[int, int, float], Buffer] = {}

    def together(self, extent: tuple[int, int]) -> int:
        """All where channels have nothing of their own, or where tiles that load what they have are sooner done than an instruction for each granule."""
        if not self.each or self.granules == 1:
            return self.granules
        found: list[tuple[int, int]] = []
        for granules in (1, self.granules):
            try:
                shape, packed = self.best(extent, granules)
            except Misfit:
                continue
            cycles = len(packed.prologue) + self.tiles(shape, extent, granules) * len(packed.body) + packed.drain
            found.append(((cycles + LAUNCH_CYCLES) * (self.granules // granules), granules))
        return min(found)[1] if found else 1

    def best(self, extent: tuple[int, int], granules: int) -> tuple[Sliding, Packed]:
        """The fastest tile of an instruction over so many granules. Raises Misfit."""
        return cheapest(sliding, self.shapes(extent, self.each and granules > 1), self.core, lambda shape: self.tiles(shape, extent, granules))

    def tiles(self, shape: Sliding, extent: tuple[int, int], granules: int) -> int:
        """Iterations of an instruction."""
        count = granules * ceil_div(extent[0], shape.rows) * ceil_div(extent[1], self.made(shape))
        return count if shape.whole else count * self.window.kernel[0]

    def made(self, shape: Sliding) -> int:
        """Results of a row of a tile."""
        return shape.pairs * (self.core.lanes // self.core.granule_bytes if shape.step else 1)

    def shapes(self, extent: tuple[int, int], streamed: bool) -> Iterator[Sliding]:
        """Shapes of a tile of so many rows and columns of results."""
        results = self.core.lanes // self.core.granule_bytes
        (sy, sx), dy = self.window.step, self.window.dilation[0]
        step = sx if sx <= 2 else 0
        most = self.core.pixels // results
        pairs = min(most, ceil_div(extent[1], results if step else 1))
        rows = min(MOST_ROWS, extent[0])
        products = len(self.numbers) * len(self.groups) * pairs
        while rows:
            if products * rows <= 2 * self.core.packets:
                yield Sliding(self.numbers, rows, pairs, sy, dy, step, True, streamed)
            rows -= 1
        if products * 2 > self.core.packets and len(set(self.numbers)) == 1 and not streamed:
            yield Sliding(self.numbers[:1], 1, pairs, sy, dy, step, False)

    def launch(self, strip: Strip, first: int, granules: int, view: View, out: View, region: Region) -> None:
        """One instruction."""
        rows, columns = extent = self.extent(region)
        results = self.core.lanes // self.core.granule_bytes
        kernel_rows = self.window.kernel[0]

        streamed = self.each and granules > 1
        shape, packed = self.best(extent, granules)
        iterations = 1 if shape.whole else kernel_rows
        label = f"{strip.label} y{region.box[0]} x{region.box[2]} c{first * self.core.granule_bytes}"
        count = self.tiles(shape, extent, granules) // iterations
        launch = Launch(self.unit, packed, self.kernel(packed, label), **({"tiles": 1, "iterations": count} if shape.whole else
                                                                        {"tiles": count, "iterations": iterations}))  # fmt: skip
        weights = (True, 0) if self.w is None else (self.w.dtype == "i8", self.w.zero)
        launch.numbers(a=(self.x.dtype == "i8", self.x.zero), w=weights)
        self.finish(launch, region, label)
        over = [Step(ceil_div(rows, shape.rows), 0, shape.rows), Step(ceil_div(columns, self.made(shape)), 0, 0, self.made(shape))]
        each = results * self.window.step[1] if shape.step else self.window.step[1]
        between = shape.between if shape.whole else self.window.dilation[0]
        inner = [Step(shape.read if shape.whole else kernel_rows, 0, between), Step(len(self.groups), 0, 0, self.apart), Step(shape.pairs, 0, 0, each)]
        self.operand(launch, strip, first, granules, view, region, over, inner)
        constants = self.constants(first, granules if streamed else 1, region, label)
        vector, own = self.core.vector_bytes, 2 + shape.vectors
        again = [Step(granules, own * vector), *(Step(step.count, 0) for step in over)] if streamed else []
        launch.stream("in1", constants, 0, [*again, Step(own, vector)], self.core.pixels)
        within = [Step(shape.rows, 0, 1)] if shape.step else [Step(shape.rows, 0, 1), Step(shape.pairs, 0, 0, 1)]
        self.results(launch, strip, first, granules, out, region, [*over, *within], results * shape.pairs if shape.step else 1)
        launch.add(self.context, label)

    def constants(self, first: int, granules: int, region: Region, label: str) -> Buffer:
        """Buffer of bias, weights and scale of granules of channels one behind the other, loaded unless it still stands there."""
        key = (first, granules, region.scale_a) if self.each else (0, 1, region.scale_a)
        if key not in self._constants:
            content = b"".join(self._constant(granule, region) for granule in range(key[0], key[0] + key[1]))
            self._constants = {} if len(self._constants) > 1 else self._constants
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.w", content, self.unit.weight, label)
        return self._constants[key]

    def _constant(self, granule: int, region: Region) -> bytes:
        """Vectors of bias, weights and scale of a granule of channels."""
        finish, g = self.codelet.finish, self.core.granule_bytes
        channels = self.y.shape[1]
        bias = finish.bias if finish.bias.size else np.zeros(channels, np.int32)
        scale = finish.scale if finish.scale.size else np.full(channels, region.scale_a, np.float32)
        vectors = []
        for values in (bias.astype(np.int32), scale.astype(np.float32).view(np.int32)):
            mine = values[granule * g : (granule + 1) * g]
            vectors.append(np.tile(np.pad(mine, (0, g - len(mine))), self.core.lanes // g).astype("<i4").tobytes())
        return vectors[0] + self._weights(granule) + vectors[1]

    def _weights(self, first: int) -> bytes:
        """Vectors of weights of a granule: channel by channel four columns of a row, repeated for each result of a window."""
        g, times = self.core.granule_bytes, self.core.lanes // self.core.granule_bytes
        if self.w is None:
            found = {number: [1 if kx >= 0 else 0 for kx in group] for number, group in zip(self.numbers[0], self.groups, strict=True)}
            lanes = [np.tile(np.array(found[number], np.int8), (g, 1)) for number in sorted(found)]
        else:
            constant = self.w.constant[first * g : (first + 1) * g, 0]
            lanes = []
            for ky in range(constant.shape[1]):
                for group in self.groups:
                    word = np.full((g, TAPS), self.w.zero, constant.dtype)
                    for q, kx in enumerate(group):
                        if kx >= 0:
                            word[: len(constant), q] = constant[:, ky, kx]
                    lanes.append(word)
        return b"".join(np.tile(word, (times, 1)).tobytes() for word in lanes)


class KernelPoolingTiler(_Windows):
    """Largest elements of windows."""

    def shapes(self, extent: tuple[int, int]) -> Iterator[Pooling]:
        """Shapes of a tile of so many rows of results."""
        finish = self.codelet.finish
        bounds = (-128, 127) if self.x.dtype == "i8" else (0, 255)
        through = finish.table is not None or (finish.low, finish.high) != bounds
        rows = min(MOST_ROWS, extent[0])
        while rows:
            shape = Pooling(self.window.kernel, self.window.step, self.window.dilation, rows, through)
            if shape.read * shape.starts[0] * shape.halves <= self.core.packets // 2:
                yield shape
            rows -= 1

    def launch(self, strip: Strip, first: int, granules: int, view: View, out: View, region: Region) -> None:
        """One instruction."""
        rows, columns = extent = self.extent(region)

        def tiles(shape: Pooling) -> int:
            return granules * ceil_div(rows, shape.rows) * ceil_div(columns, shape.results(self.core))

        shape, packed = cheapest(pooling, self.shapes(extent), self.core, tiles)
        label = f"{strip.label} y{region.box[0]}"
        launch = Launch(self.unit, packed, self.kernel(packed, label), tiles=1, iterations=tiles(shape))
        signed = self.x.dtype == "i8"
        least = -128 if signed else 0
        launch.numbers(a=(signed, least), w=(signed, least))  # what lies outside is the least byte
        self.finish(launch, None, label)
        launch.moved_zero(0, least)
        made = shape.results(self.core)
        over = [Step(ceil_div(rows, shape.rows), 0, shape.rows), Step(ceil_div(columns, made), 0, 0, made)]
        starts, apart = shape.starts
        inner = [Step(shape.read, 0, shape.between), Step(starts, 0, 0, apart), Step(shape.halves, 0, 0, self.core.pixels)]
        self.operand(launch, strip, first, granules, view, region, over, inner)
        beside = self.window.step[1] <= 2
        within = [Step(shape.rows, 0, 1)] if beside else [Step(shape.rows, 0, 1), Step(made, 0, 0, 1)]
        self.results(launch, strip, first, granules, out, region, [*over, *within], self.core.pixels if beside else 1)
        launch.add(self.context, label)
