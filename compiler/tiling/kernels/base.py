"""What tilers of kernels have in common: strips of rows that fit, boxes of operands, code and constants on chip, and the cheapest tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.kernels.body import Body
from compiler.kernels.cache import kernel, least_packets
from compiler.kernels.core import Core, Misfit
from compiler.kernels.pack import Packed
from compiler.layout import ELEMENT_BYTES
from compiler.mapping.assign_engines import Assigned
from compiler.target import CoreUnit
from compiler.tiles import Buffer, View, ceil_div, spans
from compiler.tiling.chain import Region
from compiler.tiling.kernels.launch import Launch, code_of
from compiler.tiling.tile_context import TileContext
from compiler.window import Window

__all__ = ["LEAST_TAPERED", "KernelStore", "KernelTiler", "Strip", "cheapest"]

#: Into how many strips a layer is cut whose operand or result moves meanwhile, and for how many bytes each.
MOST_PIECES, PIECE_BYTES = 10, 12288
#: Strips of which the first and the last may be in two; into how many parts of which one is apart.
LEAST_TAPERED, QUARTERS = 4, 4


@dataclass(frozen=True)
class Strip:
    """Images [n0, n1) and rows [y0, y1) of the result."""

    n0: int
    n1: int
    y0: int
    y1: int

    @property
    def label(self) -> str:
        """Which it is."""
        return f"n{self.n0} y{self.y0}"


def cheapest(recipe: Callable[[Any, Core], Body], shapes: Iterable[Any], core: Core, tiles: Callable[[Any], int]) -> tuple[Any, Packed]:
    """The shape whose kernel takes the fewest packets for all of its tiles, and that kernel. Raises Misfit where the core can hold none."""
    able = [(tiles(shape) * least_packets(recipe, shape, core), number, shape) for number, shape in enumerate(shapes)]
    best: tuple[int, Any, Packed] | None = None
    why = Misfit("no shape")
    for least, _, shape in sorted(able, key=lambda each: each[:2]):
        if best is not None and least >= best[0]:
            break
        try:
            packed = kernel(recipe, shape, core)
        except Misfit as misfit:
            why = misfit
            continue
        cycles = len(packed.prologue) + tiles(shape) * len(packed.body) + packed.drain
        if best is None or cycles < best[0]:
            best = cycles, shape, packed
    if best is None:
        raise why
    return best[1:]


class KernelStore:
    """Kernels of a codelet that stand in code memory: up to half of it, the other half is for the next one's."""

    def __init__(self, context: TileContext, name: str, unit: CoreUnit) -> None:
        self.context, self.name, self.unit = context, name, unit
        self._kernels: dict[bytes, Buffer] = {}

    def buffer(self, packed: Packed, label: str) -> Buffer:
        """Buffer of a kernel's code, loaded unless it still stands there."""
        content = code_of(self.unit, packed)
        if content not in self._kernels:
            if sum(map(len, self._kernels)) + len(content) > self.unit.code.size_bytes // 2:
                self._kernels.clear()
            self._kernels[content] = self.context.load_constant(f"{self.name}.k", content, self.unit.code, label)
        return self._kernels[content]


