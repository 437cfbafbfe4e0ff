"""Sums over the channels of each pixel, as products whose int32 sums stay on chip: the contraction's kernels on what a micro-program has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.codelets import Codelet, Finish, Loop, Operand
from compiler.codelets.base import pixel
from compiler.codelets.contraction import weight_operand
from compiler.kernels.rows.segments import Band
from compiler.partitions import Partition
from compiler.tiles import View
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import Strip
from compiler.tiling.kernels.contraction import KernelContractionTiler
from compiler.tiling.kernels.plan import Pass
from compiler.window import Window

if TYPE_CHECKING:
    from compiler.tiling.kernels.rows import KernelRowsTiler

__all__ = ["BandTiler"]


class BandTiler(KernelContractionTiler):
    """Emits the instructions of one product, over a row of pixels."""

    def __init__(self, rows: KernelRowsTiler, band: Band, pixels: int) -> None:
        """`rows`: whose kernels stand in the code memory."""
        outputs, inputs = band.weights.shape
        x = Operand("i8" if band.signed else "u8", (1, inputs, 1, pixels), pixel("ic"), zero=band.zero)
        w = weight_operand(band.weights[:, :, None, None], 0)
        y = Operand("i32", (1, outputs, 1, pixels), pixel("oc"))
        loops = (Loop("n", 1), Loop("oc", outputs), Loop("ky", 1, True), Loop("kx", 1, True), Loop("ic", inputs, True), Loop("oy", 1), Loop("ox", pixels))
        self.codelet = Codelet(f"{rows.codelet.name}.{band.result}", rows.codelet.op, "contraction", loops, {"x": x, "w": w, "y": y}, (), Finish("raw"))
        self.context, self.step, self.unit, self.core = rows.context, rows.step, rows.unit, rows.core
        self.x, self.y, self.w, self.beside, self.window = x, y, w, [], Window.of(self.codelet)
        self.resident_y, self.stored, self.flat, self.raw, self.planes = True, False, True, True, 1
        self._kernels, self._weights = rows._kernels, {}

    def _home(self, one: Pass, number: int) -> Partition:
        """What activations leave is the rows' own."""
        return self.unit.weight

    def emit(self, x: View, y: View, label: str) -> None:
        """The passes over the output channels."""
        strip = Strip(0, 1, 0, 1)
        for number, one in enumerate(self.passes(strip)):
            self.launch(strip, one, number, x, y, Region((0, 0, 0, 0), 1.0, 1.0), f"{label} {self.codelet.name} c{one.first}")


