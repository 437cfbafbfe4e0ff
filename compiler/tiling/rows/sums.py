"""Steps of a row program that the matrix unit does: sums over channels, over neighbours, and rotations in search of the largest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets.base import Operand, pixel
from compiler.codelets.contraction import ELEMENT
from compiler.codelets.rows.row_program import Largest, Neighbours, Total, Value, Weighted
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, ceil_div, spans
from compiler.tiling.chain import float_chain, read_parameters
from compiler.tiling.contraction.contract import contract
from compiler.tiling.contraction.contraction import pack_weights
from compiler.tiling.rows.bands import Band
from compiler.tiling.rows.fields import Place
from compiler.tiling.rows.strips import Strip, StripTiler
from compiler.tiling.tile_context import TileContext


class SumTiler(StripTiler):
    """Emits steps that add over channels."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self._bands: dict[tuple, list[Band]] = {}

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


def _planes(step: Neighbours | Weighted, band: Band) -> list[tuple[str, np.ndarray, tuple]]:
    """Each value that a band adds up, with its weights (columns, input lanes) and what these are known by."""
    if isinstance(step, Neighbours):
        return [(name, band.weights * np.uint8(weight), ("w", weight)) for name, weight in step.terms]
    return [(name, plane.astype(weights.dtype), ("w", step.result)) for (name, weights), plane in zip(step.terms, band.weights, strict=True)]


__all__ = ["SumTiler"]