class KernelTiler(ABC):
    """Emits the operations of one codelet, which reads x through a window and perhaps other operands where the result is."""

    def __init__(self, context: TileContext, step: Assigned) -> None:
        self.context, self.step, self.codelet, self.unit = context, step, step.codelet, step.core
        self.core = self.unit.core
        self.x, self.y = (self.codelet.operands[role] for role in ("x", "y"))
        #: Operands that are read at the places of the result.
        self.beside = [operand for role, operand in self.codelet.operands.items() if role == "b" and operand.tensor]
        self.window = Window.of(self.codelet)
        self.resident_y = context.is_resident(self.y)
        self.stored = context.residency.root(self.y.tensor) in context.residency.external
        self._kernels = KernelStore(context, self.codelet.name, self.unit)
        self._cut: list[Strip] = []
        self._sizes: dict[tuple[int, tuple[int, int] | None], int] = {}

    @abstractmethod
    def run(self) -> None:
        """Emit everything. Raises CompilerError where there is no tile or no kernel."""

    @property
    def granules(self) -> int:
        """Granules of channels of the result."""
        return ceil_div(self.y.shape[1], self.core.granule_bytes)

    def room(self, memory: str) -> int:
        """Bytes of a memory that this codelet may take."""
        return self.context.budget_bytes[memory]

    def misfit(self, misfit: Misfit) -> CompilerError:
        """The error of a core that holds no kernel."""
        return CompilerError(f"node {self.codelet.name}", found=str(misfit), expected=f"a kernel on {self.unit.engine.name}",
                             do="use a core with more registers or packets, or other slots")

    def strips(self) -> list[Strip]:
        """Strips of rows that fit, each twice if they can, of whole tiles rather than others. Raises CompilerError where one row does not."""
        n, _, oh, _ = self.y.shape
        pieces = min(self.pieces(), oh)
        for copies, whole in ((2, True), (2, False), (1, True), (1, False)):
            for count in range(pieces, (min(oh, 2 * pieces) if whole else oh) + 1):
                rows = ceil_div(oh, count)
                if (count > pieces and rows == ceil_div(oh, count - 1)) or (whole and not self.in_tiles(rows)):
                    continue
                strips = [Strip(image, image + 1, y0, y1) for image in range(n) for y0, y1 in spans(oh, rows)]
                if max(self.bytes_of(strip) for strip in strips) * copies <= self.room(self.unit.activation.name):
                    self._cut = self.tapered(strips)
                    return self._cut
        raise CompilerError(f"node {self.codelet.name}", found="no tile that fits the on-chip memories", expected="room for one row of input and output",
                            do="use an architecture with larger memories")

    def reloads(self) -> bool:
        """Whether the layer waits for loads above all, and strips load rows that the one before has had."""
        return False

    def in_tiles(self, rows: int) -> bool:
        """Whether a strip of so many rows is whole tiles."""
        return True

    def tapered(self, strips: list[Strip]) -> list[Strip]:
        """The strips, of several the first one in two where its operands come, and the last one where its results go: work begins when a quarter of it is
        there, and ends when a quarter is left to store."""
        if len(strips) < LEAST_TAPERED:
            return strips
        first, last = strips[0], strips[-1]
        comes = not self.reloads() and any(not self.context.is_resident(operand) for operand in (self.x, *self.beside))
        begin, end = ((strip.y1 - strip.y0) // QUARTERS if does else 0 for strip, does in ((first, comes), (last, self.stored)))
        heads = [replace(first, y1=first.y0 + begin), replace(first, y0=first.y0 + begin)] if begin else [first]
        tails = [replace(last, y1=last.y1 - end), replace(last, y0=last.y1 - end)] if end else [last]
        return [*heads, *strips[1:-1], *tails]

    def pieces(self) -> int:
        """Strips at least: what goes on while an operand is on its way, or a result, need not wait for all of it."""
        inputs = [operand for operand in (self.x, *self.beside) if self.context.coming(operand) or not self.context.is_resident(operand)]
        moving = inputs + [self.y] * self.stored
        size = max((prod(operand.shape) for operand in moving), default=0)
        return max(1, min(MOST_PIECES, size // PIECE_BYTES))

    def box(self, operand: Operand, strip: Strip) -> tuple[int, int, int, int, int, int, int, int]:
        """What of an operand a strip touches (n0, n1, y0, y1, x0, x1, c0, c1)."""
        rows = self.window.reach(0, strip.y0, strip.y1) if operand is self.x else (strip.y0, strip.y1)
        return (strip.n0, strip.n1, *rows, 0, operand.shape[3], 0, operand.shape[1])

    def bytes_of(self, strip: Strip) -> int:
        """Bytes that a strip takes on chip, beside tensors that are there."""
        return sum(self.box_bytes(operand, strip) for operand in (self.x, *self.beside, self.y))

    def box_bytes(self, operand: Operand, strip: Strip) -> int:
        """Bytes of an operand that are loaded for a strip, or stored from it."""
        n0, n1, y0, y1, x0, x1, c0, c1 = self.box(operand, strip)
        g = self.core.granule_bytes
        return 0 if self.context.is_resident(operand) else (n1 - n0) * (y1 - y0) * (x1 - x0) * ceil_div(c1 - c0, g) * g * ELEMENT_BYTES[operand.dtype]

    def input_view(self, operand: Operand, strip: Strip) -> View:
        """View of what a strip reads: the resident tensor, or a box loaded for it."""
        box = self.box(operand, strip)
        if self.context.is_resident(operand):
            self.context.require(operand, box[:4], strip.label)
            return self.context.whole(operand)
        name = f"{self.codelet.name}.{'x' if operand is self.x else 'b'}"
        view = self.context.view_box(operand, box, self.unit.activation, name, least_bytes=self._most_bytes(operand))
        self.context.load_box(operand, box, view, strip.label)
        return view

    def output_view(self, strip: Strip, channels: tuple[int, int] | None = None) -> View:
        """View of what a strip makes: the resident tensor, or a box for these channels."""
        if self.resident_y:
            return self.context.whole(self.y)
        least = self._most_bytes(self.y, channels)
        return self.context.view_box(self.y, self._out_box(strip, channels), self.unit.activation, f"{self.codelet.name}.y", least_bytes=least)

    def _most_bytes(self, operand: Operand, channels: tuple[int, int] | None = None) -> int:
        """Bytes of the largest box of an operand in any strip: of one size they find each other's place."""
        key = (id(operand), channels)
        if key not in self._sizes:
            c0, c1 = channels or (0, operand.shape[1])
            boxes = [self.box(operand, strip) for strip in self._cut]
            pixels = [(n1 - n0) * (y1 - y0) * (x1 - x0) for n0, n1, y0, y1, x0, x1, *_ in boxes]
            self._sizes[key] = max(pixels, default=0) * ceil_div(c1 - c0, self.core.granule_bytes) * self.core.granule_bytes or 1
        return self._sizes[key]

    def _out_box(self, strip: Strip, channels: tuple[int, int] | None) -> tuple[int, int, int, int, int, int, int, int]:
        return (*self.box(self.y, strip)[:6], *(channels or (0, self.y.shape[1])))

    def store(self, strip: Strip, view: View, channels: tuple[int, int] | None = None) -> None:
        """Results of a strip into external memory, where they go there."""
        if self.stored:
            self.context.store_box(self.y, self._out_box(strip, channels), view, strip.label)

    def kernel(self, packed: Packed, label: str) -> Buffer:
        """Buffer of a kernel's code, loaded unless it still stands there."""
        return self._kernels.buffer(packed, label)

    def finish(self, launch: Launch, region: Region | None, label: str) -> None:
        """The numbers of the codelet's requantisation, in set 0."""
        table, finish = None, self.codelet.finish
        if finish.table is not None:
            assert self.unit.table_or_none is not None, "tables are bound to cores that have some"
            table = self.context.table(f"{self.codelet.name}.t", finish.table.tobytes(), self.unit.table_or_none, label)
        launch.parameters(0, finish, region, table)
