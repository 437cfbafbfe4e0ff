"""Tile the operators that reduce the channels of each pixel: strips of pixels through the steps of a micro-program.

    before   codelet with a program: m = largest(x); e = table(x - m); S = total(e); .. y = w * r
    after    for each strip: [load x] vector and matrix operations step by step [store y]

A value one a pixel stands in all lanes of a block, for it to meet any block of a value one an element: totals come so from the matrix
unit, whose weights are the same in each column, and a largest element after log2(lanes) rotations of lanes by one-hot weights. Lanes
beyond the channels hold anything: their weights are zero, and before a largest element is looked for they are made the lowest.

Up to two strips advance step by step in turn, so that each engine works on one while the other waits for its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from compiler.codelets.rows.row_program import Chain, Constant, Largest, Lookup, MicroOp, Neighbours, Total, Weighted
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, ceil_div, spans
from compiler.tiling.chain import exact_parts, float_chain, look_up, read_parameters, times_nothing
from compiler.tiling.rows.fields import Place
from compiler.tiling.rows.price import RowChoice
from compiler.tiling.rows.strips import Strip
from compiler.tiling.rows.sums import SumTiler
from compiler.tiling.tile_context import TileContext


class RowwiseTiler(SumTiler):
    """Chooses the strips of one codelet, or of a share of it, and emits its operations."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self._constants: dict[tuple, Buffer] = {}

    # ---- operations

    def tiles(self) -> Iterator[None]:
        """Emit everything, one group of strips after the other."""
        choice = self.best()
        strips = [Strip(self.first + lo, self.first + hi) for lo, hi in spans(self.pixels, choice.pixels)]
        for lo, hi in spans(len(strips), choice.copies):
            self._group(strips[lo:hi], choice)
            yield

    def _group(self, strips: list[Strip], choice: RowChoice) -> None:
        """Strips that are under way together."""
        for strip in strips:
            self._enter(strip)
        everything = (0, self.blocks)
        for step in self.program.steps[: self.program.tail]:
            self._in_turn(step, strips, everything)
        for piece in spans(self.blocks, choice.blocks):
            for step in self.program.steps[self.program.tail :]:
                self._in_turn(step, strips, piece)
            if choice.blocks < self.blocks:
                self._constants.clear()
        self._leave(strips)
        if self.program.tables > self.vector.table.banks:
            self._kept = {key: buffer for key, buffer in self._kept.items() if key[0] != "table"}

    def _leave(self, strips: list[Strip], piece: tuple[int, int] | None = None) -> None:
        """Store the outputs, or the blocks `piece` of them."""
        for strip in strips:
            if self.context.residency.root(self.y.tensor) in self.context.residency.external:
                *pixels, lo, hi = self._box(strip, self.y)
                if piece is not None:
                    lo, hi = piece[0] * self.lanes, min(piece[1] * self.lanes, hi)
                self.context.store_box(self.y, (*pixels, lo, hi), self._views[strip], strip.label)  # type: ignore[arg-type]

    def _in_turn(self, step: MicroOp, strips: list[Strip], piece: tuple[int, int]) -> None:
        if isinstance(step, Constant):
            self._constant(step, strips, piece)
            return
        for strip in strips:
            self._one(step, strip, piece)
        if self.program.tables > self.vector.table.banks:  # one bank at a time: the next table takes its place
            self._kept = {key: buffer for key, buffer in self._kept.items() if key[0] != "table"}

    def _one(self, step: MicroOp, strip: Strip, piece: tuple[int, int]) -> None:
        match step:
            case Total():
                self._total(step, strip)
            case Neighbours() | Weighted():
                self._banded(step, strip, piece)
            case Largest():
                self._largest(step, strip)
            case Lookup():
                self._lookup(step, strip)
            case Chain():
                self._chain(step, strip, piece)

    # ---- steps

    def _constant(self, step: Constant, strips: list[Strip], piece: tuple[int, int]) -> None:
        """Write a constant once for all strips: bias * scale of the parameter memory, beside the input times nothing.

        Reading the input keeps it from being made while the layers before still work, and from holding its place for so long.
        """
        value = self.program.values[step.result]
        channel = value.extent == "channel"
        if not value.wide:
            self._bytes_a_channel(step, strips)
            return
        lo, hi = (piece[0] * self.lanes, min(piece[1] * self.lanes, self.channels)) if channel else (0, self.lanes)
        store = self._constants if channel else self._kept
        key = (step.result, lo, hi)
        blocks = ceil_div(hi - lo, self.lanes)
        if key not in store:
            values = step.values[lo:hi] if channel else np.broadcast_to(step.values, (self.lanes,))
            parameters = self.context.parameters(*exact_parts(values), self.lanes)
            label = strips[0].label
            source = self.context.load_constant(f"{self.codelet.name}.{step.result}", parameters, self.vector.parameter, label)
            store[key] = self.context.buffer(f"{self.codelet.name}.{step.result}", self.wide, 4 * self.lanes * blocks)
            place = Place(store[key], 0, 0, 4 * self.lanes, 4)
            x = replace(strips[0].places["x"], pixel_bytes=0, block_bytes=0)
            nest = float_chain(times_nothing(self._nest(strips[0], x, None, place, blocks, pixels=1)))
            self._add(strips[0], read_parameters(nest, source))
        for strip in strips:
            strip.places[step.result] = Place(store[key], 0, 0, 4 * self.lanes if channel else 0, 4)

    def _bytes_a_channel(self, step: Constant, strips: list[Strip]) -> None:
        """Bring bytes, one a channel, in: once for the layer."""
        if (step.result,) not in self._kept:
            content = np.pad(step.values, (0, self.blocks * self.lanes - self.channels)).tobytes()
            self._kept[step.result,] = self.context.load_constant(f"{self.codelet.name}.{step.result}", content, self.narrow, strips[0].label)
        for strip in strips:
            strip.places[step.result] = Place(self._kept[step.result,], 0, 0, self.lanes, 1)

    def _table(self, table: np.ndarray, label: str) -> Buffer:
        """A table's bank; kept while the layer lasts where all of its tables have one."""
        key = ("table", table.tobytes())
        if key not in self._kept:
            memory = self.vector.table
            self._kept[key] = self.context.load_constant(f"{self.codelet.name}.t", table.tobytes(), memory, label, memory.bank_bytes)
        return self._kept[key]

    def _lookup(self, step: Lookup, strip: Strip) -> None:
        """A function of the raw byte."""
        a, dtype = strip.places[step.a], self.program.values[step.a].dtype
        y, table = self._result(step.result, strip, (0, self.blocks)), self._table(step.table, strip.label)
        low, high = (-128, 127) if dtype == "i8" else (0, 255)
        nest = self._nest(strip, a, None, y, self.blocks).control(a_signed=int(dtype == "i8"), y_low=low, y_high=high)
        self._add(strip, look_up(nest, table))

    def _chain(self, step: Chain, strip: Strip, piece: tuple[int, int]) -> None:
        """One vector instruction on a strip, of values an element the blocks of `piece`."""
        values = self.program.values
        places = {role: strip.places[name] for role, name in (("a", step.a), ("b", step.b)) if name}
        places["y"] = self._result(step.result, strip, piece)
        names = {"a": step.a, "b": step.b, "y": step.result}
        for role, place in places.items():
            if values[names[role]].extent == "element" and (place.element_bytes == 1 or names[role] == "y"):  # others hold the piece alone
                places[role] = place.block(piece[0])
        blocks = piece[1] - piece[0] if values[step.result].extent in ("element", "channel") else 1
        operands = values[step.a], values.get(step.b)
        nest = float_chain(self._nest(strip, places["a"], places.get("b"), places["y"], blocks, values=operands), step)
        if step.channel_scale is not None:
            lo, hi = piece[0] * self.lanes, min(piece[1] * self.lanes, self.channels)
            key = (step.result, "scale", lo, hi)
            if key not in self._constants:
                scale = step.channel_scale[lo:hi]
                content = self.context.parameters(np.zeros(len(scale), np.int32), scale, self.lanes)
                self._constants[key] = self.context.load_constant(f"{self.codelet.name}.p", content, self.vector.parameter, strip.label)
            read_parameters(nest, self._constants[key])
        if step.table is not None:
            look_up(nest, self._table(step.table, strip.label))
        self._add(strip, nest)
