"""Tile the lane-by-lane codelets (depthwise, window, elementwise): one vector instruction a tile.

    before   codelet: for n, c, oy, ox: reduce ky, kx: acc = MAC(..); y = REQUANTIZE(acc)
    after    for each tile: [load weights] [load parameters] [load input boxes] vector [store]

Loop levels of the instruction: 0 images, 1 channel blocks, 2 and 3 output positions, 4 and 5 kernel positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from acg.graph import Memory
from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.layout import Layout
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.target import narrow
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import LOOPS, Region, finish_chain, look_up, read_parameters, regions
from compiler.tiling.contraction.price import INSTRUCTION_CYCLES, _cuts
from compiler.tiling.lanes.spread import spread, within
from compiler.tiling.nest import Nest
from compiler.tiling.tile_context import TileContext
from compiler.window import Window


@dataclass(frozen=True)
class LaneChoice:
    """A tile: `images` x `rows` x `columns` x `channels` of the output."""

    images: int
    rows: int
    columns: int
    channels: int


class LaneTiler:
    """Chooses the tile of one lane-by-lane codelet, or of a share of it, and emits its operations."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        self.context, self.step, self.codelet, self.share = context, step, step.codelet, share
        self.member, self.members = (0, 1) if share is None else (share.index, share.members)
        self.vector = step.vector
        self.lanes = step.vector.lanes
        operands = self.codelet.operands
        self.x, self.y = operands["x"], operands["y"]
        self.has_b, self.has_w = "b" in operands, "w" in operands
        self.b, self.w = operands.get("b", self.x), operands.get("w", self.x)
        self.window = Window.of(self.codelet)
        self.stored = context.residency.root(self.y.tensor) in context.residency.external
        self.operation = self.codelet.operations[0].name
        n, _, oh, ow = self.y.shape
        #: Images, rows and columns of the result that are made.
        self.box = (0, n, 0, oh, 0, ow) if share is None else share.box
        self._constants: dict[tuple, Buffer] = {}
        others = tuple(m for m in self.vector.b if m.name != step.source.name)
        self.weight_memory = narrow(others, None) or narrow(self.vector.b, None) or step.source

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """Operands that are tensors."""
        return (self.x, self.b) if self.has_b else (self.x,)

    # ---- choice

    def _in_bytes(self, operand: Operand, choice: LaneChoice) -> int:
        window = self.window if operand is self.x else None
        sizes = []
        for axis, count in enumerate((choice.rows, choice.columns)):
            need = count if window is None else (count - 1) * window.step[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1
            sizes.append(min(operand.shape[2 + axis], need))
        return choice.images * sizes[0] * sizes[1] * self._pixel(choice)

    def _pixel(self, choice: LaneChoice) -> int:
        granule = self.context.residency.layouts[self.context.residency.root(self.y.tensor)].lanes
        return ceil_div(choice.channels, granule) * granule

    def fits(self, choice: LaneChoice, copies: int) -> bool:
        """Whether the buffers of a choice fit, `copies` of those that move at the same time."""
        source, sink = self.step.source, self.step.sink
        sizes = {source.name: 0, sink.name: 0}
        for operand in self.inputs:
            if not self.context.is_resident(operand):
                sizes[source.name] += copies * self._in_bytes(operand, choice)
        if self.has_b and self.context.residency.root(self.b.tensor) == self.context.residency.root(self.x.tensor):
            sizes[source.name] += copies * self._in_bytes(self.b, choice)
        if not self.context.is_resident(self.y):
            sizes[sink.name] += copies * choice.images * choice.rows * choice.columns * self._pixel(choice)
        if any(size * self.members > self.context.budget_bytes[name] for name, size in sizes.items()):
            return False
        blocks = ceil_div(choice.channels, self.lanes) * self.members
        if self.has_w and copies * blocks * self.taps * self.lanes > self.weight_memory.size_bytes:
            return False
        return not self.codelet.per_channel or copies * blocks <= self.vector.parameter_blocks

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Images, channels, rows and columns of what is made."""
        n0, n1, y0, y1, x0, x1 = self.box
        return n1 - n0, self.y.shape[1], y1 - y0, x1 - x0

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return self.window.kernel[0] * self.window.kernel[1]

    def price(self, choice: LaneChoice) -> float:
        """Cycles: the busiest of vector, load and store, plus the first box, the last tile and the instructions."""
        n, c, oh, ow = self.sizes
        bus = self.context.target.external.bus_bytes
        tiles = ceil_div(n, choice.images) * ceil_div(oh, choice.rows) * ceil_div(ow, choice.columns) * ceil_div(c, choice.channels)
        cycles = n * oh * ow * ceil_div(c, self.lanes) * self.taps
        box = sum(self._in_bytes(o, choice) for o in self.inputs if not self.context.is_resident(o)) / bus
        store = n * oh * ow * self._pixel(choice) * ceil_div(c, choice.channels) / bus if self.stored else 0.0
        return max(cycles, box * tiles * self.members, store * self.members) + box + (cycles + store) / tiles + INSTRUCTION_CYCLES * tiles

    def choices(self) -> Iterator[LaneChoice]:
        """Tiles worth a price, larger ones first."""
        n, c, oh, ow = self.sizes
        granule = self.context.residency.layouts[self.context.residency.root(self.y.tensor)].lanes
        channels = sorted({min(c, ceil_div(size, granule) * granule) for size in _cuts(c, 8)}, reverse=True)
        for channel in channels:
            for columns in _cuts(ow, 4):
                yield from (LaneChoice(images, oh, columns, channel) for images in _cuts(n, 4))
                yield from (LaneChoice(1, rows, columns, channel) for rows in _cuts(oh, 12)[1:])

    def best(self) -> LaneChoice:
        """Cheapest choice that fits. Raises CompilerError when none fits."""
        _, c, _, ow = self.sizes
        for copies in (2, 1):
            fitting = [choice for choice in self.choices() if self.fits(choice, copies)]
            # Whole rows are one copy, and one stretch of memory: rather fewer rows than narrower ones, rather narrower than fewer channels.
            for keep in (lambda t: t.columns == ow and t.channels == c, lambda t: t.channels == c, lambda t: True):
                kept = [choice for choice in fitting if keep(choice)]
                if kept:
                    return self.context.decisions.cheapest(f"tile {self.codelet.name}", kept, self.price)
        raise CompilerError(
            f"node {self.codelet.name}", found="no tile that fits the on-chip memories", expected="room for one window of one channel block",
            do="use an architecture with larger memories",
        )

    # ---- operations

    def run(self, choice: LaneChoice, strips: list[tuple[int, int]] | None = None) -> None:
        """Emit everything, or these strips of rows."""
        for _ in self.tiles(choice, strips):
            pass

    def tiles(self, choice: LaneChoice, strips: list[tuple[int, int]] | None = None) -> Iterator[None]:
        """Emit everything, or these strips of rows, tile by tile."""
        n0, n1, y0, y1, x0, x1 = self.box
        rows = [(lo + a, lo + b) for lo, hi in strips or [(y0, y1)] for a, b in spans(hi - lo, choice.rows)]
        pieces = (spans(n1 - n0, choice.images), rows, spans(x1 - x0, choice.columns), spans(self.y.shape[1], choice.channels))
        for images, high, columns, channels in product(*pieces):
            self.body((n0 + images[0], n0 + images[1], *high, x0 + columns[0], x0 + columns[1], *channels))
            yield

    def body(self, box: tuple) -> None:
        """One tile of outputs."""
        n0, _, y0, y1, x0, x1, c0, c1 = box
        label = f"n{n0} y{y0} x{x0} c{c0}"
        window_box = (*box[:2], *self.window.reach(0, y0, y1), *self.window.reach(1, x0, x1), c0, c1)
        own = within(self.x, window_box)
        view = spread(self.x, self.input_view(self.x, own, "x", label) if self.x.tensor else self.constant_view(self.x, own, "x", label))
        second = self.second_operand(box, label) if self.has_b else None
        part = box[:6]
        places = self.context.places(self.y, part) if self.context.is_resident(self.y) else [(self._output(box), part)]
        for out, part in places:
            for region in regions(self.codelet.finish, part[2:]):
                self.vector_op((*part, c0, c1), region, view, second, out, label)
        if self.stored:
            self.context.store_box(self.y, box, places[0][0], label)

    def _output(self, box: tuple) -> View:
        """A place for a tile that is stored."""
        return self.context.view_box(self.y, box, self.step.sink, f"{self.codelet.name}.y")

    def input_view(self, operand: Operand, box: tuple, role: str, label: str) -> View:
        """The resident tensor, or a box of it loaded for this tile."""
        if self.context.is_resident(operand):
            self.context.require(operand, box[:4], label)
            return self.context.whole(operand, member=self.member)
        view = self.context.view_box(operand, box, self.step.source, f"{self.codelet.name}.{role}")
        self.context.load_box(operand, box, view, label)
        return view

    def second_operand(self, box: tuple, label: str) -> View:
        """View of operand b. A tensor added to itself is copied first: one instruction cannot read one bank twice in a cycle."""
        own = within(self.b, box)
        if not self.b.tensor:
            return spread(self.b, self.constant_view(self.b, own, "b", label))
        view = spread(self.b, self.input_view(self.b, own, "b", label))
        if self.context.residency.root(self.b.tensor) != self.context.residency.root(self.x.tensor) or not self.context.is_resident(self.b):
            return view
        copy = self.context.view_box(self.b, box, self.step.sink, f"{self.codelet.name}.b")
        low, high = (-128, 127) if self.b.dtype == "i8" else (0, 255)
        y0, y1, x0, x1 = box[2:6]
        nest = self.streams(box, (y0, y1, x0, x1), view, copy, {})
        self.context.add(nest.control(a_signed=int(self.b.dtype == "i8"), y_low=low, y_high=high), label)
        return copy

    def constant_view(self, operand: Operand, box: tuple, role: str, label: str) -> View:
        """A box of a constant operand, loaded for this tile or still there from the one before."""
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        key = (role, *box)
        granule = self.context.residency.layouts[self.context.residency.root(self.y.tensor)].lanes
        layout = Layout((n1 - n0, c1 - c0, y1 - y0, x1 - x0), operand.dtype, granule)
        if key not in self._constants:
            content = layout.pack(operand.constant[n0:n1, c0:c1, y0:y1, x0:x1])
            self._constants = {k: v for k, v in self._constants.items() if k[0] != role}
            memory = self.constant_memory(role)
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.{role}", content, memory, label)
        steps = (layout.image_bytes, layout.row_bytes, layout.pixel_bytes, layout.element_bytes)
        return View(self._constants[key], 0, *steps, y1 - y0, x1 - x0, n0, y0, x0, c0)

    def constant_memory(self, role: str) -> Memory:
        """Where a constant operand goes: the memory of the other operand, or one of the port's that a load engine fills."""
        able = [m for m in (self.vector.a if role == "x" else self.vector.b) if m.name in self.context.target.into and m.element.bits == 8]
        return narrow(tuple(able), self.step.source) or self.step.source

    def streams(self, box: tuple, region: tuple[int, int, int, int], view: View, out: View, taps: dict[str, int], *, zero: int = 0) -> Nest:
        """Loops, `taps` those of the kernel, and the streams a (from the first window) and y."""
        n0, n1, _, _, _, _, c0, c1 = box
        ry0, ry1, rx0, rx1 = region
        lanes, window = self.lanes, self.window
        counts = {"n": n1 - n0, "c": ceil_div(c1 - c0, lanes), "y": ry1 - ry0, "x": rx1 - rx0, **taps}
        nest = self.context.nest(self.vector.engine, LOOPS, counts)
        a_steps = {
            "n": view.image_bytes, "c": lanes, "y": window.step[0] * view.row_bytes, "x": window.step[1] * view.pixel_bytes,
            "ky": window.dilation[0] * view.row_bytes, "kx": window.dilation[1] * view.pixel_bytes,
        }
        start = view.at(n0, window.origin(0, ry0), window.origin(1, rx0), c0)
        nest.stream("a", view.buffer, start, a_steps, signed=self.x.dtype == "i8", zero=zero, element_bytes=1)
        y_steps = {"n": out.image_bytes, "c": lanes, "y": out.row_bytes, "x": out.pixel_bytes}
        return nest.stream("y", out.buffer, out.at(n0, ry0, rx0, c0), y_steps, element_bytes=1)

    def vector_op(self, box: tuple, region: Region, view: View, second: View | None, out: View, label: str) -> None:
        """One vector instruction: the outputs of `region`, all channels of the tile."""
        n0, _, _, _, _, _, c0, c1 = box
        ry0, _, rx0, _ = region.box
        finish, lanes, kernel = self.codelet.finish, self.lanes, self.window.kernel
        nest = self.streams(box, region.box, view, out, {"ky": kernel[0], "kx": kernel[1]}, zero=self.x.zero)
        first = self.window.origin(0, ry0), self.window.origin(1, rx0)
        for axis, coordinate in enumerate(self.window.pads(view, first, {"ky": "ky", "kx": "kx", "oy": "y", "ox": "x"})):
            nest.window("a", axis, *coordinate)
        finish_chain(nest.operation(self.operation), finish, region)
        if second is not None:
            steps = {"n": second.image_bytes, "c": lanes, "y": second.row_bytes, "x": second.pixel_bytes}
            signed = self.b.dtype == "i8"
            nest.stream("b", second.buffer, second.at(n0, ry0, rx0, c0), steps, signed=signed, zero=self.b.zero, element_bytes=1)
        if self.has_w:
            steps = {"c": self.taps * lanes, "ky": kernel[1] * lanes, "kx": lanes}
            nest.stream("b", self.weights(c0, c1, label), 0, steps, signed=self.w.dtype == "i8", zero=self.w.zero, element_bytes=1)
        if self.codelet.per_channel:
            read_parameters(nest, self.parameters(c0, c1, label))
        if finish.table is not None:
            look_up(nest, self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), self.vector.table, label))
        self.context.add(nest, label)

    def weights(self, c0: int, c1: int, label: str) -> Buffer:
        """Buffer of the weights of channels [c0, c1): by channel block, ky, kx."""
        key = ("w", c0, c1)
        if key not in self._constants:
            weight = self.w.constant[c0:c1, 0]
            blocks = ceil_div(c1 - c0, self.lanes)
            padded = np.full((blocks * self.lanes, *weight.shape[1:]), self.w.zero, weight.dtype)
            padded[: c1 - c0] = weight
            packed = padded.reshape(blocks, self.lanes, *weight.shape[1:]).transpose(0, 2, 3, 1)
            content = np.ascontiguousarray(packed).tobytes()
            self._constants = {k: v for k, v in self._constants.items() if k[0] != "w"} if c1 - c0 < self.y.shape[1] else self._constants
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.w", content, self.weight_memory, label)
        return self._constants[key]

    def parameters(self, c0: int, c1: int, label: str) -> Buffer:
        """Buffer of bias and scale of channels [c0, c1)."""
        key = ("p", c0, c1)
        if key not in self._constants:
            finish = self.codelet.finish
            content = self.context.parameters(finish.bias[c0:c1], finish.scale[c0:c1], self.lanes)
            self._constants = {k: v for k, v in self._constants.items() if k[0] != "p"} if c1 - c0 < self.y.shape[1] else self._constants
            self._constants[key] = self.context.load_constant(f"{self.codelet.name}.p", content, self.vector.parameter, label)
        return self._constants[key]


