"""Tile the operators that reduce the channels of each pixel: strips of pixels through the steps of a micro-program.

    before   codelet with a program: m = largest(x); e = table(x - m); S = total(e); .. y = w * r
    after    for each strip: [load x] vector and matrix operations step by step [store y]

A value one a pixel stands in all lanes of a block, for it to meet any block of a value one an element: totals come so from the matrix
unit, whose weights are the same in each column, and a largest element after log2(lanes) rotations of lanes by one-hot weights. Lanes
beyond the channels hold anything: their weights are zero, and before a largest element is looked for they are made the lowest.

Up to two strips advance step by step in turn, so that each engine works on one while the other waits for its result.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets.base import Operand, pixel
from compiler.codelets.contraction import ELEMENT
from compiler.codelets.row_program import Chain, Constant, Largest, Lookup, Neighbours, Step, Total, Value, Weighted
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, Ref, View, ceil_div, spans, stride
from compiler.tiling.contraction.contraction import pack_weights
from compiler.tiling.rows.bands import Band
from compiler.tiling.rows.fields import BINARY, Place, exact_parts, finish, matrix_fields, vector_fields
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
    """Chooses the strips of one codelet and emits its operations."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self._constants: dict[tuple, Buffer] = {}
        self._kept: dict[tuple, Buffer] = {}
        self._views: dict[Strip, View] = {}
        self._bands: dict[tuple, list[Band]] = {}

    # ---- operations

    def run(self) -> None:
        """Emit everything."""
        choice = self.best()
        strips = [Strip(lo, hi) for lo, hi in spans(self.pixels, choice.pixels)]
        for lo, hi in spans(len(strips), choice.copies):
            self._group(strips[lo:hi], choice)

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
            if self.context.plan.root(self.y.tensor) in self.context.plan.external:
                *pixels, lo, hi = self._box(strip, self.y)
                if piece is not None:
                    lo, hi = piece[0] * self.lanes, min(piece[1] * self.lanes, hi)
                self.context.store_box(self.y, (*pixels, lo, hi), self._views[strip], strip.label)  # type: ignore[arg-type]

    def _in_turn(self, step: Step, strips: list[Strip], piece: tuple[int, int]) -> None:
        if isinstance(step, Constant):
            self._constant(step, strips, piece)
            return
        for strip in strips:
            self._one(step, strip, piece)
        if self.program.tables > self.vector.table.banks:  # one bank at a time: the next table takes its place
            self._kept = {key: buffer for key, buffer in self._kept.items() if key[0] != "table"}

    def _one(self, step: Step, strip: Strip, piece: tuple[int, int]) -> None:
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
                view = self.context.whole(operand)
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

    def _emit(self, strip: Strip, fields: dict, reads: list[Buffer], write: Buffer) -> None:
        self.context.emit(self.vector.engine.name, fields, reads, [write], strip.label)

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
            fields = vector_fields(self.vector, x, None, place, 1, blocks)
            fields |= {"int_op": 1, "numeric": 1, "p_enable": 1, "p_base": Ref(source, 0, self.vector.parameter.word_bytes), "p_stride_1": int(blocks > 1)}
            self._emit(strips[0], fields | finish(), [x.buffer, source], store[key])
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
        rows, columns = self.matrix.rows, self.matrix.columns
        outputs = ceil_div(weights.shape[0], columns)
        for lo, hi in spans(ceil_div(weights.shape[1], rows), self.weight_blocks):
            place = self._weights(key, weights, (lo, hi), strip.label)
            fields = matrix_fields(self.matrix, a, lo * apart, hi - lo, c, outputs, strip.pixels, apart)
            fields |= {"a_signed": int(value.dtype == "i8"), "a_zero": value.zero, "w_base": Ref(place, 0, columns), "accumulate": int(accumulate)}
            self.context.emit(self.matrix.engine.name, fields, [a.buffer, place], [c.buffer], strip.label)
            accumulate = True

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
            fields = vector_fields(self.vector, sums, None, result, strip.pixels, 1, reduced=slots)
            self._emit(strip, fields | {"reduce": 1}, [sums.buffer], result.buffer)

    def _banded(self, step: Neighbours | Weighted, strip: Strip, piece: tuple[int, int]) -> None:
        """Sums over neighbouring channels: blocks of them with equal weights, or with equal inputs, in one instruction a term, or in some where the
        weights are long."""
        result, rows, word = self._result(step.result, strip, piece), self.matrix.rows, 4 * self.matrix.columns
        channels = piece[0] * self.lanes, min(piece[1] * self.lanes, self.channels)
        if (step.result, channels) not in self._bands:
            self._bands[step.result, channels] = self.bands(step, channels)
        for band in self._bands[step.result, channels]:
            c = replace(result, offset=result.offset + band.block * word, block_bytes=word)
            accumulate = 0
            for name, weights, key in _planes(step, band):
                a, value = strip.places[name], self.program.values[name]
                words = a.buffer.memory.size_bytes // rows
                for lo, hi in spans(weights.shape[1] // rows, self.weight_blocks):
                    place = self._weights(key, weights[:, lo * rows : hi * rows], (0, hi - lo), strip.label)
                    outputs = weights.shape[0] // self.matrix.columns
                    fields = matrix_fields(self.matrix, a, band.first + lo, hi - lo, c, outputs, strip.pixels, band.count)
                    fields |= {"a_stride_3": stride(hi - lo, rows, rows, words), "a_stride_5": stride(band.count, band.step * rows, rows, words)}
                    fields |= {"a_signed": int(value.dtype == "i8"), "a_zero": value.zero, "w_base": Ref(place, 0, self.matrix.columns)}
                    fields |= {"w_signed": int(weights.dtype == np.int8), "accumulate": accumulate}
                    self.context.emit(self.matrix.engine.name, fields, [a.buffer, place], [c.buffer], strip.label)
                    accumulate = 1
            if isinstance(step, Weighted) and not self.keeps_weights:
                self._kept = {key: buffer for key, buffer in self._kept.items() if key[0] != ("w", step.result)}

    def _largest(self, step: Largest, strip: Strip) -> None:
        """Largest over the blocks, lane by lane, then over the lanes: each turn meets itself rotated by 1, 2, 4.. lanes."""
        value, x = self.program.values[step.operand], strip.places[step.operand]
        operand = {"a_signed": int(value.dtype == "i8"), "a_zero": value.zero}
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
            fields = {**vector_fields(self.vector, x.block(full), None, largest, strip.pixels, 1), **finish(high=255), **operand}
            fields |= {"numeric": 1, "p_enable": 1, "p_base": Ref(source, 0, self.vector.parameter.word_bytes)}
            self._emit(strip, fields, [x.buffer, source], largest.buffer)
        if full:
            tail, largest = largest, self._place(step.result, byte, strip, 1)
            fields = {**vector_fields(self.vector, x, tail, largest, strip.pixels, 1, reduced=full), **finish(high=255), **operand}
            fields |= {"numeric": 1, "reduce": 2, "binary": BINARY["MAX" if tail else ""]}
            self._emit(strip, fields, [x.buffer, *([tail.buffer] if tail else [])], largest.buffer)
        assert largest is not None
        lanes = np.arange(self.span)
        for turn in range((self.span - 1).bit_length()):
            rotation = np.zeros((self.lanes, self.lanes), np.uint8)
            rotation[lanes, (lanes + (1 << turn)) % self.span] = 1
            moved = self._place(f"{step.result}.rotated", row, strip, 1)
            self._matrix(strip, largest, byte, ("rotation", turn), rotation, moved, False)
            before, largest = largest, self._place(step.result, byte, strip, 1)
            fields = {**vector_fields(self.vector, moved, before, largest, strip.pixels, 1), **finish(high=255)}
            self._emit(strip, fields | {"numeric": 1, "binary": BINARY["MAX"]}, [moved.buffer, before.buffer], largest.buffer)

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
        fields = vector_fields(self.vector, a, None, y, strip.pixels, self.blocks) | {"a_signed": int(dtype == "i8")}
        fields |= {"y_low": low, "y_high": high, "table_enable": 1, "table_select": Ref(table, 0, table.memory.bank_bytes)}
        self._emit(strip, fields, [a.buffer, table], y.buffer)

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
        fields = vector_fields(self.vector, places["a"], places.get("b"), places["y"], strip.pixels, blocks)
        for role in ("a", "b"):
            if role in places:
                value = values[names[role]]
                more = {f"{role}_float": int(value.dtype == "f32")} if value.wide else {f"{role}_signed": int(value.dtype == "i8"), f"{role}_zero": value.zero}
                fields |= more
        reads = [places[role].buffer for role in ("a", "b") if role in places]
        fields |= {"numeric": 1, "binary": BINARY[step.binary], **finish(step)}
        if step.channel_scale is not None:
            lo, hi = piece[0] * self.lanes, min(piece[1] * self.lanes, self.channels)
            key = (step.result, "scale", lo, hi)
            if key not in self._constants:
                scale = step.channel_scale[lo:hi]
                content = self.context.parameters(np.zeros(len(scale), np.int32), scale, self.lanes)
                self._constants[key] = self.context.load_constant(f"{self.codelet.name}.p", content, self.vector.parameter, strip.label)
            source = self._constants[key]
            fields |= {"p_enable": 1, "p_base": Ref(source, 0, self.vector.parameter.word_bytes), "p_stride_1": int(blocks > 1)}
            reads.append(source)
        if step.table is not None:
            table = self._table(step.table, strip.label)
            fields |= {"table_enable": 1, "table_select": Ref(table, 0, table.memory.bank_bytes)}
            reads.append(table)
        self._emit(strip, fields, reads, places["y"].buffer)


def _planes(step: Neighbours | Weighted, band: Band) -> list[tuple[str, np.ndarray, tuple]]:
    """Each value that a band adds up, with its weights (columns, input lanes) and what these are known by."""
    if isinstance(step, Neighbours):
        return [(name, band.weights * np.uint8(weight), ("w", weight)) for name, weight in step.terms]
    return [(name, plane.astype(weights.dtype), ("w", step.result)) for (name, weights), plane in zip(step.terms, band.weights, strict=True)]
