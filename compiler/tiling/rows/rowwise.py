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

from compiler.codelets.base import Operand, pixel
from compiler.codelets.contraction import ELEMENT
from compiler.codelets.rows.row_program import Chain, Constant, Largest, Lookup, MicroOp, Neighbours, Total, Value, Weighted
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import exact_parts, float_chain, look_up, read_parameters, times_nothing
from compiler.tiling.contraction.contract import contract
from compiler.tiling.contraction.contraction import pack_weights
from compiler.tiling.nest import Nest
from compiler.tiling.rows.bands import Band
from compiler.tiling.rows.fields import Place, rows_nest
from compiler.tiling.rows.price import RowChoice, RowwisePricer
from compiler.tiling.tile_context import TileContext


class Strip:
    """Pixels [lo, hi) and where the values of theirs stand."""

    def __init__(self, lo: int, hi: int) -> None:
        self.lo, self.pixels = lo, hi - lo
        self.places: dict[str, Place] = {}

    @property
    def label(self) -> str:
        """Which part of the layer this is."""
        return f"p{self.lo}"


class RowwiseTiler(RowwisePricer):
    """Chooses the strips of one codelet, or of a share of it, and emits its operations."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self._constants: dict[tuple, Buffer] = {}
        self._kept: dict[tuple, Buffer] = {}
        self._views: dict[Strip, View] = {}
        self._bands: dict[tuple, list[Band]] = {}

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

    @staticmethod
    def _box(strip: Strip, operand: Operand) -> tuple[int, int, int, int, int, int, int, int]:
        return (0, 1, strip.lo, strip.lo + strip.pixels, 0, 1, 0, operand.shape[1])

    def _enter(self, strip: Strip, names: tuple[str, ...] = ()) -> None:
        """Bring the inputs in; a place for the output. All of them, or those of `names`."""
        for name, operand in self.tensors.items():
            if names and name not in names:
                continue
            box, memory = self._box(strip, operand), self.step.sink_or_none if name == "y" else self.narrow
            if memory is None:
                pitch = max(self.pixel_bytes[name], self.wide_row_bytes)
                buffer = self.context.buffer(f"{self.codelet.name}.{name}", self.wide, strip.pixels * pitch)
                view = View(buffer, 0, strip.pixels * pitch, pitch, pitch, 4, strip.pixels, 1, 0, strip.lo)
                strip.places[name], self._views[strip] = Place(buffer, 0, pitch, 4 * self.lanes, 4), view
                continue
            if self.context.is_resident(operand):
                view = self.context.whole(operand, member=0 if name == "y" else self.member)
                if name != "y":
                    self.context.require(operand, box[:4], strip.label)
            else:
                view = self.context.view_box(operand, box, memory, f"{self.codelet.name}.{name}")
                if name != "y":
                    self.context.load_box(operand, box, view, strip.label)
            strip.places[name] = Place(view.buffer, view.at(0, strip.lo, 0, 0), view.pixel_bytes, self.lanes, 1)
            if name == "y":
                self._views[strip] = view

    def _place(self, name: str, value: Value, strip: Strip, blocks: int) -> Place:
        """A new place for a value of a strip."""
        memory = self.wide if value.wide else self.narrow
        size = 4 if value.wide else 1
        if value.extent == "pixel":
            pitch, block = (self.wide_row_bytes if value.wide else self.row_bytes), 0
        else:
            pitch, block = (self.wide_bytes(name, blocks) if value.wide else self.narrow_bytes), self.lanes * size
        if value.extent == "channel":
            pitch, block = 0, self.lanes * size
        buffer = self.context.buffer(f"{self.codelet.name}.{name}", memory, strip.pixels * pitch or blocks * block)
        strip.places[name] = Place(buffer, 0, pitch, block, size)
        return strip.places[name]

    def _result(self, name: str, strip: Strip, piece: tuple[int, int]) -> Place:
        """Where a step writes: a new place, or the next piece of one that is there."""
        value = self.program.values[name]
        if name == "y" or (not value.wide and value.extent == "element" and piece[0] > 0):
            return strip.places[name]
        return self._place(name, value, strip, piece[1] - piece[0])

    def _nest(
        self, strip: Strip, a: Place, b: Place | None, y: Place, blocks: int, *, pixels: int = 0, reduced: int = 1,
        values: tuple[Value | None, Value | None] = (None, None),
    ) -> Nest:
        return rows_nest(self.context, self.vector, a, b, y, pixels or strip.pixels, blocks, reduced, values=values)

    def _add(self, strip: Strip, nest: Nest) -> None:
        self.context.add(nest, strip.label)

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

    def _weights(self, key: tuple, weights: np.ndarray, blocks: tuple[int, int], label: str) -> Buffer:
        """Weights (out lanes, in lanes) of the input blocks `blocks`, kept while the layer lasts."""
        operand = Operand(ELEMENT[weights.dtype], (*weights.shape, 1, 1), pixel("ic"), constant=weights[:, :, None, None])
        group = (0, ceil_div(weights.shape[0], self.matrix.columns))
        content = pack_weights(operand, group, (0, 1, 0, 1, *blocks), self.matrix.rows, self.matrix.columns, 1)
        if (key, content) not in self._kept:
            self._kept[key, content] = self.context.load_constant(f"{self.codelet.name}.w", content, self.matrix.weight, label)
        return self._kept[key, content]

    def _matrix(
        self, strip: Strip, a: Place, value: Value, key: tuple, weights: np.ndarray, c: Place, accumulate: bool, apart: int = 1
    ) -> None:
        """Every lane of c = sum over input lanes of weight * (a - zero), in as many instructions as keep the weights short.

        `apart`: as many neighbouring input blocks have sums of their own, beside each other in c; `weights` are then those of every such
        block, for all groups of them.
        """
        rows, outputs = self.matrix.rows, ceil_div(weights.shape[0], self.matrix.columns)
        for lo, hi in spans(ceil_div(weights.shape[1], rows), self.weight_blocks):
            place = self._weights(key, weights, (lo, hi), strip.label)
            steps = {"ic": apart * rows, "ox": rows}
            self._contract(strip, replace(a, offset=a.offset + lo * apart * rows), value, steps, place, weights, c, (outputs, hi - lo, apart), accumulate)
            accumulate = True

    def _contract(
        self, strip: Strip, a: Place, value: Value, steps: dict[str, int], place: Buffer, weights: np.ndarray, c: Place, counts: tuple[int, int, int],
        accumulate: bool,
    ) -> None:
        """One matrix instruction on each pixel: `counts` are output blocks, input blocks a sum, and sums of neighbouring inputs beside each other;
        `steps` bytes from one input block to the next of a sum (ic), and of the next sum (ox)."""
        outputs, blocks, apart = counts
        contract(
            self.context, self.matrix, {"oc": outputs, "ic": blocks, "oy": strip.pixels, "ox": apart},
            x=(a.buffer, a.offset, (value.dtype == "i8", value.zero)), x_steps={**steps, "oy": a.pixel_bytes},
            w=(place, (weights.dtype == np.int8, 0)), y=(c.buffer, c.offset), y_steps={"oy": c.pixel_bytes, "ox": c.block_bytes}, accumulate=accumulate,
            label=strip.label,
        )

    def _total(self, step: Total, strip: Strip) -> None:
        """Sums over the channels, in every lane.

        Of few pixels groups of blocks are summed apart, and what is left over too; the vector unit sums up. Instructions that add to the
        same accumulators walk them in the same order, as the matrix unit asks for.
        """
        result = self._result(step.result, strip, (0, 1))
        rows, apart = self.matrix.rows, self.apart(step, strip.pixels)
        channels = self.channels_of(step.terms[0][0])
        grouped = channels // rows // apart * apart * rows if apart > 1 else 0
        slots = apart + (channels > grouped)
        sums = result
        if grouped:
            pitch = slots * self.wide_row_bytes
            buffer = self.context.buffer(f"{self.codelet.name}.{step.result}.parts", self.wide, strip.pixels * pitch)
            sums = Place(buffer, 0, pitch, self.wide_row_bytes, 4)
        for number, (name, weight) in enumerate(step.terms):
            place, value = strip.places[name], self.program.values[name]
            if grouped:
                weights = np.full((self.lanes, grouped // apart), weight, np.uint8)
                self._matrix(strip, place, value, ("w", weight), weights, sums, number > 0, apart)
            if channels > grouped:
                weights = np.full((self.lanes, self.channels_of(name) - grouped), weight, np.uint8)
                rest = replace(place, offset=place.offset + grouped)
                self._matrix(strip, rest, value, ("w", weight), weights, sums.block(apart) if grouped else sums, number > 0)
        if grouped:
            self._add(strip, self._nest(strip, sums, None, result, 1, reduced=slots).operation("SUM"))

    def _banded(self, step: Neighbours | Weighted, strip: Strip, piece: tuple[int, int]) -> None:
        """Sums over neighbouring channels: blocks of them with equal weights, or with equal inputs, in one instruction a term, or in some where the
        weights are long."""
        result, rows, word = self._result(step.result, strip, piece), self.matrix.rows, 4 * self.matrix.columns
        channels = piece[0] * self.lanes, min(piece[1] * self.lanes, self.channels)
        if (step.result, channels) not in self._bands:
            self._bands[step.result, channels] = self.bands(step, channels)
        for band in self._bands[step.result, channels]:
            c = replace(result, offset=result.offset + band.block * word, block_bytes=word)
            accumulate = False
            for name, weights, key in _planes(step, band):
                a, value = strip.places[name], self.program.values[name]
                for lo, hi in spans(weights.shape[1] // rows, self.weight_blocks):
                    place = self._weights(key, weights[:, lo * rows : hi * rows], (0, hi - lo), strip.label)
                    first = replace(a, offset=a.offset + (band.first + lo) * rows)
                    counts = weights.shape[0] // self.matrix.columns, hi - lo, band.count
                    self._contract(strip, first, value, {"ic": rows, "ox": band.step * rows}, place, weights, c, counts, accumulate)
                    accumulate = True
            if isinstance(step, Weighted) and not self.keeps_weights:
                self._kept = {key: buffer for key, buffer in self._kept.items() if key[0] != ("w", step.result)}

    def _largest(self, step: Largest, strip: Strip) -> None:
        """Largest over the blocks, lane by lane, then over the lanes: each turn meets itself rotated by 1, 2, 4.. lanes."""
        value, x = self.program.values[step.operand], strip.places[step.operand]
        full, rest = divmod(self.channels, self.lanes)
        byte, row = Value("pixel", "u8"), Value("pixel", "i32")
        largest: Place | None = None
        if rest:
            mask = (np.arange(self.lanes) < rest).astype(np.float32)
            content = self.context.parameters(np.zeros(self.lanes, np.int32), mask, self.lanes)
            if ("mask",) not in self._kept:
                self._kept["mask",] = self.context.load_constant(f"{self.codelet.name}.mask", content, self.vector.parameter, strip.label)
            source = self._kept["mask",]
            largest = self._place(step.result, byte, strip, 1)
            nest = self._nest(strip, x.block(full), None, largest, 1, values=(value, None))
            self._add(strip, read_parameters(float_chain(nest), source))
        if full:
            tail, largest = largest, self._place(step.result, byte, strip, 1)
            nest = self._nest(strip, x, tail, largest, 1, reduced=full, values=(value, None)).operation("MAXIMUM", *(("MAX",) if tail else ()))
            self._add(strip, float_chain(nest))
        assert largest is not None
        lanes = np.arange(self.span)
        for turn in range((self.span - 1).bit_length()):
            rotation = np.zeros((self.lanes, self.lanes), np.uint8)
            rotation[lanes, (lanes + (1 << turn)) % self.span] = 1
            moved = self._place(f"{step.result}.rotated", row, strip, 1)
            self._matrix(strip, largest, byte, ("rotation", turn), rotation, moved, False)
            before, largest = largest, self._place(step.result, byte, strip, 1)
            self._add(strip, float_chain(self._nest(strip, moved, before, largest, 1).operation("MAX")))

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


def _planes(step: Neighbours | Weighted, band: Band) -> list[tuple[str, np.ndarray, tuple]]:
    """Each value that a band adds up, with its weights (columns, input lanes) and what these are known by."""
    if isinstance(step, Neighbours):
        return [(name, band.weights * np.uint8(weight), ("w", weight)) for name, weight in step.terms]
    return [(name, plane.astype(weights.dtype), ("w", step.result)) for (name, weights), plane in zip(step.terms, band.weights, strict=True)]
