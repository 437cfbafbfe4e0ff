"""Tile a contraction for a programmable engine: kernels, weights and parameters in, input boxes in, a launch for each pass and strip, results out.

    before   codelet: for n, oc, oy, ox: reduce ic, ky, kx: acc = MATMUL(..); y = REQUANTIZE(acc)
    after    for each strip of rows, for each pass over output channels: [load box] [load kernel] [load weights] core [store]

Groups of channels are one contraction whose weights are zero between them. A pointwise product is one long row of pixels. Tensors that do not reside on
chip come and go in strips of rows, twice as many as are at work fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.kernels.core import Misfit
from compiler.mapping.assign_engines import Assigned
from compiler.partitions import Partition
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import Region, regions
from compiler.tiling.kernels.base import KernelTiler, Strip
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.kernels.plan import Pass, Problem, passes
from compiler.tiling.tile_context import TileContext

__all__ = ["KernelContractionTiler"]

#: Most pixels of a row of a stream with bounds, and of a launch in one direction.
MOST_PIXELS = (1 << 16) - 1


class KernelContractionTiler(KernelTiler):
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self.w, self.planes = _bytes(_dense(self.codelet.operands["w"], self.codelet.group))
        oh, ow = self.y.shape[2:]
        #: All pixels lie in a row, whatever rows and images they belong to.
        self.flat = (self.window.kernel, self.window.step, self.window.pad) == ((1, 1), (1, 1), (0, 0)) and self.x.shape[2:] == (oh, ow)
        #: Results are the int32 sums.
        self.raw = self.codelet.finish.kind == "raw"
        self._weights: dict[int, Buffer] = {}

    def run(self) -> None:
        """Emit everything."""
        strips = self.strips()
        made = {strip: self.passes(strip) for strip in strips}
        first = made[strips[0]]
        keep = sum(self.constant_bytes(one) for one in first) <= self.room(self.unit.weight.name) or len(strips) == 1
        traffic = sum(self.constant_bytes(one) for one in first)
        again = sum(self.box_bytes(self.x, strip) for strip in strips)
        if keep or len(strips) * traffic <= traffic + len(first) * again:
            for strip in strips:
                view = self.input_view(self.x, strip)
                for number in range(len(made[strip])):
                    self.body(strip, made[strip][number], number, view)
                    if not keep:
                        self._weights.clear()
            return
        for number in range(len(first)):
            for strip in strips:
                self.body(strip, made[strip][number], number, self.input_view(self.x, strip))
            self._weights.clear()

    def grid(self, strip: Strip) -> tuple[int, int]:
        """Rows and columns of results of a launch."""
        rows, columns = strip.y1 - strip.y0, self.y.shape[3]
        return (1, (strip.n1 - strip.n0) * rows * columns) if self.flat else (rows, columns)

    def passes(self, strip: Strip) -> list[Pass]:
        """Kernels over the output channels of a strip; their weights fit. Raises CompilerError where none do."""
        problem = Problem(self.x.shape[1], self.y.shape[1], self.window.kernel, self.window.step, self.grid(strip), self.raw, self.planes)
        try:
            for blocks in (2, 1):
                found = passes(problem, self.core, most_blocks=blocks)
                # Of two blocks at once the next pass's weights come while one is at work.
                most = max(self.constant_bytes(one) for one in found)
                if most * blocks <= self.room(self.unit.weight.name):
                    return found
        except Misfit as misfit:
            raise self.misfit(misfit) from None
        raise CompilerError(f"node {self.codelet.name}", found=f"{max(map(self.constant_bytes, found))} bytes of weights of one block of channels",
                            expected=f"at most {self.room(self.unit.weight.name)}", do="use an architecture with a larger memory of weights")

    def constant_bytes(self, one: Pass) -> int:
        """Bytes of weights and parameters of a pass."""
        return (one.weights + one.shape.parameters) * self.core.vector_bytes

    def strips(self) -> list[Strip]:
        """Strips of rows that fit; all images at once where pixels lie in a row and the images have the same weights."""
        n, _, oh, ow = self.y.shape
        if self.flat and self.w.constant.size and self.context.is_resident(self.x) and self.resident_y and n * oh * ow <= MOST_PIXELS and self.pieces() == 1:
            return [Strip(0, n, 0, oh)]
        return [
            Strip(strip.n0, strip.n1, strip.y0 + lo, strip.y0 + hi) for strip in super().strips()
            for lo, hi in spans(strip.y1 - strip.y0, self._most_rows(strip.y1 - strip.y0, ow))
        ]

    def _most_rows(self, rows: int, columns: int) -> int:
        """Rows of a launch at most: pixels in a row are counted, and the stream of activations has no level for rows where it has one for each other loop."""
        if self.flat:
            return max(1, MOST_PIXELS // columns)
        return 1 if self.planes > 1 and self.window.step[1] > 1 else rows

    def in_tiles(self, rows: int) -> bool:
        """Whether a strip of so many rows is whole tiles: of pixels that lie in a row, whole vectors."""
        return not self.flat or rows * self.y.shape[3] % self.core.pixels == 0

    def box_bytes(self, operand: Operand, strip: Strip) -> int:
        """Bytes of an operand that are loaded for a strip, or stored from it: results pass by pass, of which a pass and a half are on their way at once."""
        size = super().box_bytes(operand, strip)
        most = 3 * self.core.lanes // self.core.granule_bytes
        return size if operand is not self.y else size * min(self.granules, most) // self.granules

    def body(self, strip: Strip, one: Pass, number: int, view: View) -> None:
        """One launch, or several where an average's divisor varies."""
        g = self.core.granule_bytes
        channels = one.first * g, min((one.first + one.granules) * g, self.y.shape[1])
        label = f"{strip.label} c{channels[0]}"
        out = self.output_view(strip, channels)
        region = regions(self.codelet.finish, (strip.y0, strip.y1, 0, self.y.shape[3]))[0]
        self.launch(strip, one, number, view, out, region, label)
        self.store(strip, out, channels)

    def launch(self, strip: Strip, one: Pass, number: int, view: View, out: View, region: Region, label: str) -> None:
        """The instruction of one pass over one strip."""
        shape = one.shape
        tiles = one.tiles[0] * one.tiles[1]
        launch = Launch(self.unit, one.packed, self.kernel(one.packed, label), **({"tiles": 1, "iterations": tiles} if shape.whole else
                                                                         {"tiles": tiles, "iterations": one.iterations}))  # fmt: skip
        launch.numbers(a=(self.x.dtype == "i8", self.x.zero), w=(self.w.dtype == "i8", self.w.zero))
        if not self.raw:
            self.finish(launch, region, label)
        self._activations(launch, one, view, strip)
        self._weights_of(launch, strip, one, number, region, label)
        self._results(launch, one, out, strip)
        launch.add(self.context, label)

    def _weights_of(self, launch: Launch, strip: Strip, one: Pass, number: int, region: Region, label: str) -> None:
        """The streams of weights and of parameters."""
        constants, vector, pixels = self.constants(one, number, region, label), self.core.vector_bytes, self.core.pixels
        parameters = one.shape.parameters
        launch.stream("in1", constants, parameters * vector, [Step(one.weights, vector)], pixels)
        launch.stream("in2", constants, 0, [Step(parameters, vector)], pixels)

    def _activations(self, launch: Launch, one: Pass, view: View, strip: Strip) -> None:
        shape, pixels = one.shape, self.core.pixels
        (sy, sx), (dy, dx), (rows, columns) = self.window.step, self.window.dilation, one.tile
        ky, kx = self.window.kernel
        row, pixel = view.row_bytes, view.pixel_bytes
        first = self.window.origin(0, strip.y0), self.window.origin(1, 0)
        across = shape.vectors(self.core)
        below = Step(shape.rows, sy * row, sy) if one.down else Step(shape.rows, shape.pixels * sx * pixel, 0, shape.pixels * sx)
        steps = [
            Step(one.tiles[0], rows * sy * row, rows * sy), Step(one.tiles[1], columns * sx * pixel, 0, columns * sx),
            Step(ceil_div(self.x.shape[1], view.granule), view.granule_bytes), Step(ky, dy * row, dy), Step(kx, dx * pixel, 0, dx), Step(self.planes, 0),
            below, Step(across, pixels * pixel, 0, pixels),
        ]
        start = view.at(strip.n0, first[0], first[1], 0)
        bounds = Bounds((0, 0), (1, one.problem.grid[1])) if self.flat else Bounds((first[0] - view.y0, first[1] - view.x0), (view.height, view.width))
        launch.stream("in0", view.buffer, start, steps, pixels, bounds)

    def _results(self, launch: Launch, one: Pass, out: View, strip: Strip) -> None:
        shape, groups = one.shape, self.core.lanes // self.core.granule_bytes
        rows, columns = one.tile
        row, pixel = out.row_bytes, out.pixel_bytes
        moved = shape.moved(self.core)
        steps = [
            Step(one.tiles[0], rows * row, rows), Step(one.tiles[1], columns * pixel, 0, columns), Step(shape.blocks, groups * out.granule_bytes),
            Step(shape.rows, row, 1) if one.down else Step(shape.rows, shape.pixels * pixel, 0, shape.pixels),
            Step(shape.pixels, pixel, 0, 1) if shape.raw else Step(ceil_div(shape.pixels, moved), moved * pixel, 0, moved),
            Step(1 if shape.halves else shape.groups, out.granule_bytes),
        ]
        start = out.at(strip.n0, strip.y0, 0, one.first * self.core.granule_bytes)
        launch.stream("out0", out.buffer, start, steps, moved, Bounds((0, 0), one.problem.grid), one_pixel=shape.raw)

    def constants(self, one: Pass, number: int, region: Region, label: str) -> Buffer:
        """Buffer of the parameters of a pass, weights behind them, loaded unless it still stands there."""
        if number not in self._weights:
            content = self.parameters(one, region) + pack_weights(self.w, one)
            self._weights[number] = self.context.load_constant(f"{self.codelet.name}.w", content, self._home(one, number), label)
        return self._weights[number]

    def _home(self, one: Pass, number: int) -> Partition:
        """Memory of a pass's constants: where no two have room beside each other, every second one takes what activations leave, so that it comes while the
        pass before is at work."""
        size, weight, activation = self.constant_bytes(one), self.unit.weight, self.unit.activation
        alone = 2 * size > self.room(weight.name)
        moving = 2 * max((self.bytes_of(strip) for strip in self._cut), default=0)
        spare = size + moving <= self.room(activation.name)
        return activation if number % 2 and alone and spare else weight

    def parameters(self, one: Pass, region: Region) -> bytes:
        """Vectors of bias of each block, then of scale unless the results are sums."""
        finish = self.codelet.finish
        bias, scale = finish.bias, finish.scale
        outputs = self.y.shape[1]
        bias = bias if bias.size else np.zeros(outputs, np.int32)
        if self.raw:
            return _lanes(bias.astype(np.int32), one).astype("<i4").tobytes()
        scale = scale if scale.size else np.full(outputs, region.scale_a, np.float32)
        return np.concatenate([_lanes(values, one) for values in (bias.astype(np.int32), scale.astype(np.float32).view(np.int32))]).astype("<i4").tobytes()


