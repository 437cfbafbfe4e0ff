"""How a contraction becomes kernels: passes over output channels, the tile of each, and whether an iteration is a whole tile or a step of it.

    before   3x3, 64 -> 80 channels on 32x32, 32 lanes, granules of 16
    after    channels 0..63    2 blocks, tiles of 8 pixels, an iteration is one granule of one kernel position, 36 a tile
             channels 64..79   by halves, tiles of 32 pixels, the same steps

An iteration reduces so much that a tile's requantisation finds its packets (`compiler.kernels.vectorise`), and the whole where its code is short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from compiler.kernels.cache import kernel
from compiler.kernels.core import Core, Misfit
from compiler.kernels.pack import Packed
from compiler.kernels.vectorise import QUARTERS, Contraction, contraction
from compiler.tiles import ceil_div

__all__ = ["Pass", "Problem", "passes"]

#: Part of the code memory that an iteration of a whole tile may take: another kernel may be loaded beside it.
WHOLE = 1 / 2
#: Cycles that an instruction takes beyond its packets, in a row of its like.
LAUNCH_CYCLES = 20
#: Registers of sums in a tile; least phases of an iteration between which a sum may be requantised.
MOST_SUMS, LEAST_PHASES = 16, 2


@dataclass(frozen=True)
class Problem:
    """A contraction: channels in and out, kernel (y, x), stride (y, x), the grid of results (rows, columns) of a launch; `raw`: those are the sums;
    `planes`: weights that a position has one after the other."""

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    grid: tuple[int, int]
    raw: bool = False
    planes: int = 1


@dataclass(frozen=True)
class Pass:
    """One kernel over granules [first, first + granules) of output channels: a tile is `rows` vectors beside each other, or below with `down`."""

    first: int
    granules: int
    shape: Contraction
    down: bool
    words: tuple[int, ...]
    packed: Packed
    core: Core
    problem: Problem

    @cached_property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of results of a tile."""
        return (self.shape.rows, self.shape.pixels) if self.down else (1, self.shape.rows * self.shape.pixels)

    @property
    def tiles(self) -> tuple[int, int]:
        """Tiles of a launch, down and across."""
        return ceil_div(self.problem.grid[0], self.tile[0]), ceil_div(self.problem.grid[1], self.tile[1])

    @property
    def iterations(self) -> int:
        """Of a tile."""
        return 1 if self.shape.whole else len(self.words) // len(self.shape.words)

    @property
    def cycles(self) -> int:
        """Packets of a launch."""
        tiles = self.tiles[0] * self.tiles[1]
        return len(self.packed.prologue) + tiles * self.iterations * len(self.packed.body) + self.packed.drain

    @property
    def weights(self) -> int:
        """Vectors of weights."""
        return sum(self.words) * self.shape.blocks


def _words(problem: Problem, core: Core, whole: bool) -> tuple[int, ...]:
    """Words of each step, granule by granule and kernel position by kernel position."""
    granules = ceil_div(problem.inputs, core.granule_bytes)
    positions = problem.kernel[0] * problem.kernel[1] * problem.planes
    last = ceil_div(problem.inputs - (granules - 1) * core.granule_bytes, 4)
    if not whole and granules > 1:  # all steps are alike
        last = core.words
    return (core.words,) * (granules - 1) * positions + (last,) * positions


def _shapes(problem: Problem, core: Core, blocks: int, groups: int, halves: bool, rows: int, pixels: int) -> Iterator[tuple[Contraction, tuple[int, ...]]]:
    """Shapes of a tile of these blocks and rows, preferred first, with the words of all steps."""
    stride = problem.stride[1]
    whole = Contraction(_words(problem, core, True), True, stride, rows, blocks, groups, halves, pixels, problem.raw)
    multiplying = len(core.slots_of("DOTH" if halves else "DOT"))
    if sum(whole.words) * whole.sums(core) // multiplying <= core.packets * WHOLE:
        yield whole, whole.words
    words = _words(problem, core, False)
    for steps in range(1, len(words)):
        if steps * words[0] * whole.sums(core) > core.packets * multiplying:
            return
        if len(words) % steps == 0 and steps * words[0] >= LEAST_PHASES:
            shape = Contraction(words[:steps], False, stride, rows, blocks, groups, halves, pixels, problem.raw)
            loads = steps * (rows * shape.vectors(core) + words[0] * blocks)
            if max(sum(shape.words) * shape.sums(core) / multiplying, loads / len(core.slots_of("LDV"))) > core.packets:
                return  # no code memory holds it, nor a longer one
            yield shape, words


