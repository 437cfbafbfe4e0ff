"""Tile a contraction whose reduction is split into sets of positions with scales of their own.

    before   codelet: for each set: acc = MATMUL(..); t = ADD(acc * scale, t)    t = ADD(t, addend)    y = REQUANTIZE(t)
    after    for each tile: for each set: [load weights] [load scales] matrix+ vector;  the last vector instruction requantises [store]

The sums of a set and the float32 sum so far stand in accumulators, in different banks, as one instruction reads both: a tile takes the half of a bank,
or the quarter where there are less than four.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.codelets import Operand
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.planes import planes
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, Region, exact_parts, finish_chain, float_chain, look_up, read_parameters, times_nothing
from compiler.tiling.contraction.contraction import Chunk, ContractionTiler, Spot
from compiler.tiling.contraction.price import Choice, ContractionPricer, ContractionSizes
from compiler.tiling.tile_context import TileContext


@dataclass(frozen=True, eq=False)
class Reduced:
    """One set: its weights, zero at all other positions, `reach` (ky0, ky1, kx0, kx1, ic0, ic1) around it, and the scale of each channel."""

    weights: tuple[Operand, ...]
    reach: Chunk
    scale: np.ndarray


def _sets(w: Operand, sums: tuple[tuple[np.ndarray, np.ndarray], ...]) -> list[Reduced]:
    found = []
    for positions, scale in sums:
        ic, ky, kx = (np.flatnonzero(positions.any(axis)) for axis in ((1, 2), (0, 2), (0, 1)))
        only = replace(w, constant=np.where(positions, w.constant, np.asarray(w.zero, w.constant.dtype)))
        found.append(Reduced(planes(only), (ky[0], ky[-1] + 1, kx[0], kx[-1] + 1, ic[0], ic[-1] + 1), scale))
    return found


class BlockwisePricer(ContractionPricer):
    """Prices a choice: each set has passes of the matrix unit and one of the vector unit."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        codelet, rows = step.codelet, step.matrix.rows
        self.vector_passes = len(codelet.sums) + (codelet.addend is not None)
        blocks, passes = [], 0
        for positions, _ in codelet.sums:
            ic, ky, kx = (np.flatnonzero(positions.any(axis)) for axis in ((1, 2), (0, 2), (0, 1)))
            groups = codelet.group
            blocks.append(self.deepest if groups > 1 else ic[-1] // rows - ic[0] // rows + 1)
            passes += blocks[-1] * (ky[-1] - ky[0] + 1) * (kx[-1] - kx[0] + 1)
        self.passes = int(passes) * self.sizes.blocks * len(planes(codelet.operands["w"]))
        self.deepest = int(max(blocks))

    def room(self, copies: int) -> int:
        """Bytes of accumulators that a tile may have."""
        accumulator = self.step.matrix.accumulator
        return accumulator.bank_bytes // (2 if accumulator.banks >= 4 else 4)


class BlockwiseTiler(ContractionTiler):
    """Emits the operations of such a contraction under a given choice of tile."""

    def __init__(self, context: TileContext, step: Assigned, sizes: ContractionSizes, choice: Choice, share: Share | None = None) -> None:
        super().__init__(context, step, sizes, choice, share)
        self.sets = _sets(self.w, self.codelet.sums)
        self._scales: dict[tuple, Buffer] = {}

    def body(self, spot: Spot, block: tuple[int, int]) -> None:
        """One tile of outputs: reduce set by set, then finish and store."""
        n0, n1, y0, y1, x0, x1 = spot
        positions = (n1 - n0 if self.sizes.batched else y1 - y0) * (x1 - x0)
        pitch = ceil_div((block[1] - block[0]) * self.columns, self.sizes.granule) * self.sizes.granule
        channel, channel_end = block[0] * self.columns, min(block[1] * self.columns, self.sizes.out_channels)
        whole = self.choice.whole_output
        box = (*spot, *((0, self.sizes.out_channels) if whole else (channel, channel_end)))
        view = self.output_view(spot, box)
        label = f"n{n0} y{y0} x{x0} c{channel}"
        size = positions * pitch * 4
        total = self._accumulators("total", size)
        addend = self.codelet.addend
        for number, reduced in enumerate(self.sets):
            acc = self._accumulators("acc", size)
            self.planes = reduced.weights
            for group in self.groups(block):
                self._reduce(spot, block, group, number, reduced, acc, pitch, label)
            last = number == len(self.sets) - 1 and addend is None
            for lo, hi in self._pieces(channel, channel_end):
                before = (total, pitch) if number else None
                y = None if last else total
                self._combine(spot, (lo, hi), channel, (acc, pitch, False), before, y, view, reduced.scale, number, label)
        if addend is not None:
            constants = self._constants(addend[channel:channel_end], total, pitch, label)
            for lo, hi in self._pieces(channel, channel_end):
                self._combine(spot, (lo, hi), channel, (total, pitch, True), (constants, 0), None, view, None, 0, label)
        if self.stored and (not whole or block[1] == self.sizes.blocks):
            self.context.store_box(self.y, box, view, label)

    def _accumulators(self, name: str, size: int) -> Buffer:
        return self.context.buffer(f"{self.codelet.name}.{name}", self.matrix.accumulator, size)

    def _pieces(self, channel: int, channel_end: int) -> list[tuple[int, int]]:
        piece = self.sizes.parameter_channels(self.step.vector, channel_end - channel)
        return [(channel + lo, channel + hi) for lo, hi in spans(channel_end - channel, piece)]

    def _reduce(
        self, spot: Spot, block: tuple[int, int], group: tuple[int, int], number: int, reduced: Reduced, acc: Buffer, pitch: int, label: str
    ) -> None:
        """The int32 sums of one set for these output blocks; at least one instruction, so that they are written."""
        ky0, ky1, kx0, kx1, ic0, ic1 = reduced.reach
        ib0, ib1 = self.sizes.input_blocks(group) if self.codelet.group > 1 else (ic0 // self.rows, ceil_div(ic1, self.rows))
        c = self.choice
        chunks = [
            (ky0 + ya, ky0 + yb, kx0 + xa, kx0 + xb, ib0 + a, ib0 + b)
            for ya, yb in spans(ky1 - ky0, c.kernel_rows) for xa, xb in spans(kx1 - kx0, c.kernel_columns) for a, b in spans(ib1 - ib0, c.input_blocks)
        ]
        pieces = [(chunk, plane) for chunk in chunks for plane in range(len(self.planes))]
        adding = [piece for piece in pieces if self._adds(group, *piece, number)] or pieces[:1]
        for position, (chunk, plane) in enumerate(adding):
            self.matrix_op(spot, group, chunk, plane, acc, pitch, (group[0] - block[0]) * self.columns, position > 0, label, number)

    def _adds(self, group: tuple[int, int], chunk: Chunk, plane: int, number: int) -> bool:
        """Whether the weights of a piece are anything but zero."""
        packed = self.packed(group, chunk, plane, number)
        return packed.count(self.planes[plane].zero & 0xFF) < len(packed)

    def _constants(self, numbers: np.ndarray, total: Buffer, pitch: int, label: str) -> Buffer:
        """Accumulators that hold a float32 number a channel: an integer and a power of two, as bias and scale beside `total` times nothing."""
        vector = self.step.vector
        place = self._accumulators("addend", pitch * 4)
        for lo, hi in self._pieces(0, len(numbers)):
            content = self.context.parameters(*exact_parts(numbers[lo:hi]), vector.lanes)
            source = self.context.load_constant(f"{self.codelet.name}.p", content, vector.parameter, label)
            blocks = ceil_div(hi - lo, vector.lanes)
            nest = self.context.nest(vector.engine, LOOPS, {"c": blocks})
            nest.stream("a", total, element_bytes=4).stream("y", place, lo * 4, {"c": 4 * vector.lanes}, element_bytes=4)
            self.context.add(read_parameters(float_chain(times_nothing(nest)), source), label)
        return place

    def _combine(
        self, spot: Spot, channels: tuple[int, int], channel: int, a: tuple[Buffer, int, bool], b: tuple[Buffer, int] | None, total: Buffer | None,
        view: View, scale: np.ndarray | None, number: int, label: str,
    ) -> None:
        """One vector instruction: a (times its channel's scale) + b into `total`, or requantised into the output.

        a: buffer, lanes a position, whether they are float32 already; b: buffer and lanes a position, 0 for one number a channel.
        """
        vector, finish = self.step.vector, self.codelet.finish
        n0, n1, y0, y1, x0, x1 = spot
        lo, hi = channels
        blocks, word = ceil_div(hi - lo, vector.lanes), 4 * vector.lanes
        nest = self.context.nest(vector.engine, LOOPS, {"c": blocks, "y": n1 - n0 if self.sizes.batched else y1 - y0, "x": x1 - x0})

        def wide(port: str, buffer: Buffer, pitch: int) -> None:
            nest.stream(port, buffer, (lo - channel) * 4, {"c": word, "y": (x1 - x0) * pitch * 4, "x": pitch * 4}, element_bytes=4)

        wide("a", a[0], a[1])
        if b is not None:
            wide("b", *b)
            nest.operation("ADD")
        nest.control(a_float=int(a[2]), b_float=1)
        if total is None:
            steps = {"c": vector.lanes, "y": view.image_bytes if self.sizes.batched else view.row_bytes, "x": view.pixel_bytes}
            nest.stream("y", view.buffer, view.at(n0, y0, x0, lo), steps, element_bytes=1)
            finish_chain(nest, finish, Region((0, 0, 0, 0), 1.0, finish.divisor))
        else:
            wide("y", total, a[1])
            float_chain(nest)
        if scale is not None:
            read_parameters(nest, self._load_scales(number, scale, channels, label))
        if total is None and finish.table is not None:
            look_up(nest, self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), vector.table, label))
        self.context.add(nest, label)

    def _load_scales(self, number: int, scale: np.ndarray, channels: tuple[int, int], label: str) -> Buffer:
        """Scales of a set, kept where those of all sets fit."""
        lo, hi = channels
        key = (number, lo, hi)
        if key not in self._scales:
            content = self.context.parameters(np.zeros(hi - lo, np.int32), scale[lo:hi], self.step.vector.lanes)
            source = self.context.load_constant(f"{self.codelet.name}.p", content, self.step.vector.parameter, label)
            if len(self.sets) * self.sizes.parameter_words * 2 > self.step.vector.parameter_blocks:
                return source
            self._scales[key] = source
        return self._scales[key]
