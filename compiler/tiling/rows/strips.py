"""Strips of pixels, and where the values of theirs stand."""

from __future__ import annotations

from compiler.codelets.base import Operand
from compiler.codelets.rows.row_program import Value
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, View
from compiler.tiling.nest import Nest
from compiler.tiling.rows.fields import Place, rows_nest
from compiler.tiling.rows.price import RowwisePricer
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


class StripTiler(RowwisePricer):
    """Brings strips in and gives their values places."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self._kept: dict[tuple, Buffer] = {}
        self._views: dict[Strip, View] = {}

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


__all__ = ["Strip", "StripTiler"]
