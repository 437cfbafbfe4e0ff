"""Choose the strips of an operator that reduces the channels of each pixel: every size that fits is priced, the cheapest is taken.

Price in cycles, for groups of strips that advance by turns:

    vector = iterations of all its instructions        chain = cycles of all steps of one strip, latencies included
    price = groups * max(chain, strips of a group * vector) + first input and last output
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

from compiler.codelets.rows.row_program import Largest, Neighbours, RowProgram, Total, Value, Weighted
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import ceil_div
from compiler.tiling.contraction.price import INSTRUCTION_CYCLES
from compiler.tiling.rows.bands import Band, bands, weighted_bands
from compiler.tiling.tile_context import TileContext

#: Cycles between the start of an operation on a short strip and that of one which needs its result.
VECTOR_LATENCY, MATRIX_LATENCY = 24, 60
#: Blocks of weights of one instruction at most: the next ones of a long sum are the same, and need no loading.
MOST_WEIGHT_BLOCKS = 8
#: Part of the weight memory that the weights of one sum over channels may take.
WEIGHTS_PART = 16
#: Strips that are under way together.
STRIPS = 2
#: Pixels of a strip that the count of a loop can hold.
MOST_PIXELS = 1 << 15


@dataclass(frozen=True)
class RowChoice:
    """Strips of `pixels`, `copies` of them at a time; in the tail, pieces of `blocks` blocks of lanes."""

    pixels: int
    copies: int
    blocks: int


class RowwisePricer:
    """Sizes of one codelet on its engines, and the choice of its strips."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        self.context, self.step, self.codelet = context, step, step.codelet
        self.member, self.members = (0, 1) if share is None else (share.index, share.members)
        assert step.codelet.program is not None, f"{step.codelet.name} has no program"
        self.program: RowProgram = step.codelet.program
        self.x, self.y = self.codelet.operands["x"], self.codelet.operands["y"]
        #: Operands by the names of their values.
        self.tensors = self.codelet.operands
        self.matrix, self.vector = step.matrix, step.vector
        self.lanes = step.vector.lanes
        #: Channels of values one an element that are no inputs.
        self.channels = self.program.channels or self.x.shape[1]
        #: The first pixel, and how many.
        self.first, self.pixels = (0, self.x.shape[2]) if share is None else (share.box[2], share.box[3] - share.box[2])
        self.blocks = ceil_div(self.channels, self.lanes)
        #: Passes of each sum over neighbouring channels, by the name of its result.
        self.banded = {step.result: self.band_passes(step) for step in self.program.steps if isinstance(step, Neighbours | Weighted)}
        self.narrow, self.wide = step.source, step.matrix.accumulator
        self.pixel_bytes = {name: context.strides(operand)[2] for name, operand in self.tensors.items()}
        #: Bytes of a value one a pixel: what the matrix unit reads or writes at once, and a block of vector lanes.
        self.row_bytes = max(self.lanes, self.matrix.rows)
        self.wide_row_bytes = 4 * max(self.lanes, self.matrix.columns)

    @property
    def narrow_bytes(self) -> int:
        """Bytes a pixel of a value of bytes one an element that is no input."""
        return self.pixel_bytes["y" if self.program.channels else "x"]

    @property
    def weight_blocks(self) -> int:
        """Blocks of weights that an instruction takes at most."""
        outputs = ceil_div(self.lanes, self.matrix.columns)
        fitting = self.matrix.weight.size_bytes // WEIGHTS_PART // (self.matrix.rows * self.matrix.columns * outputs)
        return max(1, fitting if self.matrix.broadcasts else min(MOST_WEIGHT_BLOCKS, fitting))

    def apart(self, step: Total, pixels: int) -> int:
        """Neighbouring blocks of a sum that keep sums of their own, so that passes over few pixels are no shorter than a load of weights."""
        channels = {self.channels_of(name) for name, _ in step.terms}
        full = min(channels) // self.matrix.rows
        return max(1, min(full, ceil_div(self.matrix.rows, pixels))) if len(channels) == 1 else 1

    def passes(self, step: Total, pixels: int) -> int:
        """Cycles of the passes of a sum over this many pixels."""
        rows, apart = self.matrix.rows, self.apart(step, pixels)
        cycles = 0
        for name, _ in step.terms:
            groups = self.channels_of(name) // rows // apart if apart > 1 else 0
            rest = ceil_div(self.channels_of(name) - groups * apart * rows, rows)
            cycles += groups * max(pixels * apart, rows) + rest * max(pixels, rows)
        return cycles

    def bands(self, step: Neighbours | Weighted, channels: tuple[int, int]) -> list[Band]:
        """Bands of the sums of some channels over their neighbours."""
        sizes = self.matrix.rows, self.matrix.columns
        if isinstance(step, Neighbours):
            return bands(step.first, step.last, channels, *sizes)
        return weighted_bands([weights for _, weights in step.terms], channels, *sizes, most=self.weight_blocks)

    def band_passes(self, step: Neighbours | Weighted) -> int:
        """Passes of sums over neighbouring channels."""
        runs = self.bands(step, (0, self.channels))
        return sum(run.passes(self.matrix.rows, self.matrix.columns) for run in runs) * len(step.terms)

    @property
    def weighted_bytes(self) -> int:
        """Bytes of the weights of all weighted sums."""
        passes = sum(self.banded[step.result] for step in self.program.steps if isinstance(step, Weighted))
        return passes * self.matrix.rows * self.matrix.columns

    @property
    def keeps_weights(self) -> bool:
        """Whether the weights of all weighted sums stay in the weight memory from strip to strip, beside those of one sum."""
        return self.weighted_bytes <= self.context.budget_bytes[self.matrix.weight.name] // (2 * self.members)

    def wide_bytes(self, name: str, blocks: int) -> int:
        """Bytes a pixel of a wide value one an element, `blocks` of it; sums that the matrix unit makes in whole blocks of its columns."""
        unit = lcm(self.lanes, self.matrix.columns) if name in self.banded else self.lanes
        return 4 * ceil_div(blocks * self.lanes, unit) * unit

    def channels_of(self, name: str) -> int:
        """Channels of a value."""
        if self.program.values[name].extent == "pixel":
            return 1
        return self.tensors[name].shape[1] if name in self.tensors else self.channels

    @property
    def span(self) -> int:
        """Lanes among which a largest element is looked for: a power of two, all lanes or those that hold the channels."""
        return min(self.lanes, 1 << (self.channels - 1).bit_length())

    def _bytes(self, name: str, value: Value, blocks: int) -> tuple[int, int]:
        """Bytes (a pixel, besides) of a value."""
        if name in self.tensors:
            return (0 if self.context.is_resident(self.tensors[name]) else self.pixel_bytes[name]), 0
        if value.extent == "pixel":
            return (self.wide_row_bytes if value.wide else self.row_bytes), 0
        if value.wide:
            size = 4 * self.lanes if value.extent == "one" else self.wide_bytes(name, blocks)
            return (size, 0) if value.extent == "element" else (0, size)
        return (self.narrow_bytes, 0) if value.extent == "element" else (0, self.narrow_bytes)

    def _peak(self, choice: RowChoice) -> dict[str, int]:
        """Greatest number of bytes of each memory that are in use at once."""
        program, peak = self.program, {self.narrow.name: 0, self.wide.name: 0}
        last = {name: i for i, step in enumerate(program.steps) for name in program.operands(step)}
        first = {step.result: i for i, step in reversed(list(enumerate(program.steps)))} | dict.fromkeys(self.tensors, 0)
        first["y"] = len(program.steps) - 1
        last["y"] = len(program.steps)
        if choice.blocks < self.blocks:  # values an element stay until the last piece of the tail is done
            last = {n: len(program.steps) if at >= program.tail and not program.values[n].wide else at for n, at in last.items()}
        for position, step in enumerate(program.steps):
            used = dict.fromkeys(peak, 0)
            for name, value in program.values.items():
                if first[name] <= position <= last.get(name, -1):
                    a_pixel, besides = self._bytes(name, value, choice.blocks if first[name] >= program.tail else self.blocks)
                    memory = self.wide if value.wide else self.narrow
                    used[memory.name] += choice.copies * choice.pixels * a_pixel + besides
            if isinstance(step, Total):
                used[self.wide.name] += choice.copies * choice.pixels * self.wide_row_bytes * (self.apart(step, choice.pixels) + 1)
            if isinstance(step, Neighbours | Weighted) and self.matrix.broadcasts:  # terms that are added to the first
                used[self.wide.name] += choice.copies * choice.pixels * self.wide_bytes(step.result, choice.blocks)
            if isinstance(step, Largest):
                used[self.narrow.name] += choice.copies * choice.pixels * 2 * self.row_bytes
                used[self.wide.name] += choice.copies * choice.pixels * self.wide_row_bytes
            peak = {name: max(size, used[name]) for name, size in peak.items()}
        return peak

    def _fits(self, choice: RowChoice) -> bool:
        peak = self._peak(choice)
        for memory in (self.narrow, self.wide):  # operands in different banks leave some unused
            if peak[memory.name] * self.members > self.context.budget_bytes[memory.name] * (memory.banks - 1) // memory.banks:
                return False
        return 2 * choice.blocks * self.members <= self.vector.parameter_blocks

    def _price(self, choice: RowChoice) -> float:
        """Cycles: strips by turns on the vector unit, or the chain of one strip where that is longer."""
        program, pieces = self.program, ceil_div(self.blocks, choice.blocks)
        strips = ceil_div(self.pixels, choice.pixels)
        iterations, chain, instructions = 0, 0, 0
        shared = int(self.matrix.engine is self.vector.engine)
        for position, step in enumerate(program.steps):
            value = program.values[step.result]
            parts = pieces if position >= program.tail else 1
            if isinstance(step, Total):
                chain += self.passes(step, choice.pixels) + MATRIX_LATENCY
                iterations += shared * self.passes(step, choice.pixels)
                instructions += len(step.terms)
                continue
            if isinstance(step, Neighbours | Weighted):
                chain += self.banded[step.result] * max(choice.pixels, self.matrix.rows) + parts * MATRIX_LATENCY
                iterations += shared * self.banded[step.result] * choice.pixels
                instructions += parts * len(step.terms)
                continue
            work = choice.pixels * (self.blocks if value.extent == "element" else 1)
            if isinstance(step, Largest):
                turns = (self.span - 1).bit_length()
                work = choice.pixels * (self.blocks + 1 + turns)
                rotation = choice.pixels * ceil_div(self.lanes, self.matrix.rows) if shared else choice.pixels
                chain += turns * (rotation + MATRIX_LATENCY + VECTOR_LATENCY)
                iterations += shared * turns * rotation
                instructions += 1 + 2 * turns
            iterations += work
            chain += work + parts * VECTOR_LATENCY
            instructions += parts
        bus = self.context.target.external.bus_bytes
        moved = sum(self.pixel_bytes[n] for n, operand in self.tensors.items() if not self.context.is_resident(operand)) * choice.pixels / bus
        busy = max(iterations, INSTRUCTION_CYCLES * instructions)
        groups = strips / choice.copies
        if not self.keeps_weights:
            moved += groups * self.weighted_bytes / bus
        return groups * max(chain, choice.copies * busy) + moved * self.members

    def best(self) -> RowChoice:
        """Cheapest choice that fits. Raises CompilerError when none fits."""
        fitting: list[RowChoice] = []
        counts = {ceil_div(self.pixels, MOST_PIXELS), self.pixels}
        counts |= {n for k in range(self.pixels.bit_length() + 1) for n in (1 << k, 3 << k) if n <= self.pixels}
        for count in sorted(counts):
            pixels = ceil_div(self.pixels, count)
            if pixels > MOST_PIXELS:
                continue
            for copies in sorted({min(STRIPS, count), 1}):
                for pieces in sorted({*range(1, min(9, self.blocks + 1)), *(1 << k for k in range(self.blocks.bit_length())), self.blocks}):
                    choice = RowChoice(pixels, copies, ceil_div(self.blocks, pieces))
                    if self._fits(choice):
                        fitting.append(choice)
                        break
        if not fitting:
            raise CompilerError(
                f"node {self.codelet.name}", found="no strip that fits the on-chip memories",
                expected=f"room for the intermediate values of one pixel of {self.channels} channels", do="use an architecture with larger memories",
            )
        return self.context.decisions.cheapest(f"tile {self.codelet.name}", fitting, self._price)
