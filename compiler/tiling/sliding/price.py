"""Tiles of a codelet on a window engine: which fit, what they cost.

Price in cycles: the busiest of window, vector, load and store, what nothing overlaps, and a few an instruction. The first strip comes from external memory,
or waits for its producer's last row while a strip passes through window and vector; the last one's tile passes and its strip is stored, or a consumer waits for
it as long. The window engine's share is its timing's (`acg.timing`), asked for each kind of tile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from acg.isa import instruction_set
from acg.timing import engine_timing
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.tiles import ceil_div, spans
from compiler.tiling.contraction.price import INSTRUCTION_CYCLES, _cuts
from compiler.tiling.nest import Nest
from compiler.tiling.sliding.geometry import Axis, Pass, Slide, passes
from compiler.tiling.tile_context import TileContext
from compiler.window import Window

#: Rows of a tile of which every number is tried: a strip reads the rows of a kernel more than it makes, so one row more of few counts.
MOST_SINGLE = 8
#: Cycles of a burst besides its latency and its beats (`acg.timing.dma`).
LOAD_CYCLES, STORE_CYCLES = 1, 6
#: Loops of an instruction of a window engine and their levels: blocks of channels, positions of the box, outputs, kernel positions.
LOOPS = {"c": 0, "iy": 1, "ix": 2, "oy": 3, "ox": 4, "ky": 5, "kx": 6}


@dataclass(frozen=True)
class SlidingChoice:
    """A tile: output `rows` x `columns` x `channels`; `channels_outer`: all strips of some channels before the next channels."""

    rows: int
    columns: int
    channels: int
    channels_outer: bool


class SlidingPricer:
    """Fits and prices tiles for one codelet."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        self.context, self.step = context, step
        self.unit = step.window
        operands = step.codelet.operands
        self.x, self.y = operands["x"], operands["y"]
        self.window = Window.of(step.codelet)
        self.axes = tuple(Axis(self.window.step[i], self.window.dilation[i], self.window.pad[i], self.window.size[i]) for i in (0, 1))
        self.resident_x, self.resident_y = context.is_resident(self.x), context.is_resident(self.y)
        self.stored = context.residency.root(self.y.tensor) in context.residency.external
        self.granule = context.residency.layouts[context.residency.root(self.y.tensor)].lanes
        self.weighted = "w" in operands
        every = prod(self.window.kernel) * ceil_div(self.y.shape[1], self.granule) * self.granule
        #: Whether the weights of all channels are loaded at once, and stay.
        self.keeps_weights = self.weighted and 4 * every <= self.unit.weight.size_bytes
        self._cycles: dict[tuple, int] = {}
        self._tiles: dict[tuple, int] = {}
        self._defaults = {field.name: field.bias for field in instruction_set(context.target.graph).formats[self.unit.engine.name].fields}

    def passes(self, rows: tuple[int, int], columns: tuple[int, int]) -> list[Pass]:
        """Pieces of the kernel for a tile, first one of whose windows each sees some of the input. Raises CompilerError where there is none."""
        pieces = passes(self.window.kernel, self.unit.taps, self.unit.kernel_rows)
        for number, piece in enumerate(pieces):
            if self.axes[0].sees_all(rows, piece.y) and self.axes[1].sees_all(columns, piece.x):
                return [piece, *pieces[:number], *pieces[number + 1 :]]
        raise self._refused("windows that see nothing but padding")

    def _refused(self, found: str) -> CompilerError:
        return CompilerError(f"node {self.step.codelet.name}", found=found, expected="tiles that a window engine can slide over", do="let another engine do it")

    def takes(self, y: Slide, x: Slide) -> bool:
        """Whether the engine takes such an instruction."""
        unit = self.unit
        return max(y.step, x.step) <= unit.steps and x.places <= unit.row_words and x.outs * x.step <= x.places * y.step and max(y.lead, x.lead) < 256

    def slides(self, rows: tuple[int, int], columns: tuple[int, int], piece: Pass) -> list[tuple[Slide, Slide]]:
        """Instructions of a piece of the kernel over a tile."""
        return list(product(self.axes[0].slides(rows, piece.y), self.axes[1].slides(columns, piece.x)))

    def padded(self, channels: int) -> int:
        """Bytes of so many channels of a pixel."""
        return ceil_div(channels, self.granule) * self.granule

    def boxes(self, choice: SlidingChoice) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Rows and columns of each tile of an image."""
        _, _, oh, ow = self.y.shape
        return product(spans(oh, choice.rows), spans(ow, choice.columns))

    def fits(self, choice: SlidingChoice, copies: int) -> bool:
        """Whether the engine takes a choice's instructions, and its buffers fit, `copies` of those that move at the same time."""
        unit, memories = self.unit, {self.unit.activation.name: 0}
        accumulator = unit.accumulator
        pixel = self.padded(choice.channels)
        moved = pixel if choice.channels_outer else self.padded(self.y.shape[1])
        if choice.rows * choice.columns * pixel * 4 > accumulator.bank_bytes * max(1, accumulator.banks // copies):
            return False
        size = [min(self.window.size[i], (n - 1) * self.window.step[i] + (self.window.kernel[i] - 1) * self.window.dilation[i] + 1)
                for i, n in enumerate((choice.rows, choice.columns))]  # fmt: skip
        if not self.resident_x:
            memories[unit.activation.name] += copies * size[0] * size[1] * moved
        if not self.resident_y:
            memories[self.step.sink.name] = memories.get(self.step.sink.name, 0) + copies * choice.rows * choice.columns * moved
        if any(size > self.context.budget_bytes[name] for name, size in memories.items()):
            return False
        taps = self.window.kernel[0] * self.window.kernel[1]
        if self.weighted and copies * taps * pixel > unit.weight.size_bytes:
            return False
        if copies * ceil_div(choice.channels, self.step.vector.lanes) > self.step.vector.parameter_blocks:
            return False
        try:
            return all(
                self.takes(y, x) for rows, columns in self.boxes(choice) for piece in self.passes(rows, columns) for y, x in self.slides(rows, columns, piece)
            )
        except CompilerError:
            return False

    def nest(self, blocks: int, y: Slide, x: Slide, piece: Pass, accumulate: bool) -> Nest:
        """An instruction over so many blocks of channels, without its operands."""
        counts = {"c": blocks, "iy": y.places, "ix": x.places, "oy": y.outs, "ox": x.outs, "ky": piece.y[1] - piece.y[0], "kx": piece.x[1] - piece.x[0]}
        nest = self.context.nest(self.unit.engine, LOOPS, counts).operation(self.unit.operation)
        return nest.control(y_lead=y.lead, x_lead=x.lead, y_step=y.step, x_step=x.step, accumulate=int(accumulate))

    def window_cycles(self, blocks: int, rows: tuple[int, int], columns: tuple[int, int]) -> int:
        """Cycles for which a tile keeps the window engine."""
        if (blocks, rows, columns) in self._tiles:
            return self._tiles[blocks, rows, columns]
        total = 0
        for piece in self.passes(rows, columns):
            for y, x in self.slides(rows, columns, piece):
                nest = self.nest(blocks, y, x, piece, False)
                key = tuple(nest.fields.items())
                if key not in self._cycles:
                    timing = engine_timing(self.context.target.graph, self.unit.engine.name)
                    fields = self._defaults | {name: value for name, value in nest.fields.items() if isinstance(value, int)}
                    before, after = (timing.start(timing.ready_cycle, fields) for _ in range(2))
                    self._cycles[key] = after - before
                total += self._cycles[key]
        self._tiles[blocks, rows, columns] = total
        return total

    def reached(self, rows: tuple[int, int], columns: tuple[int, int]) -> int:
        """Pixels of the input that a tile sees."""
        return prod(hi - lo for lo, hi in (self.window.reach(0, *rows), self.window.reach(1, *columns)))

    def burst_cycles(self, size: int, pixel: int, *, stores: bool) -> float:
        """Cycles that a copy takes for so many bytes of a pixel in external memory: some of its channels are a burst of their own, and of those so many
        are on their way at once; all of them go on where the pixel before ends."""
        target = self.context.target
        outside, bus = target.external, target.external.bus_bytes
        if size == pixel:
            return size / bus
        path = target.store_path(self.step.sink) if stores else target.load_path(self.unit.activation)
        latency = outside.write_latency_cycles + STORE_CYCLES if stores else outside.read_latency_cycles + LOAD_CYCLES
        beats = ceil_div(size, bus)
        return max(beats, (latency + beats) / path.engine.number("outstanding_bursts"))

    def price(self, choice: SlidingChoice) -> float:
        """Cycles, see the file's head."""
        n, c, oh, ow = self.y.shape
        lanes = self.step.vector.lanes
        groups = [ceil_div(hi - lo, self.unit.lanes) for lo, hi in spans(c, choice.channels)]
        boxes = list(self.boxes(choice))
        window = n * sum(times * self.window_cycles(blocks, rows, columns) for blocks, times in Counter(groups).items() for rows, columns in boxes)
        vector = n * oh * ow * ceil_div(c, lanes)
        pixel = self.padded(c)
        sizes = [self.padded(hi - lo) for lo, hi in spans(c, choice.channels)] if choice.channels_outer else [pixel]
        reached = 0 if self.resident_x else n * sum(self.reached(rows, columns) for rows, columns in boxes)
        load = sum(reached * self.burst_cycles(size, pixel, stores=False) for size in sizes)
        store = sum(n * oh * ow * self.burst_cycles(size, pixel, stores=True) for size in sizes) if self.stored else 0.0
        tiles = n * len(groups) * len(boxes)
        instructions = tiles * (1 + len(self.passes(*boxes[0])))
        strips, parts = (1, tiles / n) if choice.channels_outer and len(groups) > 1 else (len(boxes), len(groups))
        passing = max(window, vector) + min(window, vector) / parts
        begin = load if not self.resident_x else passing
        end = (window + vector) / parts + store if self.stored else passing
        return max(window, vector, load, store) + (begin + end) / (n * strips) + INSTRUCTION_CYCLES * instructions

    def best(self) -> SlidingChoice:
        """Cheapest choice that fits. Raises CompilerError when none fits."""
        _, c, oh, ow = self.y.shape
        channels = sorted({min(c, ceil_div(size, self.granule) * self.granule) for size in _cuts(c, 8)}, reverse=True)
        few = sorted({*_cuts(oh, 12), *range(1, min(oh, MOST_SINGLE) + 1)}, reverse=True)
        for copies in (2, 1):
            for columns in _cuts(ow, 6):
                choices = [SlidingChoice(rows, columns, channel, outer) for rows in few for channel in channels for outer in (False, True)]
                fitting = [choice for choice in choices if self.fits(choice, copies)]
                if fitting:
                    return self.context.decisions.cheapest(f"tile {self.step.codelet.name}", fitting, self.price)
        raise self._refused("no tile that fits the on-chip memories")
