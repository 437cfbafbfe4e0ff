"""Tile the product of two computed matrices for a programmable engine: the second is turned on the core, then it is the weights of a contraction.

    before   codelet: for n, oc, oy: reduce ic: acc = MATMUL(x[..], w[..]); y = REQUANTIZE(acc)
    after    for each product: for each pass over its columns: [load box of w] core (turned) for each strip of rows: [load box] core [store]

A vector of weights is four rows of the matrix beside each other, column by column (`compiler.kernels.recipes.turning`). Rows beyond the last are its zero
point, columns beyond the last anything: nobody reads what they make. Turned weights stay while all of a matrix fit, so that strips of rows share them.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.kernels.core import Misfit
from compiler.kernels.recipes.turning import WINDOW, Turning, turning
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import Buffer, View, ceil_div
from compiler.tiling.chain import Region
from compiler.tiling.kernels.base import Strip, cheapest
from compiler.tiling.kernels.contraction import KernelContractionTiler
from compiler.tiling.kernels.launch import Bounds, Launch, Step
from compiler.tiling.kernels.plan import Pass, Problem, passes
from compiler.tiling.tile_context import TileContext

__all__ = ["KernelProductTiler"]

#: Packets that a window of weights may leave free, where loads are slow.
IDLE = (0, 1, 2, 4, 8)


class KernelProductTiler(KernelContractionTiler):
    """Emits the operations of one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        super().__init__(context, step)
        self._a_batch, self._b_batch = self.codelet.batches
        self._turned: dict[tuple[int, int], Buffer] = {}
        #: Blocks of output channels that a pass has at most.
        self.blocks = 2

    def run(self) -> None:
        """Emit everything."""
        strips = self.strips()
        for product in range(self.y.shape[0]):
            mine = [strip for strip in strips if strip.n0 == product]
            made = [self.passes(strip) for strip in mine]
            most = max(map(self.bytes_of, mine))
            keep = most + sum(self.turned_bytes(one) for one in made[0]) <= self.room(self.unit.activation.name)
            if not keep or any(image != self._b_batch[product] for image, _ in self._turned):
                self._turned.clear()
            if keep:
                for strip, found in zip(mine, made, strict=True):
                    view = self.input_view(self.x, strip)
                    for number, one in enumerate(found):
                        self.body(strip, one, number, view)
                continue
            for number in range(len(made[0])):
                for strip, found in zip(mine, made, strict=True):
                    self.body(strip, found[number], number, self.input_view(self.x, strip))
                self._turned.clear()

    def strips(self) -> list[Strip]:
        """Strips of rows of each product that fit beside the turned weights of a pass."""
        failed: CompilerError | None = None
        for self.blocks in (2, 1):
            try:
                return [strip for strip in super().strips() if strip.y0 < strip.y1]
            except CompilerError as error:
                failed = error
        assert failed is not None, "there are two numbers of blocks"
        raise failed

    def pieces(self) -> int:
        """Strips of a product at least: several products are pieces already."""
        return max(1, super().pieces() // self.y.shape[0])

    def passes(self, strip: Strip) -> list[Pass]:
        """Kernels over the columns of a product. Raises CompilerError where none do."""
        try:
            return passes(Problem(self.x.shape[1], self.y.shape[1], (1, 1), (1, 1), self.grid(strip), self.raw), self.core, most_blocks=self.blocks)
        except Misfit as misfit:
            raise self.misfit(misfit) from None

    def box(self, operand: Operand, strip: Strip) -> tuple[int, int, int, int, int, int, int, int]:
        """What of an operand a strip touches; a product's rows of x are those of its own matrix."""
        box = super().box(operand, strip)
        return box if operand is not self.x else (self._a_batch[strip.n0], self._a_batch[strip.n0] + 1, *box[2:])

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip: its boxes, and the weights of a pass as they are and turned."""
        core, depth = self.core, ceil_div(self.x.shape[1], self.core.granule_bytes) * self.core.granule_bytes
        columns = min(self.blocks * core.lanes, ceil_div(self.y.shape[1], core.lanes) * core.lanes)
        return super().bytes_of(strip) + depth * columns * (1 if self.context.is_resident(self.w) else 2)

    def turned_bytes(self, one: Pass) -> int:
        """Bytes of the turned weights of a pass."""
        return one.weights * self.core.vector_bytes

    def _activations(self, launch: Launch, one: Pass, view: View, strip: Strip) -> None:
        image = self._a_batch[strip.n0]
        super()._activations(launch, one, view, replace(strip, n0=image, n1=image + 1))

    def _weights_of(self, launch: Launch, strip: Strip, one: Pass, number: int, region: Region, label: str) -> None:
        key = self._b_batch[strip.n0], number
        if key not in self._turned:
            self._turned[key] = self._turn(key[0], one, label)
        launch.stream("in1", self._turned[key], 0, [Step(one.weights, self.core.vector_bytes)], self.core.pixels)
        parameters = self.context.load_constant(f"{self.codelet.name}.w", self.parameters(one, region), self.unit.weight, label)
        launch.stream("in2", parameters, 0, [Step(one.shape.parameters, self.core.vector_bytes)], self.core.pixels)

    def _turn(self, image: int, one: Pass, label: str) -> Buffer:
        """Buffer of the turned weights of a pass of a matrix."""
        core, shape, g = self.core, one.shape, self.core.granule_bytes
        rows, columns = self.w.shape[2], self.w.shape[1]
        box = (image, image + 1, 0, rows, 0, 1, one.first * g, min((one.first + one.granules) * g, columns))
        if self.context.is_resident(self.w):
            self.context.require(self.w, box[:4], label)
            view = self.context.whole(self.w)
        else:
            view = self.context.view_box(self.w, box, self.unit.activation, f"{self.codelet.name}.b")
            self.context.load_box(self.w, box, view, label)
        place = self.context.buffer(f"{self.codelet.name}.t", self.unit.activation, self.turned_bytes(one))
        windows, copies = sum(one.words), 2 if shape.halves else 1
        try:
            _, packed = cheapest(turning, [Turning(copies, idle) for idle in IDLE], core, lambda _: windows * one.granules)
        except Misfit as misfit:
            raise self.misfit(misfit) from None
        launch = Launch(self.unit, packed, self.kernel(packed, f"{label} turned"), tiles=windows, iterations=one.granules)
        launch.numbers(a=(False, self.w.zero))  # rows beyond the last
        steps = [Step(windows, WINDOW * view.pixel_bytes, 0, WINDOW), Step(one.granules, view.granule_bytes)]
        launch.stream("in0", view.buffer, view.at(image, 0, 0, box[6]), steps, WINDOW, Bounds((0, 0), (1, rows)))
        piece = WINDOW * g
        launch.stream("out0", place, 0, [Step(windows, shape.blocks * core.vector_bytes), Step(one.granules * copies, piece)], WINDOW)
        launch.add(self.context, f"{label} turned")
        return place
