"""Tile products with a program of float32 operations behind each of their tiles.

    before   codelet with products as heads and a program: p0 = product 0; s = ADD(p0 * scale, b); p1 = product 1; y = REQUANTIZE(ADD(p1 * scale, s))
    after    for each tile: [load b] [load weights] [load box of x] matrix+ vector  [load weights] [load box of x] matrix+ vector  [store y]

All products of a codelet have one view of the result, so a tile of it is a tile of each. Sums and float32 numbers stand in accumulators, one after the
other in buffers of their own: two that meet are in different banks. Functions of tensors are looked up beside the tensors themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.codelets.rows.row_program import Chain, Constant, Lookup, MicroOp, Product
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, exact_parts, float_chain, look_up, read_parameters, sign_and_zero, times_nothing
from compiler.tiling.contraction.contraction import ContractionTiler, Spot
from compiler.tiling.contraction.expression_price import Choices, last_uses, parts_of, program_of
from compiler.tiling.contraction.price import ContractionSizes
from compiler.tiling.contraction.product import ProductTiler
from compiler.tiling.nest import Nest
from compiler.tiling.tensor_buffers import Box
from compiler.tiling.tile_context import TileContext


class _Place:
    """Where the elements of a tile stand: `buffer`, byte offset of channel `first`, bytes from block to block of lanes, row to row and pixel to pixel."""

    def __init__(self, buffer: Buffer, offset: int, block: int, row: int, pixel: int, first: int, element: int) -> None:
        self.buffer, self.offset, self.steps, self.first, self.element = buffer, offset, {"c": block, "y": row, "x": pixel}, first, element

    def at(self, channel: int) -> int:
        """Byte offset of the first pixel of a channel."""
        return self.offset + ((channel - self.first) * self.element if self.steps["c"] else 0)


class ExpressionTiler:
    """Emits the operations of one codelet under given choices."""

    def __init__(self, context: TileContext, step: Assigned, _: object, choices: Choices, share: Share | None = None) -> None:
        self.context, self.step, self.program = context, step, program_of(step)
        parts, leading = parts_of(step)
        self.member = 0 if share is None else share.index
        self.tilers = [
            (ProductTiler if part.codelet.family == "product" else ContractionTiler)(context, part, ContractionSizes.of(part), choice, share)
            for part, choice in zip(parts, choices, strict=True)
        ]
        self.lead, self.choice = self.tilers[leading], choices[leading]
        self.sizes, self.vector, self.matrix = self.lead.sizes, step.vector, step.matrix
        self.y = step.codelet.operands["y"]
        self.floats = self.y.dtype == "f32"
        self.last = last_uses(self.program)
        self._kept: dict[tuple, Buffer] = {}
        self._constants: dict[str, tuple[int, int, _Place]] = {}
        self._boxes: dict[tuple, View] = {}
        self.places: dict[str, _Place] = {}

    def tiles(self) -> Iterator[None]:
        """Emit everything, tile by tile in the order chosen."""
        blocks, spots = self.lead.blocks(), self.lead.spots()
        if self.choice.channels_outer:
            for block in blocks:
                for spot in spots:
                    self._tile(spot, block)
                    yield
                self._forget(everything=True)
        else:
            for spot in spots:
                for block in blocks:
                    self._tile(spot, block)
                    yield
                self._boxes = {}
                for tiler in self.tilers:
                    tiler._boxes.clear()

    def _forget(self, *, everything: bool = False) -> None:
        for tiler in self.tilers:
            if everything or not tiler.choice.keep_weights:
                tiler._weights.clear()

    def _tile(self, spot: Spot, block: tuple[int, int]) -> None:
        """One tile of outputs: all steps of the program, then the store."""
        n0, n1, y0, y1, x0, x1 = spot
        self.spot, self.block = spot, block
        self.counts = {"y": n1 - n0 if self.sizes.batched else y1 - y0, "x": x1 - x0}
        self.pitch = ceil_div((block[1] - block[0]) * self.lead.columns, self.sizes.granule) * self.sizes.granule
        self.channels = block[0] * self.lead.columns, min(block[1] * self.lead.columns, self.sizes.out_channels)
        self.label = f"n{n0} y{y0} x{x0} c{self.channels[0]}"
        whole = self.choice.whole_output
        box: Box = (*spot, *((0, self.sizes.out_channels) if whole else self.channels))
        view = self.context.view_box(self.y, box, self.matrix.accumulator, f"{self.y.tensor}.y") if self.floats else self.lead.output_view(spot, box)
        self.places = {role: self._of_view(self._operand(role)) for role in self.step.codelet.operands if role[0] == "b"}
        self.places["y"] = self._of_view(view)
        for number, step in enumerate(self.program.steps):
            self._step(step)
            self.places = {name: place for name, place in self.places.items() if name[0] in "by" or self.last.get(name, number) > number}
        self._forget()
        if self.lead.stored and (not whole or block[1] == self.sizes.blocks):
            self.context.store_box(self.y, box, view, self.label)

    # ---- places

    def _of_view(self, view: View) -> _Place:
        n0, _, y0, _, x0, _ = self.spot
        rows = view.image_bytes if self.sizes.batched else view.row_bytes
        return _Place(view.buffer, view.at(n0, y0, x0, self.channels[0]), self.vector.lanes * view.element_bytes, rows, view.pixel_bytes, self.channels[0],
                      view.element_bytes)  # fmt: skip

    def _operand(self, role: str) -> View:
        """The resident tensor, or a box of it that is loaded once for all blocks of a spot."""
        operand = self.step.codelet.operands[role]
        if self.context.is_resident(operand):
            self.context.require(operand, self.spot[:4], self.label)
            return self.context.whole(operand, member=self.member)
        box: Box = (*self.spot, *(self.channels if self.choice.channels_outer else (0, self.sizes.out_channels)))
        key = (role, box)
        if key not in self._boxes:
            self._boxes = {k: v for k, v in self._boxes.items() if k[1] == box}
            self._boxes[key] = self.context.view_box(operand, box, self.step.source, f"{self.step.codelet.name}.{role}")
            self.context.load_box(operand, box, self._boxes[key], self.label)
        return self._boxes[key]

    def _result(self, name: str) -> _Place:
        """Where a step writes: the output, or a new place."""
        if name == "y":
            return self.places["y"]
        size = 4 if self.program.values[name].wide else 1
        memory = self.matrix.accumulator if size == 4 else self.step.source
        pixel = self.pitch * size
        buffer = self.context.buffer(f"{self.step.codelet.name}.{name}", memory, self.counts["y"] * self.counts["x"] * pixel)
        self.places[name] = _Place(buffer, 0, self.vector.lanes * size, self.counts["x"] * pixel, pixel, self.channels[0], size)
        return self.places[name]

    # ---- steps

    def _step(self, step: MicroOp) -> None:
        match step:
            case Product():
                place = self._result(step.result)
                self.tilers[step.number].reduce(self.spot, self.block, place.buffer, self.pitch, self.label)
            case Constant():
                self.places[step.result] = self._constant(step)
            case Lookup():
                self._lookup(step)
            case Chain():
                self._chain(step)

    def _nest(self, places: dict[str, _Place], channels: tuple[int, int], names: dict[str, str], *, tile: bool = True) -> Nest:
        """Loops and operands of an instruction on a tile, or on one pixel; `names` are the values at the ports, whose sign and zero point matter."""
        blocks = {"c": ceil_div(channels[1] - channels[0], self.vector.lanes)}
        nest = self.context.nest(self.vector.engine, LOOPS, blocks | self.counts if tile else blocks)
        for port, place in places.items():
            signed, zero = sign_and_zero(self.program.values[names[port]] if port in names else None)
            nest.stream(port, place.buffer, place.at(channels[0]), place.steps, signed=signed, zero=zero, element_bytes=place.element)
        return nest

    def _pieces(self, *, per_channel: bool) -> list[tuple[int, int]]:
        """The channels of the tile, in pieces whose parameters an instruction can have."""
        lo, hi = self.channels
        piece = self.sizes.parameter_channels(self.vector, hi - lo) if per_channel else hi - lo
        return [(lo + a, lo + b) for a, b in spans(hi - lo, piece)]

    def _parameters(self, key: tuple, bias: np.ndarray, scale: np.ndarray, channels: tuple[int, int]) -> Buffer:
        """Parameters of these channels, kept for the layer where those of all steps fit."""
        lo, hi = channels
        steps = sum(isinstance(s, Constant) or (isinstance(s, Chain) and s.channel_scale is not None) for s in self.program.steps)
        content = self.context.parameters(bias, scale, self.vector.lanes)
        if (*key, lo, hi) not in self._kept:
            source = self.context.load_constant(f"{self.step.codelet.name}.p", content, self.vector.parameter, self.label)
            if steps * self.sizes.parameter_words * 2 <= self.vector.parameter_blocks:
                self._kept[*key, lo, hi] = source
        else:
            source = self._kept[*key, lo, hi]
        return source

    def _constant(self, step: Constant) -> _Place:
        """float32 numbers, one a channel or one for all: an integer and a power of two, as bias and scale beside an operand times nothing."""
        channel, lanes = self.program.values[step.result].extent == "channel", self.vector.lanes
        lo, hi = self.channels if channel else (0, lanes)
        kept = self._constants.get(step.result)
        if kept is not None and kept[:2] == (lo, hi):
            return kept[2]
        buffer = self.context.buffer(f"{self.step.codelet.name}.{step.result}", self.matrix.accumulator, 4 * ceil_div(hi - lo, lanes) * lanes)
        place = _Place(buffer, 0, 4 * lanes if channel else 0, 0, 0, lo, 4)
        near = next(p for name, p in self.places.items() if name != "y" and name not in self._constants)
        places = {"a": _Place(near.buffer, near.offset, 0, 0, 0, near.first, near.element), "y": place}
        for piece in self._pieces(per_channel=True) if channel else [(lo, hi)]:
            numbers = step.values[slice(*piece)] if channel else np.broadcast_to(step.values, (lanes,))
            source = self._parameters((step.result,), *exact_parts(numbers), piece)
            self._add(read_parameters(float_chain(times_nothing(self._nest(places, piece, {}, tile=False))), source))
        self._constants[step.result] = lo, hi, place
        return place

    def _lookup(self, step: Lookup) -> None:
        """A function of the raw byte."""
        value, places = self.program.values[step.a], {"a": self.places[step.a], "y": self._result(step.result)}
        table = self._table(step.table)
        low, high = (-128, 127) if value.dtype == "i8" else (0, 255)
        nest = self._nest(places, self.channels, {}).control(a_signed=int(value.dtype == "i8"), y_low=low, y_high=high)
        self._add(look_up(nest, table))

    def _table(self, table: np.ndarray) -> Buffer:
        """A table's bank; kept while the layer lasts where all of its tables have one."""
        memory, key = self.vector.table, ("table", table.tobytes())
        if key not in self._kept:
            place = self.context.load_constant(f"{self.step.codelet.name}.t", table.tobytes(), memory, self.label, memory.bank_bytes)
            if self.program.tables > memory.banks:
                return place
            self._kept[key] = place
        return self._kept[key]

    def _chain(self, step: Chain) -> None:
        """One vector instruction on the tile, or some on pieces of its channels."""
        places = {port: self.places[name] for port, name in (("a", step.a), ("b", step.b)) if name}
        places["y"] = self._result(step.result)
        names = {port: name for port, name in (("a", step.a), ("b", step.b)) if name}
        floats = {f"{port}_float": 1 for port, name in names.items() if self.program.values[name].dtype == "f32"}
        for channels in self._pieces(per_channel=step.channel_scale is not None):
            nest = float_chain(self._nest(places, channels, names), step).control(**floats)
            if step.channel_scale is not None:
                scale = step.channel_scale[slice(*channels)]
                bias = np.zeros(len(scale), np.int32) if step.channel_bias is None else step.channel_bias[slice(*channels)]
                read_parameters(nest, self._parameters((step.result,), bias, scale, channels))
            self._add(nest)

    def _add(self, nest: Nest) -> None:
        self.context.add(nest, self.label)


__all__ = ["ExpressionTiler"]
