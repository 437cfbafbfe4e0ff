"""Tile a codelet on a window engine: boxes in, windows, requantisation, results out.

    before   codelet: for n, c, oy, ox: reduce ky, kx: acc = WINDOW_MAC(..); y = REQUANTIZE(acc)
    after    for each tile: [load weights] [load parameters] [load input box] window+ vector [store]

A kernel larger than the engine's taps is several instructions, all but the first adding to what stands in the accumulators (or taking the larger);
so is a dilation (`compiler.tiling.sliding.geometry`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, Region, finish_chain, look_up, read_parameters, regions
from compiler.tiling.sliding.geometry import Pass
from compiler.tiling.sliding.price import SlidingChoice, SlidingPricer
from compiler.tiling.tensor_buffers import Box
from compiler.tiling.tile_context import TileContext


class SlidingTiler:
    """Emits the operations of one codelet under a given choice of tile."""

    def __init__(self, context: TileContext, step: Assigned, pricer: SlidingPricer, choice: SlidingChoice) -> None:
        self.context, self.step, self.pricer, self.choice = context, step, pricer, choice
        self.codelet, self.unit, self.vector = step.codelet, step.window, step.vector
        self.x, self.y = pricer.x, pricer.y
        self._constants: dict[tuple, Buffer] = {}

    def tiles(self) -> Iterator[None]:
        """Emit everything, tile by tile. Where the tiles of a strip follow each other its boxes have all channels, in whole rows of external memory."""
        n, c, _, _ = self.y.shape
        spots = [(image, image + 1, *rows, *columns) for image in range(n) for rows, columns in self.pricer.boxes(self.choice)]
        groups = list(spans(c, self.choice.channels))
        if self.choice.channels_outer:
            boxes: list[tuple[Box, list[tuple[int, int]]]] = [((*spot, *channels), [channels]) for channels in groups for spot in spots]
        else:
            boxes = [((*spot, 0, c), groups) for spot in spots]
        for box, inner in boxes:
            view, out = self.input_view(box, self.label(box)), self.output_view(box)
            for number, channels in enumerate(inner, 1):
                self.body((*box[:6], *channels), view, out)
                if number == len(inner) and self.pricer.stored:
                    self.context.store_box(self.y, box, out, self.label(box))
                yield

    def label(self, box: Box) -> str:
        """Which tile it is."""
        return f"n{box[0]} y{box[2]} x{box[4]} c{box[6]}"

    def body(self, box: Box, view: View, out: View) -> None:
        """One tile of outputs, from and to boxes that have it."""
        _, _, y0, y1, x0, x1, c0, c1 = box
        label = self.label(box)
        granule = self.pricer.granule
        pitch = ceil_div(c1 - c0, granule) * granule
        accumulator = self.unit.accumulator
        acc = self.context.buffer(f"{self.codelet.name}.acc", accumulator, (y1 - y0) * (x1 - x0) * pitch * 4, accumulator.bank_bytes)
        for number, piece in enumerate(self.pricer.passes((y0, y1), (x0, x1))):
            self.slide(box, piece, view, acc, pitch, number > 0, label)
        for region in regions(self.codelet.finish, (y0, y1, x0, x1)):
            self.requantise(box, region, acc, pitch, out, label)

    def output_view(self, box: Box) -> View:
        """The resident tensor, or a box for results."""
        return self.context.whole(self.y) if self.context.is_resident(self.y) else self.context.view_box(self.y, box, self.step.sink, f"{self.codelet.name}.y")

    def input_view(self, box: Box, label: str) -> View:
        """The resident tensor, or the box of it that a tile sees, loaded for it."""
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        window = self.pricer.window
        seen = (n0, n1, *window.reach(0, y0, y1), *window.reach(1, x0, x1), c0, c1)
        if self.context.is_resident(self.x):
            self.context.require(self.x, seen[:4], label)
            return self.context.whole(self.x)
        view = self.context.view_box(self.x, seen, self.unit.activation, f"{self.codelet.name}.x")
        self.context.load_box(self.x, seen, view, label)
        return view

    def slide(self, box: Box, piece: Pass, view: View, acc: Buffer, pitch: int, accumulate: bool, label: str) -> None:
        """The instructions of a piece of the kernel."""
        n0, _, y0, y1, x0, x1, c0, c1 = box
        lanes, blocks = self.unit.lanes, ceil_div(c1 - c0, self.unit.lanes)
        wide = x1 - x0
        for y, x in self.pricer.slides((y0, y1), (x0, x1), piece):
            nest = self.pricer.nest(blocks, y, x, piece, accumulate)
            steps = {"c": lanes, "iy": y.place_step * view.row_bytes, "ix": x.place_step * view.pixel_bytes}
            nest.stream("a", view.buffer, view.at(n0, y.place, x.place, c0), steps, signed=self.x.dtype == "i8", zero=self.x.zero)
            if self.pricer.weighted:
                w = self.codelet.operands["w"]
                nest.stream("w", *self.weights(c0, c1, piece, label), signed=w.dtype == "i8", zero=w.zero)
            start = ((y.out - y0) * wide + x.out - x0) * pitch * 4
            nest.stream("c", acc, start, {"c": lanes * 4, "oy": y.out_step * wide * pitch * 4, "ox": x.out_step * pitch * 4})
            nest.reads.append(acc)  # the engine holds that port too
            self.context.add(nest, label)

    def weights(self, c0: int, c1: int, piece: Pass, label: str) -> tuple[Buffer, int]:
        """Buffer of a piece of the kernels, by channel block, ky, kx, and the byte at which those of channels [c0, c1) begin."""
        lo, hi = (0, self.y.shape[1]) if self.pricer.keeps_weights else (c0, c1)
        key = ("w", piece, lo, hi)
        if key not in self._constants:
            w, lanes = self.codelet.operands["w"], self.unit.lanes
            weight = w.constant[lo:hi, 0, slice(*piece.y), slice(*piece.x)]
            padded = np.full((ceil_div(hi - lo, lanes) * lanes, *weight.shape[1:]), w.zero, weight.dtype)
            padded[: hi - lo] = weight
            content = np.ascontiguousarray(padded.reshape(-1, lanes, *weight.shape[1:]).transpose(0, 2, 3, 1)).tobytes()
            self._keep("w", lo, hi)
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.w", content, self.unit.weight, label)
        return self._constants[key], (c0 - lo) * piece.taps

    def parameters(self, c0: int, c1: int, label: str) -> tuple[Buffer, int]:
        """Buffer of biases and scales, and the number of the word of channels [c0, c1)."""
        finish, vector = self.codelet.finish, self.vector
        every = self.y.shape[1]
        lo, hi = (0, every) if ceil_div(every, vector.lanes) * 2 <= vector.parameter_blocks else (c0, c1)
        key = ("p", None, lo, hi)
        if key not in self._constants:
            content = self.context.parameters(finish.bias[lo:hi], finish.scale[lo:hi], vector.lanes)
            self._keep("p", lo, hi)
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.p", content, vector.parameter, label)
        return self._constants[key], (c0 - lo) // vector.lanes

    def _keep(self, role: str, lo: int, hi: int) -> None:
        """Of constants of a role, forget those of other channels."""
        self._constants = {key: value for key, value in self._constants.items() if key[0] != role or key[2:] == (lo, hi)}

    def requantise(self, box: Box, region: Region, acc: Buffer, pitch: int, out: View, label: str) -> None:
        """One vector instruction: the accumulators of a region become output."""
        n0, _, y0, _, x0, x1, c0, c1 = box
        ry0, ry1, rx0, rx1 = region.box
        vector, finish, lanes = self.vector, self.codelet.finish, self.vector.lanes
        nest = self.context.nest(vector.engine, LOOPS, {"c": ceil_div(c1 - c0, lanes), "y": ry1 - ry0, "x": rx1 - rx0})
        row = (x1 - x0) * pitch * 4
        nest.stream("a", acc, (ry0 - y0) * row + (rx0 - x0) * pitch * 4, {"c": 4 * lanes, "y": row, "x": pitch * 4}, element_bytes=4)
        nest.stream("y", out.buffer, out.at(n0, ry0, rx0, c0), {"c": lanes, "y": out.row_bytes, "x": out.pixel_bytes}, element_bytes=1)
        finish_chain(nest, finish, region)
        if self.codelet.per_channel:
            read_parameters(nest, *self.parameters(c0, c1, label))
        if finish.table is not None:
            look_up(nest, self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), vector.table, label))
        self.context.add(nest, label)