def _pass(problem: Problem, core: Core, first: int, granules: int, blocks: int, groups: int, halves: bool) -> Pass | None:
    """The fastest tile of these output channels, or None where the core can hold none."""
    found: list[Pass] = []
    columns = problem.grid[1]
    fewer = ceil_div(columns, ceil_div(columns, core.pixels))  # as many tiles with fewer pixels each
    widths = [core.pixels] if halves or fewer == core.pixels else [core.pixels, fewer]
    sums = blocks * (core.pixels // 2 if halves else core.pixels)
    rows = max(1, MOST_SUMS // sums)
    while rows:
        for down, pixels in product((False, True) if rows > 1 else (False,), widths):
            for shape, words in _shapes(problem, core, blocks, groups, halves, rows, pixels):
                if _levels(problem, shape, core, down) is None:
                    continue
                try:
                    packed = kernel(contraction, shape, core)
                except Misfit:
                    continue
                made = Pass(first, granules, shape, down, words, packed, core, problem)
                if made.iterations == 1 or made.iterations > packed.head_iterations:
                    found.append(made)
                    if not problem.raw:  # the longer the steps, the fewer packets for sums that are stored
                        break
        rows //= 2
    return min(found, key=lambda each: each.cycles, default=None)


def _levels(problem: Problem, shape: Contraction, core: Core, down: bool) -> int | None:
    """Levels that the stream of activations has; None where that is too many."""
    vectors = shape.vectors(core)
    one = not down and vectors * core.pixels == shape.pixels * problem.stride[1]  # vectors of all rows follow one another
    inner = int(shape.rows * vectors > 1) if one else (shape.rows > 1) + (vectors > 1)
    rows, columns = (shape.rows, shape.pixels) if down else (1, shape.rows * shape.pixels)
    outer = (ceil_div(problem.grid[0], rows) > 1) + (ceil_div(problem.grid[1], columns) > 1)
    count = outer + (ceil_div(problem.inputs, core.granule_bytes) > 1) + sum(size > 1 for size in (*problem.kernel, problem.planes)) + inner
    return count if count <= 6 else None


def passes(problem: Problem, core: Core, *, most_blocks: int = 2) -> list[Pass]:
    """Kernels over all output channels. Raises Misfit where the core can hold none.

    Steps that are alike take whole granules of inputs. Where the last one has fewer words, fewer blocks at once may leave an iteration short enough to be a
    whole tile, which takes as many words as there are.
    """
    found = _passes(problem, core, most_blocks)
    if most_blocks > 1 and len(_words(problem, core, True)) > 1 and _words(problem, core, True) != _words(problem, core, False) and not found[0].shape.whole:
        try:
            fewer = _passes(problem, core, most_blocks - 1)
        except Misfit:
            return found
        return min(found, fewer, key=lambda made: sum(one.cycles + LAUNCH_CYCLES for one in made))
    return found


def _passes(problem: Problem, core: Core, most_blocks: int) -> list[Pass]:
    groups = core.lanes // core.granule_bytes
    left = ceil_div(problem.outputs, core.granule_bytes)
    first, found = 0, []
    while left:
        granules = min(left, groups * most_blocks)
        blocks = max(1, granules // groups)
        granules = min(left, blocks * groups)
        halves = granules == 1 and groups == 2 and not problem.raw and core.can("DOTH") and QUARTERS % problem.stride[1] == 0
        made = _pass(problem, core, first, granules, blocks, min(granules, groups), halves)
        while made is None and blocks > 1:
            blocks -= 1
            granules = blocks * groups
            made = _pass(problem, core, first, granules, blocks, groups, False)
        if made is None and halves:
            made = _pass(problem, core, first, granules, 1, 1, False)
        if made is None:
            raise Misfit(f"no kernel of {problem.kernel[0]}x{problem.kernel[1]} windows over {problem.inputs} channels fits {core.registers} registers and "
                         f"{core.packets} packets")
        found.append(made)
        first, left = first + granules, left - granules
    return found