def _lanes(values: np.ndarray, one: Pass) -> np.ndarray:
    """Values of the channels of a pass in the lanes of its blocks, 0 beyond the last: [blocks, lanes, ..]."""
    core, shape = one.core, one.shape
    width = core.granule_bytes if shape.halves else core.lanes
    low = one.first * core.granule_bytes
    found = np.zeros((shape.blocks * width, *values.shape[1:]), values.dtype)
    mine = values[low : low + shape.blocks * width]
    found[: len(mine)] = mine
    blocks = found.reshape(shape.blocks, width, *values.shape[1:])
    return np.concatenate([blocks, blocks], axis=1) if shape.halves else blocks


def _dense(w: Operand, groups: int) -> Operand:
    """Weights (OC, IC, KH, KW) of all input channels: zero for those of other groups."""
    if groups == 1:
        return w
    outputs, inputs, *kernel = w.constant.shape
    dense = np.full((outputs, inputs * groups, *kernel), w.zero, w.constant.dtype)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        dense[rows, group * inputs : (group + 1) * inputs] = w.constant[rows]
    return replace(w, constant=dense, shape=dense.shape)


def _bytes(w: Operand) -> tuple[Operand, int]:
    """Weights of 8 bits, and how many of them one is the sum of: those of a kernel position stand beside each other, as if it were several.

    >>> from compiler.codelets.contraction import weight_operand
    >>> first, planes = _bytes(weight_operand(np.array([[-255, 3], [0, 150]], np.int16)[:, :, None, None], 0))
    >>> first.dtype, first.zero, planes, first.constant.reshape(4, 2).tolist()
    ('i8', 0, 2, [[-128, -127], [3, 0], [0, 0], [127, 23]])
    """
    if w.constant.dtype != np.int16:
        return w, 1
    left = w.constant - np.int16(w.zero)
    zero = 0 if left.max() <= 2 * 127 else -1  # of the two, twice a byte less its zero reaches from -256 to 254, or from -254 to 256
    planes: list[np.ndarray] = []
    while not planes or left.any():
        planes.append(np.clip(left, -128 - zero, 127 - zero))
        left = left - planes[-1]
    stacked = (np.stack(planes, axis=-1) + zero).astype(np.int8).reshape(*w.constant.shape[:3], -1)
    return replace(w, dtype="i8", constant=stacked, shape=stacked.shape, zero=zero), len(planes)


def pack_weights(w: Operand, one: Pass) -> bytes:
    """Weights in the order in which a kernel loads them: granule of inputs, kernel position, word of four inputs, block; then output channel, input."""
    core = one.core
    oc, ic, kh, kw = w.constant.shape
    granules = ceil_div(ic, core.granule_bytes)
    padded = np.full((oc, granules * core.granule_bytes, kh, kw), w.zero, w.constant.dtype)
    padded[:, :ic] = w.constant
    lanes = np.full(_lanes(padded, one).shape, w.zero, w.constant.dtype)
    low = one.first * core.granule_bytes
    real = _lanes(np.ones((oc, 1, 1, 1), np.int8), one) != 0
    lanes = np.where(real, _lanes(padded, one), lanes)
    assert low < oc, "a pass has channels"
    split = lanes.reshape(one.shape.blocks, core.lanes, granules, core.words, 4, kh, kw).transpose(2, 5, 6, 3, 0, 1, 4)
    steps = split.reshape(granules * kh * kw, core.words, -1)
    return b"".join(step[:count].tobytes() for step, count in zip(steps, one.words, strict=True))
