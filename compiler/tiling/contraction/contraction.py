"""Tile a contraction: weights, parameters and input in, matrix tiles, requantisation, results out.

    before   codelet: for n, oc, oy, ox: reduce ic, ky, kx: acc = MATMUL(..); y = REQUANTIZE(acc)
    after    for each tile: [load weights] [load parameters] [load input box] matrix+ [load box of b] vector [store]

The choice of the tile is `choose_contraction`'s; this file only turns it into operations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from compiler.codelets import Operand
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.planes import planes
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, Region, finish_chain, look_up, read_parameters, regions, round_between
from compiler.tiling.contraction.contract import contract
from compiler.tiling.contraction.price import Choice, ContractionSizes
from compiler.tiling.tile_context import TileContext
from compiler.window import Window

Spot = tuple[int, int, int, int, int, int]
Chunk = tuple[int, int, int, int, int, int]


class ContractionTiler:
    """Emits the operations of one contraction, or of a share of it, under a given choice of tile."""

    def __init__(self, context: TileContext, step: Assigned, sizes: ContractionSizes, choice: Choice, share: Share | None = None) -> None:
        self.context, self.step, self.sizes, self.choice, self.share = context, step, sizes, choice, share
        self.codelet = step.codelet
        self.x, self.w, self.y = (self.codelet.operands[role] for role in ("x", "w", "y"))
        self.window = Window.of(self.codelet)
        self.matrix = step.matrix
        self.rows, self.columns = step.matrix.rows, step.matrix.columns
        self.resident_x, self.resident_y = context.is_resident(self.x), context.is_resident(self.y)
        self.stored = context.residency.root(self.y.tensor) in context.residency.external
        self.planes = planes(self.w)
        self._packed: dict[tuple, bytes] = {}
        self._weights: dict[tuple, Buffer] = {}
        self._boxes: dict[tuple, View] = {}
        self._parameters: dict[tuple, Buffer] = {}
        self._outputs: dict[Spot, View] = {}
        self._seconds: dict[tuple, View] = {}

    def spots(self, strips: list[tuple[int, int]] | None = None) -> list[Spot]:
        """Tiles of positions (n0, n1, y0, y1, x0, x1) of these strips of rows: one image each, or for one-row outputs several images."""
        s, c = self.sizes, self.choice
        n0, n1, y0, y1, x0, x1 = (0, s.images, 0, s.out_rows, 0, s.out_columns) if self.share is None else self.share.box
        images = [(n0 + a, n0 + b) for a, b in spans(n1 - n0, c.rows if s.batched else 1)]
        rows = [(lo + a, lo + b) for lo, hi in strips or [(y0, y1)] for a, b in spans(hi - lo, 1 if s.batched else c.rows)]
        columns = [(x0 + a, x0 + b) for a, b in spans(x1 - x0, c.columns)]
        return [(*n, *y, *x) for n in images for y in rows for x in columns]

    def blocks(self) -> list[tuple[int, int]]:
        """Tiles of output channels, in blocks."""
        lo, hi = (0, self.sizes.out_channels) if self.share is None else self.share.channels
        first, last = lo // self.columns, ceil_div(hi, self.columns)
        return [(first + a, first + b) for a, b in spans(last - first, self.choice.blocks)]

    def run(self, strips: list[tuple[int, int]] | None = None) -> None:
        """Emit everything, or these strips of rows, in the order chosen."""
        for _ in self.tiles(strips):
            pass

    def tiles(self, strips: list[tuple[int, int]] | None = None) -> Iterator[None]:
        """Emit everything, or these strips of rows, tile by tile in the order chosen."""
        blocks, spots = self.blocks(), self.spots(strips)
        if self.choice.channels_outer:
            for block in blocks:
                for spot in spots:
                    self.body(spot, block)
                    if not self.choice.keep_weights:
                        self._weights.clear()
                    yield
                self._weights.clear()
        else:
            for spot in spots:
                for block in blocks:
                    self.body(spot, block)
                    if not self.choice.keep_weights:
                        self._weights.clear()
                    yield
                self._boxes.clear()

    def body(self, spot: Spot, block: tuple[int, int]) -> None:
        """One tile of outputs: reduce all of it, then finish and store."""
        n0, n1, y0, y1, x0, x1 = spot
        positions = (n1 - n0 if self.sizes.batched else y1 - y0) * (x1 - x0)
        pitch = ceil_div((block[1] - block[0]) * self.columns, self.sizes.granule) * self.sizes.granule
        accumulator = self.matrix.accumulator
        label = f"n{n0} y{y0} x{x0} c{block[0] * self.columns}"
        acc = self.context.buffer(f"{self.codelet.name}.acc", accumulator, positions * pitch * 4, accumulator.bank_bytes)
        self.reduce(spot, block, acc, pitch, label)
        if self.step.vector_or_none is None and self.step.core_or_none is None:
            self.store_accumulators(spot, block, acc, pitch, label)
        else:
            self.finish(spot, block, acc, pitch, label)

    def reduce(self, spot: Spot, block: tuple[int, int], acc: Buffer, pitch: int, label: str) -> None:
        """All sums of a tile of outputs."""
        for group in self.groups(block):
            for number, (chunk, plane) in enumerate(self.passes(group)):
                self.matrix_op(spot, group, chunk, plane, acc, pitch, (group[0] - block[0]) * self.columns, number > 0, label)

    def chunks(self, group: tuple[int, int]) -> list[Chunk]:
        """Pieces (ky0, ky1, kx0, kx1, ib0, ib1) of the reduction of these output blocks."""
        ib0, ib1 = self.sizes.input_blocks(group)
        c = self.choice
        kernel = self.window.kernel
        return [
            (*ky, *kx, ib0 + lo, ib0 + hi)
            for ky in spans(kernel[0], c.kernel_rows) for kx in spans(kernel[1], c.kernel_columns) for lo, hi in spans(ib1 - ib0, c.input_blocks)
        ]

    def groups(self, block: tuple[int, int]) -> list[tuple[int, int]]:
        """Output blocks that one instruction computes: those that need further planes of the weights apart from those that do not.

        Instructions that add to the same accumulators walk them in the same order, so that all planes have the same groups.
        """
        groups = self.sizes.groups(block)
        if len(self.planes) == 1:
            return groups
        more = [bool(any(w.constant[b * self.columns : (b + 1) * self.columns].any() for w in self.planes[1:])) for b in range(*block)]
        cuts = [b for b in range(block[0] + 1, block[1]) if more[b - block[0]] != more[b - block[0] - 1]]
        return [(lo, hi) for a, z in groups for lo, hi in itertools.pairwise([a, *(c for c in cuts if a < c < z), z])]

    def passes(self, group: tuple[int, int]) -> list[tuple[Chunk, int]]:
        """Pieces of the reduction of these output blocks, and the plane of the weights in each; what adds nothing is left out."""
        pieces = [(chunk, plane) for chunk in self.chunks(group) for plane in range(len(self.planes))]
        return [(chunk, plane) for chunk, plane in pieces if plane == 0 or any(self.packed(group, chunk, plane))]

    def packed(self, group: tuple[int, int], chunk: Chunk, plane: int, piece: int = 0) -> bytes:
        """Bytes of the weights of these blocks; `piece` numbers the weights where `planes` has others for each part of the work."""
        key = (group, chunk, plane, piece)
        if key not in self._packed:
            self._packed[key] = pack_weights(self.planes[plane], group, chunk, self.rows, self.columns, self.codelet.group)
        return self._packed[key]

    def matrix_op(
        self, spot: Spot, group: tuple[int, int], chunk: Chunk, plane: int, acc: Buffer, pitch: int, channel: int, accumulate: bool, label: str,
        piece: int = 0,
    ) -> None:
        """One matrix instruction: output blocks `group`, reduction `chunk`, a plane of the weights, positions `spot`."""
        n0, n1, y0, y1, x0, x1 = spot
        ky0, ky1, kx0, kx1, ib0, ib1 = chunk
        view = self.input_view(spot, chunk, label)
        weights, w = self.weights(group, chunk, plane, label, piece), self.planes[plane]
        batched = self.sizes.batched
        oy, ox = (n1 - n0 if batched else y1 - y0), x1 - x0
        first_y, first_x = self.window.origin(0, y0, ky0), self.window.origin(1, x0, kx0)
        down, right = self.window.dilation[0] * view.row_bytes, self.window.dilation[1] * view.pixel_bytes
        row_step = view.image_bytes if batched else self.window.step[0] * view.row_bytes
        first, apart = self.sums(oy * ox, ox, pitch, channel)
        depth = view.granule_bytes or self.rows  # from a block of input channels to the next
        counts = {"oc": group[1] - group[0], "ky": ky1 - ky0, "kx": kx1 - kx0, "ic": ib1 - ib0, "oy": oy, "ox": ox}
        contract(
            self.context, self.matrix, counts,
            x=(view.buffer, view.at(n0, first_y, first_x, ib0 * self.rows), (self.x.dtype == "i8", self.x.zero)),
            x_steps={"ky": down, "kx": right, "ic": depth, "oy": row_step, "ox": self.window.step[1] * view.pixel_bytes},
            w=(weights, (w.dtype == "i8", w.zero)), y=(acc, first), y_steps=apart, accumulate=accumulate,
            label=label, pads=self.window.pads(view, (first_y, first_x), {"ky": "ky", "kx": "kx", "oy": "" if batched else "oy", "ox": "ox"}),
        )

    def sums(self, positions: int, columns: int, pitch: int, channel: int) -> tuple[int, dict[str, int]]:
        """Byte of the sums of a channel of the tile, and bytes from sum to sum of each loop: side by side with those of the other channels of a position."""
        return channel * 4, {"oy": columns * pitch * 4, "ox": pitch * 4}

    def weights(self, group: tuple[int, int], chunk: Chunk, plane: int, label: str, piece: int = 0) -> Buffer:
        """Buffer of the weights of these blocks, loaded unless it still stands there."""
        key = (group, chunk, plane, piece)
        if key not in self._weights:
            content = self.packed(group, chunk, plane, piece)
            self._weights[key] = self.context.load_constant(f"{self.codelet.name}.w", content, self.matrix.weight, label)
        return self._weights[key]

    def input_view(self, spot: Spot, chunk: Chunk, label: str) -> View:
        """View of the input that a tile needs: the resident tensor, or a box loaded for it."""
        n0, n1, y0, y1, x0, x1 = spot
        if self.resident_x:
            self.context.require(self.x, (n0, n1, *self.window.reach(0, y0, y1)), label)
            return self.context.whole(self.x, member=0 if self.share is None else self.share.index)
        channels = (0, self.x.shape[1])
        kernel = (0, self.window.kernel[0], 0, self.window.kernel[1])
        if not self.choice.whole_input:
            kernel = chunk[:4]
            granule = self.context.residency.layouts[self.context.residency.root(self.x.tensor)].lanes
            channels = (chunk[4] * self.rows // granule * granule, min(self.x.shape[1], chunk[5] * self.rows))
        box = (n0, n1, *self.window.reach(0, y0, y1, *kernel[:2]), *self.window.reach(1, x0, x1, *kernel[2:]), *channels)
        if box not in self._boxes:
            self._boxes = {} if self.choice.channels_outer or not self.choice.whole_input else self._boxes
            view = self.context.view_box(self.x, box, self.matrix.activation, f"{self.codelet.name}.x")
            self.context.load_box(self.x, box, view, label)
            self._boxes[box] = view
        return self._boxes[box]

    def parameters(self, lo: int, hi: int, label: str) -> tuple[Buffer, int]:
        """Buffer of the parameters of channels [lo, hi), and the number of its first vector block."""
        vector, finish = self.step.vector, self.codelet.finish
        if self.sizes.parameter_words * 2 <= vector.parameter_blocks:  # all fit, twice
            lo, hi = 0, self.sizes.out_channels
        if (lo, hi) not in self._parameters:
            content = self.context.parameters(finish.bias[lo:hi], finish.scale[lo:hi], vector.lanes)
            self._parameters = {(lo, hi): self.context.load_constant(f"{self.codelet.name}.p", content, vector.parameter, label)}
        return self._parameters[lo, hi], lo // vector.lanes

    def finish(self, spot: Spot, block: tuple[int, int], acc: Buffer, pitch: int, label: str) -> None:
        """Requantise a tile into the output, and store it where the output is external."""
        finish = self.codelet.finish
        n0, n1, y0, y1, x0, x1 = spot
        channel, channel_end = block[0] * self.columns, min(block[1] * self.columns, self.sizes.out_channels)
        whole = self.choice.whole_output
        box = (n0, n1, y0, y1, x0, x1, *((0, self.sizes.out_channels) if whole else (channel, channel_end)))
        second = self.second_view(spot, box, label) if self.codelet.rounded is not None else None
        places = self.context.places(self.y, spot) if self.resident_y else [(self.output_view(spot, box), spot)]
        piece = channel_end - channel
        if self.codelet.per_channel and self.step.vector_or_none is not None:
            piece = self.sizes.parameter_channels(self.step.vector, piece)
        for view, (a, b, *rest) in places:
            first = (a - n0) * (x1 - x0) * pitch
            for region in regions(finish, (rest[0], rest[1], rest[2], rest[3])):
                for lo in range(channel, channel_end, piece):
                    self.finish_op((a, b, y0, y1, x0, x1), region, (lo, min(lo + piece, channel_end)), (acc, first + lo - channel, pitch), view, label, second)
        if self.stored and (not whole or block[1] == self.sizes.blocks):
            self.context.store_box(self.y, box, places[0][0], label)

    def finish_op(
        self, spot: Spot, region: Region, channels: tuple[int, int], source: tuple[Buffer, int, int], view: View, label: str, second: View | None = None
    ) -> None:
        """One vector instruction: `source` is (accumulators, first lane, lanes a position), `second` the operand b."""
        vector, finish = self.step.vector, self.codelet.finish
        n0, n1, y0, _, x0, x1 = spot
        ry0, ry1, rx0, rx1 = region.box
        acc, first, pitch = source
        lanes, batched = vector.lanes, self.sizes.batched
        counts = {"c": ceil_div(channels[1] - channels[0], lanes), "y": n1 - n0 if batched else ry1 - ry0, "x": rx1 - rx0}
        nest = self.context.nest(vector.engine, LOOPS, counts)
        start = (((ry0 - y0) * (x1 - x0) + rx0 - x0) * pitch + first) * 4
        nest.stream("a", acc, start, {"c": 4 * lanes, "y": (x1 - x0) * pitch * 4, "x": pitch * 4}, element_bytes=4)
        steps = {"c": lanes, "y": view.image_bytes if batched else view.row_bytes, "x": view.pixel_bytes}
        nest.stream("y", view.buffer, view.at(n0, ry0, rx0, channels[0]), steps, element_bytes=1)
        finish_chain(nest, finish, region)
        if second is not None and self.codelet.rounded is not None:
            b_steps = {"c": lanes, "y": second.image_bytes if batched else second.row_bytes, "x": second.pixel_bytes}
            operation = self.codelet.operations[2].name
            round_between(nest, self.codelet.rounded, operation, second, (n0, ry0, rx0, channels[0]), b_steps, self.codelet.operands["b"])
        if self.codelet.per_channel:
            place, base = self.parameters(*channels, label)
            read_parameters(nest, place, channels[0] // lanes - base)
        if finish.table is not None:
            look_up(nest, self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), vector.table, label))
        self.context.add(nest, label)

    def second_view(self, spot: Spot, box: tuple, label: str) -> View:
        """View of the operand b of a tile: the resident tensor, or a box loaded for as much of the result as is stored at once."""
        b = self.codelet.operands["b"]
        if self.context.is_resident(b):
            self.context.require(b, (box[0], box[1], box[2], box[3]), label)
            return self.context.whole(b, member=0 if self.share is None else self.share.index)
        if box not in self._seconds:
            view = self.context.view_box(b, box, self.matrix.activation, f"{self.codelet.name}.b")
            self.context.load_box(b, box, view, label)
            self._seconds = {box: view}
        return self._seconds[box]

    def output_view(self, spot: Spot, box: tuple) -> View:
        """View of the output: the resident tensor, or a box that is stored when it is complete."""
        if self.resident_y:
            return self.context.whole(self.y)
        if not self.choice.whole_output:
            return self.context.view_box(self.y, box, self.step.sink, f"{self.codelet.name}.y")
        if spot not in self._outputs:
            self._outputs = {spot: self.context.view_box(self.y, box, self.step.sink, f"{self.codelet.name}.y")}
        return self._outputs[spot]

    def store_accumulators(self, spot: Spot, block: tuple[int, int], acc: Buffer, pitch: int, label: str) -> None:
        """Store int32 sums as they are."""
        n0, _n1, y0, y1, x0, x1 = spot
        channel, channel_end = block[0] * self.columns, min(block[1] * self.columns, self.sizes.out_channels)
        row = (x1 - x0) * pitch * 4
        view = View(acc, 0, row if self.sizes.batched else (y1 - y0) * row, row, pitch * 4, 4, y1 - y0, x1 - x0, n0, y0, x0, channel)
        self.context.store_box(self.y, (*spot, channel, channel_end), view, label)


def pack_weights(w: Operand, group: tuple[int, int], chunk: Chunk, rows: int, columns: int, groups: int) -> bytes:
    """Weights in the order of the passes: output blocks, ky, kx, input blocks; each a `rows` x `columns` block, one row a word.

    Lanes beyond the channels or outside the group of a grouped convolution hold the zero point, which contributes nothing.
    """
    oc, icg, _, _ = w.constant.shape
    ocg = oc // groups
    ky0, ky1, kx0, kx1, ib0, ib1 = chunk
    lo, hi = group[0] * columns, min(group[1] * columns, oc)
    block = np.full(((group[1] - group[0]) * columns, (ib1 - ib0) * rows, ky1 - ky0, kx1 - kx0), w.zero, w.constant.dtype)
    first = ib0 * rows
    for o in range(lo, hi) if groups > 1 else ():
        c0 = o // ocg * icg
        a, b = max(c0, first), min(c0 + icg, ib1 * rows)
        if a < b:
            block[o - lo, a - first : b - first] = w.constant[o, a - c0 : b - c0, ky0:ky1, kx0:kx1]
    if groups == 1:
        block[: hi - lo, : min(icg, ib1 * rows) - first] = w.constant[lo:hi, first : ib1 * rows, ky0:ky1, kx0:kx1]
    block = block.reshape(group[1] - group[0], columns, ib1 - ib0, rows, ky1 - ky0, kx1 - kx0)
    return np.ascontiguousarray(block.transpose(0, 4, 5, 2, 3, 1)).tobytes()
