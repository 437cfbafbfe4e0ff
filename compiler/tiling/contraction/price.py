"""Search the tile of a contraction: every choice that fits is priced, the cheapest is taken.

Price in cycles, with P positions, W weight rows, B external bytes a cycle:

    matrix = sum over instructions of passes * max(P, W)        vector = positions * ceil(channels / lanes)
    load, store = bytes / B, weights and boxes as often as the order of the loops moves them
    matrix = passes * P where single inputs are broadcast; with the vector instructions, where one engine does both
    price = max(matrix, vector, load, store) + first weights and box + last tile's vector and store + 6 an instruction,
            and 4% where the order of the loops completes the first rows last,
            and the matrix cycles that follow the last row of the input, as far as they could overlap with the vector unit making it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from compiler.codelets import Codelet
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.mapping.price import finishing_packets
from compiler.planes import planes
from compiler.target import VectorUnit
from compiler.tiles import ceil_div
from compiler.tiling.tile_context import TileContext
from compiler.window import Window

#: Cycles an instruction costs beyond its work: fetch and dispatch.
INSTRUCTION_CYCLES = 6
#: Part of the time until a result is complete that is charged for keeping its readers waiting.
LATENESS = 0.04


@dataclass(frozen=True)
class Choice:
    """A tile: output `rows` (images when batched) x `columns` x `blocks` of output channels; the reduction in pieces of
    `kernel_rows` x `kernel_columns` x `input_blocks`; order of the loops; what is kept on chip."""

    rows: int
    columns: int
    blocks: int
    kernel_rows: int
    kernel_columns: int
    input_blocks: int
    channels_outer: bool
    keep_weights: bool
    whole_input: bool
    whole_output: bool


@dataclass(frozen=True)
class ContractionSizes:
    """Sizes of a contraction on a machine. `batched`: outputs of one row, so that images take the place of rows."""

    images: int
    out_rows: int
    out_columns: int
    out_channels: int
    in_channels: int
    kernel: tuple[int, int]
    groups_count: int
    rows: int
    lanes_out: int
    granule: int
    parameter_words: int

    @classmethod
    def of(cls, step: Assigned) -> ContractionSizes:
        """Sizes from a codelet and its engines."""
        codelet: Codelet = step.codelet
        n, oc, oh, ow = codelet.operands["y"].shape
        lanes = step.vector.lanes if step.vector_or_none else step.core.core.granule_bytes if step.core_or_none else step.matrix.columns
        return cls(
            n, oh, ow, oc, codelet.operands["x"].shape[1], Window.of(codelet).kernel, codelet.group, step.matrix.rows, step.matrix.columns,
            max(lanes, step.matrix.columns), ceil_div(oc, lanes),
        )

    def shared(self, share: Share) -> ContractionSizes:
        """Sizes of the part that is one member's share."""
        n0, n1, y0, y1, x0, x1 = share.box
        return replace(self, images=n1 - n0, out_rows=y1 - y0, out_columns=x1 - x0, out_channels=share.channels[1] - share.channels[0])

    @property
    def batched(self) -> bool:
        """Whether images are the outer positions."""
        return self.out_rows == 1 and self.images > 1

    @property
    def outer(self) -> int:
        """Extent of the outer positions."""
        return self.images if self.batched else self.out_rows

    @property
    def blocks(self) -> int:
        """Blocks of output channels."""
        return ceil_div(self.out_channels, self.lanes_out)

    def input_blocks(self, group: tuple[int, int]) -> tuple[int, int]:
        """Range of input blocks that these output blocks reduce."""
        if self.groups_count == 1:
            return 0, ceil_div(self.in_channels, self.rows)
        per_out, per_in = self.out_channels // self.groups_count, self.in_channels // self.groups_count
        first = group[0] * self.lanes_out // per_out
        last = (min(group[1] * self.lanes_out, self.out_channels) - 1) // per_out
        return first * per_in // self.rows, ceil_div((last + 1) * per_in, self.rows)

    def groups(self, block: tuple[int, int]) -> list[tuple[int, int]]:
        """Output blocks an instruction each: all at once, or one by one where each reduces other inputs."""
        return [block] if self.groups_count == 1 else [(b, b + 1) for b in range(*block)]


    @staticmethod
    def parameter_channels(vector: VectorUnit, channels: int) -> int:
        """Channels whose parameters an instruction can have: those of a tile, or what half the parameter memory holds."""
        return min(ceil_div(channels, vector.lanes), max(1, vector.parameter_blocks // 2)) * vector.lanes


def _cuts(total: int, most: int) -> list[int]:
    """Sizes of pieces of a loop, largest first: total, half, third ..., at most `most` of them, then ever smaller ones down to 1."""
    sizes: list[int] = []
    for parts in range(1, total + 1):
        size = ceil_div(total, parts)
        if not sizes or size != sizes[-1]:
            sizes.append(size)
        if len(sizes) == most:
            break
    if sizes[-1] > 1:
        smaller = [sizes[-1] // 2, sizes[-1] // 8]
        while smaller[-1] > 64:  # a loop of thousands: its tiles must not fall from an eighth to single elements
            smaller.append(smaller[-1] // 4)
        sizes += [size for size in (*smaller, 1) if size and size != sizes[-1]]
    return sizes


def _reductions(sizes: ContractionSizes, deepest: int) -> Iterator[tuple[int, int, int]]:
    kh, kw = sizes.kernel
    for blocks in _cuts(deepest, 6):
        yield kh, kw, blocks
    for rows in _cuts(kh, 6)[1:]:
        yield rows, kw, 1
    for columns in _cuts(kw, 6)[1:]:
        yield 1, columns, 1


class ContractionPricer:
    """Fits and prices choices for one contraction."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        self.context, self.step = context, step
        self.sizes = ContractionSizes.of(step) if share is None else ContractionSizes.of(step).shared(share)
        #: How many work on the layer, each with buffers of its own; and whether a tile of channels is not all of a pixel.
        self.members = 1 if share is None else share.members
        self.partial = share is not None and share.channels != (0, step.codelet.operands["y"].shape[1])
        self.window = Window.of(step.codelet)
        self.x, self.y = step.codelet.operands["x"], step.codelet.operands["y"]
        self.resident_x, self.resident_y = context.is_resident(self.x), context.is_resident(self.y)
        self.y_stored = context.residency.root(self.y.tensor) in context.residency.external
        self.x_lanes, self.y_lanes = (context.residency.layouts[context.residency.root(o.tensor)].lanes for o in (self.x, self.y))
        self.making = context.making_cycles(self.x)
        #: Whether there is an operand b, and whether it comes tile by tile.
        self.second = step.codelet.rounded is not None
        self.second_loaded = self.second and not context.is_resident(step.codelet.operands["b"])
        self.raw = step.vector_or_none is None and step.core_or_none is None
        self.vector_passes = 1
        self.bus = context.target.external.bus_bytes
        self.deepest = max(b - a for a, b in (self.sizes.input_blocks((g, g + 1)) for g in range(self.sizes.blocks)))
        self.passes = sum(b - a for a, b in (self.sizes.input_blocks((g, g + 1)) for g in range(self.sizes.blocks))) * (
            self.sizes.kernel[0] * self.sizes.kernel[1]
        ) * len(planes(step.codelet.operands["w"]))

    def _box(self, choice: Choice) -> int:
        s, w = self.sizes, self.window
        rows = 1 if s.batched else choice.rows
        kernel = w.kernel if choice.whole_input else (choice.kernel_rows, choice.kernel_columns)
        high = min(w.size[0], (rows - 1) * w.step[0] + (kernel[0] - 1) * w.dilation[0] + 1)
        wide = min(w.size[1], (choice.columns - 1) * w.step[1] + (kernel[1] - 1) * w.dilation[1] + 1)
        images = choice.rows if s.batched else 1
        lanes = self.x_lanes
        channels = s.in_channels if choice.whole_input else choice.input_blocks * s.rows + lanes
        channels = min(s.in_channels, channels)
        return images * high * wide * ceil_div(channels, lanes) * lanes

    def _out_box(self, choice: Choice) -> int:
        channels = self.sizes.out_channels if choice.whole_output else choice.blocks * self.sizes.lanes_out
        lanes = self.y_lanes
        return choice.rows * choice.columns * ceil_div(channels, lanes) * lanes

    def fits(self, choice: Choice, copies: int) -> bool:
        """Whether the buffers of a choice fit, `copies` of those that move at the same time."""
        matrix = self.step.matrix
        memories = {matrix.activation.name: 0}
        if not self.resident_x:
            memories[matrix.activation.name] += copies * self._box(choice)
        if self.second_loaded:
            memories[matrix.activation.name] += copies * self._out_box(choice)
        if not self.resident_y and not self.raw:
            memories[self.step.sink.name] = memories.get(self.step.sink.name, 0) + copies * self._out_box(choice)
        budget = self.context.budget_bytes
        if any(size * self.members > budget[name] for name, size in memories.items()):
            return False
        weights, kept = self.weight_bytes(choice, copies)
        own = matrix.weight.size_bytes // self.members
        if copies * weights > own:
            return False
        if choice.keep_weights and kept > own * (4 if choice.channels_outer else 3) // 4:
            return False
        return self.accumulator_bytes(choice) + self.beside_bytes(choice) <= self.room(copies)

    def weight_bytes(self, choice: Choice, copies: int) -> tuple[int, int]:
        """Bytes of the weights of an instruction, and of all that are kept where weights are."""
        block = self.sizes.rows * self.sizes.lanes_out
        weights = choice.kernel_rows * choice.kernel_columns * choice.input_blocks * (choice.blocks if self.sizes.groups_count == 1 else 1) * block
        kept = self.passes * block
        return weights, copies * ceil_div(kept * choice.blocks, self.sizes.blocks) if choice.channels_outer else kept

    def accumulator_bytes(self, choice: Choice) -> int:
        """Bytes of the sums of a tile."""
        pitch = ceil_div(choice.blocks * self.sizes.lanes_out, self.sizes.granule) * self.sizes.granule
        return choice.rows * choice.columns * pitch * 4

    def beside_bytes(self, choice: Choice) -> int:
        """Bytes of the sums that are made beside those of a tile, to be added to them: an engine that broadcasts has two levels that reduce."""
        return self.accumulator_bytes(choice) * self.parts(choice) if self.step.matrix.broadcasts else 0

    def parts(self, choice: Choice) -> int:
        """Sums beside each result while a piece of the reduction is made, on an engine that broadcasts; 0 where it writes the results themselves."""
        loops = choice.kernel_rows, choice.kernel_columns, choice.input_blocks
        adjoining = self.sizes.groups_count == 1 and choice.input_blocks == self.sizes.in_channels and self.window.dilation[1] == 1
        adjoining = adjoining and self.sizes.in_channels % self.x_lanes == 0
        number = min(loops) if min(loops) > 1 and not adjoining else 1
        whole = loops == (*self.sizes.kernel, self.deepest) and len(planes(self.step.codelet.operands["w"])) == 1
        return 0 if number == 1 and whole else number

    def room(self, copies: int) -> int:
        """Bytes of accumulators that a tile may have."""
        accumulator = self.step.matrix.accumulator
        return accumulator.bank_bytes * max(1, accumulator.banks // (copies * self.members))

    def price(self, choice: Choice) -> float:
        """Cycles, see the file's head."""
        s = self.sizes
        tiles_outer, tiles_x = ceil_div(s.outer, choice.rows), ceil_div(s.out_columns, choice.columns)
        images = 1 if s.batched else s.images
        spots = tiles_outer * tiles_x * images
        block_tiles = ceil_div(s.blocks, choice.blocks)
        whole = s.images * s.out_rows * s.out_columns
        positions = whole / spots
        matrix = self.passes * spots * (positions if self.step.matrix.broadcasts else max(positions, s.rows, 8))
        lanes = self.step.vector.lanes if self.step.vector_or_none else s.lanes_out
        vector = whole * ceil_div(s.out_channels, lanes) * self.vector_passes if self.step.vector_or_none else 0
        if self.step.core_or_none is not None:
            vector = int(whole * ceil_div(s.out_channels, s.lanes_out) * finishing_packets(self.step.core.core))
        if self.step.matrix.broadcasts:
            number = self.parts(choice)
            vector += whole * ceil_div(s.out_channels, lanes) * ceil_div(self.deepest, choice.input_blocks) * (number if number > 1 else 2 * number)
            if self.step.vector_or_none is not None and self.step.vector.engine is self.step.matrix.engine:
                matrix, vector = matrix + vector, 0
        weight_bytes = self.passes * s.rows * s.lanes_out
        once = choice.keep_weights or spots == 1
        load = weight_bytes * (1 if once else spots) / self.bus
        box = 0 if self.resident_x else self._box(choice) / self.bus
        reduction = 1 if choice.whole_input else ceil_div(s.kernel[0], choice.kernel_rows) * ceil_div(s.kernel[1], choice.kernel_columns) * ceil_div(
            self.deepest, choice.input_blocks)
        again = block_tiles if (choice.channels_outer and spots > 1) or not choice.whole_input else 1
        load += box * spots * again * reduction
        y_bytes = whole * ceil_div(s.out_channels, s.granule) * s.granule * (4 if self.raw else 1)
        stored = self.y_stored
        store = y_bytes / self.bus if stored else 0.0
        if self.second_loaded:
            load += y_bytes / self.bus if choice.whole_output or block_tiles == 1 else max(y_bytes / self.bus, whole * block_tiles * 2.0)
        if stored and not choice.whole_output and block_tiles > 1:  # rows of a few bytes: a burst each
            store = max(store, whole * block_tiles * 2.0)
        instructions = spots * block_tiles * (1 + self.vector_passes * (1 + ceil_div(self.deepest, choice.input_blocks)))
        first = weight_bytes / self.bus / (block_tiles * ceil_div(self.deepest, choice.input_blocks)) + box
        last = positions * min(choice.blocks * s.lanes_out, s.out_channels) / lanes + store / spots / (1 if choice.whole_output else block_tiles)
        busiest = max(matrix, vector, load * self.members, store * self.members)
        # Whoever reads the result can start when its first rows are complete: late, if the channels are the outer loop.
        late = LATENESS * busiest * (1 - 1 / block_tiles) if choice.channels_outer and spots > 1 else 0.0
        # And this codelet works off what the one before delivers: after its last row, all tiles that need it are still to be done.
        behind = matrix * (1 - 1 / block_tiles) + matrix / spots / block_tiles if choice.channels_outer else matrix / spots
        return busiest + first + last + late + min(behind, self.making) + INSTRUCTION_CYCLES * instructions

    def choices(self, reduction: tuple[int, int, int], wide: int) -> Iterator[Choice]:
        """All choices worth a price with this piece of the reduction and this many columns."""
        s = self.sizes
        unit = max(1, s.granule // s.lanes_out)
        blocks = sorted({min(ceil_div(size, unit) * unit, s.blocks) for size in _cuts(s.blocks, 6)} | {min(unit, s.blocks)}, reverse=True)
        whole_inputs = (True,) if self.resident_x or reduction == (*s.kernel, self.deepest) else (True, False)
        orders = (False, True) if len(blocks) > 1 else (False,)
        for high, block, outer, keep, whole_in in product(_cuts(s.outer, 12), blocks, orders, (True, False), whole_inputs):
            for whole_out in (True, False) if not ((self.resident_y and not self.second_loaded) or outer or self.partial) else (False,):
                yield Choice(high, wide, block, *reduction, outer, keep, whole_in, whole_out)

    def best(self, what: str = "tile") -> Choice:
        """Cheapest choice that fits, unless `what` is decided otherwise: with double buffers, the whole reduction and whole rows if any such does.

        Raises CompilerError when none fits at all.
        """
        for copies in (2, 1):
            for reduction in _reductions(self.sizes, self.deepest):
                for wide in _cuts(self.sizes.out_columns, 6):
                    fitting = [choice for choice in self.choices(reduction, wide) if self.fits(choice, copies)]
                    if fitting:
                        return self.context.decisions.cheapest(f"{what} {self.step.codelet.name}", fitting, self.price)
        raise CompilerError(
            f"node {self.step.codelet.name}", found="no tile that fits the on-chip memories",
            expected="room for one block of weights, one pixel of input and one of output", do="use an architecture with larger memories",
        )
