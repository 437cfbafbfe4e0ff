"""Values of a micro-program as operands: cells of bytes, and lanes of int32 or float32 numbers that are multiplied where they are used."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from acg.primitives import multiply
from compiler.kernels.body import Item
from compiler.kernels.core import Core
from compiler.kernels.rows.values import QUARTERS, Rows
from compiler.kernels.rows.writer import KernelWriter, spread

__all__ = ["Number", "Operands", "Places"]


@dataclass(frozen=True)
class Places:
    """Values that a kernel loads, in the order of each stream: `direct` the tensor that is read where it stands, those in the `frame`, the part of a sum over
    channels that is read where it was made, those one a pixel, and one a channel. Of a wide value one an element there are four names, with the quarter."""

    direct: str = ""
    frame: tuple[str, ...] = ()
    sums: str = ""
    pixels: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """Lanes of an operand: int32 or float32, yet to be multiplied by the lanes of `factor` where there is one."""

    cell: str
    integer: bool = False
    factor: str = ""

class Operands(KernelWriter):
    """What is in registers, and how it becomes an operand."""

    def __init__(self, rows: Rows, core: Core, *, by_planes: bool, tables: int) -> None:
        """As of a KernelWriter."""
        super().__init__(rows, core, by_planes=by_planes, tables=tables)
        #: Values that are made here, by name and place.
        self.made: dict[str, Number] = {}

    def load(self, places: Places, planes: range) -> None:
        """Loads of what stands in memory, in the order of the streams."""
        if places.direct:
            self.items += [Item("LDV", f"{places.direct}.{plane}", stream="direct") for plane in planes]
        for plane in planes if places.frame else ():
            self.items += [Item("LDV", self._place(name, plane), stream="frame") for name in places.frame]
        for plane in planes if places.sums else ():
            self.items += [Item("LDV", f"{places.sums}.{plane}.{quarter}", stream="sums") for quarter in range(QUARTERS)]
        self.items += [Item("LDV", self._place(name, 0), stream="pixels") for name in places.pixels]
        self.items += [Item("LDV", self._place(name, 0), stream="channels") for name in places.channels]

    def _place(self, name: str, plane: int) -> str:
        """Key of a value of a plane of pixels, as Places names it; of one a pixel there is one for all planes."""
        base, colon, quarter = name.partition(":")
        extent = "" if base.startswith("~") else self.rows.extent(base)
        if extent in ("pixel", "channel"):
            return f"{base}.{extent[0]}"
        return f"{base}.{plane}.{quarter}" if colon else f"{base}.{plane}"

    def cell(self, name: str, plane: int) -> str:
        """The cell of a value, as Places names it: made here, or loaded."""
        key = self._place(name, plane)
        found = self.made.get(key)
        return key if found is None else self.real(found) if ":" in name else found.cell

    def result(self, name: str, plane: int) -> str:
        """The cell of the program's result in a plane: bytes, or a quarter (y:quarter) of lanes. One a pixel stands in all channels of its granule."""
        base, colon, quarter = name.partition(":")
        if not colon:
            return self.element_cell(name, plane)
        pixelwise = self.rows.extent(base) == "pixel"
        number = self.in_pixels(base) if pixelwise else self.made[f"{base}.{plane}.{quarter}"]
        cell = number.cell if self.rows.value(base).dtype == "i32" else self.real(number)
        return self.op("PERM", {"a": cell, "b": cell}, pattern=spread(self.core, int(quarter))) if pixelwise else cell

    def element_cell(self, name: str, plane: int) -> str:
        """The cell of bytes one an element."""
        found = self.made.get(f"{name}.{plane}")
        return f"{name}.{plane}" if found is None else found.cell

    def pixel_cell(self, name: str) -> str:
        """The cell of a value one a pixel."""
        found = self.made.get(f"{name}.p")
        return f"{name}.p" if found is None else found.cell

    def pixel_integer(self, name: str) -> bool:
        """Whether its lanes are int32."""
        return self.rows.narrow(name) or self.rows.value(name).dtype == "i32"

    def widened(self, name: str, cell: str, quarter: int) -> Number:
        """Lanes of a quarter of bytes, their zero point subtracted."""
        less = self.less(self.rows.zero(name))
        return Number(self.op("LMAC", {"c": self.lanes(-less), "a": cell, "b": self.lanes(1)}, k=quarter), True)

    def real(self, number: Number) -> str:
        """The cell of float32 lanes of a number, its factor multiplied."""
        cell = self.op("CVT", {"a": number.cell}) if number.integer else number.cell
        return self.op("FMUL", {"a": cell, "b": number.factor}) if number.factor else cell

    def in_pixels(self, name: str) -> Number:
        """Lanes of a value one a pixel."""
        if name in self.rows.granular:
            return Number(self.first_bytes(name, 1), True)
        return Number(self.pixel_cell(name), self.pixel_integer(name))

    def first_bytes(self, name: str, weight: int) -> str:
        """Lanes of the first byte of each word times a weight."""
        self.fix_weights()
        less = self.less(self.rows.zero(name))
        pattern = np.tile(np.array([weight, 0, 0, 0], np.uint8), self.core.lanes)
        return self.op("DOTV", {"c": self.lanes(-less * weight), "a": self.pixel_cell(name), "b": self.constant(pattern.tobytes())})

    def operand(self, name: str, plane: int | None, quarter: int | None, scale: float = 1.0, channel: np.ndarray | None = None) -> Number:
        """An operand of a chain in a quarter of a plane, or (None) one a pixel: times a number, or times one a channel."""
        if name in self.rows.constants:
            values = self.rows.constants[name].astype(np.float32).reshape(-1)
            values = multiply(values, np.full(values.shape, scale, np.float32)) if scale != 1 else values
            if self.rows.extent(name) == "one":
                return Number(self.lanes(values[:1]))
            assert plane is not None, f"{name} is one a channel"
            return Number(self.a_channel(values, plane))
        factor = self.lanes(np.float32(scale)) if scale != 1 else ""
        if channel is not None:
            assert plane is not None, f"a scale a channel of {name}"
            factor = self.a_channel(channel.astype(np.float32), plane)
        if self.rows.extent(name) == "pixel":
            if quarter is None:
                return replace(self.in_pixels(name), factor=factor)
            if name in self.rows.granular:
                return replace(self.widened(name, self.pixel_cell(name), quarter), factor=factor)
            number = self.in_pixels(name)
            if scale != 1:
                number, factor = Number(self.real(replace(number, factor=factor))), ""
            elif number.integer:
                number = Number(self.real(number))
            cell = self.op("PERM", {"a": number.cell, "b": number.cell}, pattern=spread(self.core, quarter))
            return Number(cell, number.integer, factor)
        if self.rows.extent(name) == "channel":
            found = self.made.get(f"{name}.c")
            return replace(found, factor=factor) if found is not None else Number(f"{name}.c", self.pixel_integer(name), factor)
        assert plane is not None and quarter is not None, f"{name} is one an element"
        if name in self.rows.banded:
            cells = [f"{part}.{plane}.{quarter}" for part in self.rows.banded[name]]
            total = cells[0]
            for cell in cells[1:]:
                total = self.op("ADDV", {"a": total, "b": cell})
            return Number(total, True, factor)
        if self.rows.narrow(name):
            return replace(self.widened(name, self.element_cell(name, plane), quarter), factor=factor)
        found = self.made.get(f"{name}.{plane}.{quarter}")
        return replace(found, factor=factor) if found is not None else Number(f"{name}.{plane}.{quarter}", self.rows.value(name).dtype == "i32", factor)
