"""Tile the operators that sum up the pixels of each image: strips of its pixels twice through a micro-program, and once what is one a channel.

    before   codelet with a program: s = table(x); A = pixel sum(s); m = ..A..; y = x * m
    after    for each image: for each strip [load x] s = table(x), sums of the strip; sums of the sums; m; for each strip [load x] y = x * m [store y]

Sums of a strip stand in slots beside each other; a few are added up when no slot is free, and all in the end: int32, so their order is of no
consequence. The channels' values are of one pixel that each strip meets with a stride of 0. Where they are too many, pieces of the channels
go through everything one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compiler.codelets.rows.row_program import Lookup, MicroOp, PixelSum, Value
from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import ceil_div, spans
from compiler.tiling.rows.fields import Place, rows_nest
from compiler.tiling.rows.price import MOST_PIXELS, STRIPS, RowChoice
from compiler.tiling.rows.rowwise import RowwiseTiler
from compiler.tiling.rows.strips import Strip
from compiler.tiling.tile_context import TileContext

#: Slots for the sums of strips, most first.
SLOTS = (8, 2)


@dataclass
class _Slots:
    """Sums of strips: `place` of the first, `pitch` bytes apart, `used` of them."""

    place: Place
    pitch: int
    used: int = 0

    def at(self, number: int) -> Place:
        """Place of one slot."""
        return replace(self.place, offset=self.place.offset + number * self.pitch)


class ImagewiseTiler(RowwiseTiler):
    """Chooses the strips of one codelet and emits its operations."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self.images = self.program.images
        self.image_pixels = self.pixels // self.images
        steps, values = self.program.steps, self.program.values
        summed = max(i for i, one in enumerate(steps) if isinstance(one, PixelSum)) + 1
        scaled = next(i for i in range(summed, len(steps)) if values[steps[i].result].extent == "element")
        self.parts: tuple[tuple[MicroOp, ...], ...] = (steps[:summed], steps[summed:scaled], steps[scaled:])
        #: Names of the sums over pixels.
        self.sums = {one.result for one in steps if isinstance(one, PixelSum)}
        self.slots = SLOTS[0]
        self._sums: dict[str, _Slots] = {}

    # ---- the choice

    def _bytes(self, name: str, value: Value, blocks: int) -> tuple[int, int]:
        if value.extent != "channel" or name in self.tensors:
            return super()._bytes(name, value, blocks)
        copies = self.slots + (self.slots > 1) if name in self.sums else 1
        return 0, self.lanes * (4 if value.wide else 1) * blocks * copies

    def best(self) -> RowChoice:
        """The choice with the fewest strips and pieces that fits; the most slots for it. Raises CompilerError when none fits."""
        counts = sorted({min(n, self.image_pixels) for k in range(self.image_pixels.bit_length() + 1) for n in (1 << k, 3 << k)})
        found: list[tuple[int, int, RowChoice]] = []
        for pixels, slots in ((ceil_div(self.image_pixels, count), slots) for count in counts for slots in SLOTS):
            strips = ceil_div(self.image_pixels, pixels)
            self.slots = min(slots, strips)
            for copies in sorted({min(STRIPS, strips), 1}, reverse=True):
                for pieces in sorted({*range(1, min(9, self.blocks + 1)), *(1 << k for k in range(self.blocks.bit_length())), self.blocks}):
                    choice = RowChoice(pixels, copies, ceil_div(self.blocks, pieces))
                    if pixels <= MOST_PIXELS and self._fits(choice):
                        found.append((strips * pieces, -slots, choice))
                        break
        if not found:
            raise CompilerError(
                f"node {self.codelet.name}", found="no strip that fits the on-chip memories",
                expected=f"room for the intermediate values of one pixel of {self.channels} channels", do="use an architecture with larger memories",
            )
        _, slots, choice = min(found, key=lambda each: each[:2])
        self.slots = min(-slots, ceil_div(self.image_pixels, choice.pixels))
        return choice

    # ---- operations

    def tiles(self) -> Iterator[None]:
        """Emit everything, image by image and piece by piece."""
        choice = self.best()
        for image in range(self.images):
            first = image * self.image_pixels
            strips = [Strip(first + lo, first + hi) for lo, hi in spans(self.image_pixels, choice.pixels)]
            for piece in spans(self.blocks, choice.blocks):
                self._piece(strips, piece, choice)
                yield
            if len(strips) == 1:
                self._leave(strips)

    def _piece(self, strips: list[Strip], piece: tuple[int, int], choice: RowChoice) -> None:
        """All of some blocks of channels. One strip stays where it is from piece to piece, several come and go."""
        again = piece[0] > 0 and len(strips) == 1
        groups = [strips[lo:hi] for lo, hi in spans(len(strips), choice.copies)]
        self._sums = {}
        for group in groups:
            for strip in group if not again else ():
                self._enter(strip, ("x",))
            for step in self.parts[0]:
                if not (again and isinstance(step, Lookup)):
                    self._in_turn(step, group, piece)
        whole = Strip(strips[0].lo, strips[0].lo + 1)
        whole.places = {"x": strips[-1].places["x"]}
        whole.places |= {name: self._added(name, whole, piece[1] - piece[0]) for name in self._sums}
        for step in self.parts[1]:
            self._in_turn(step, [whole], piece)
        for group in groups:
            for strip in group:
                strip.places |= {name: place for name, place in whole.places.items() if name != "x"}
                if len(strips) > 1:
                    self._enter(strip, ("x", "y"))
                elif not again:
                    self._enter(strip, ("y",))
            for step in self.parts[2]:
                self._in_turn(step, group, piece)
            if len(strips) > 1:
                self._leave(group, piece)
            for strip in group if len(strips) > 1 else ():
                strip.places = {}
        if choice.blocks < self.blocks:
            self._constants.clear()

    def _one(self, step: MicroOp, strip: Strip, piece: tuple[int, int]) -> None:
        if isinstance(step, PixelSum):
            self._pixel_sum(step, strip, piece)
        else:
            super()._one(step, strip, piece)

    def _pixel_sum(self, step: PixelSum, strip: Strip, piece: tuple[int, int]) -> None:
        """Sum up the pixels of a strip, into a free slot."""
        blocks, value, a = piece[1] - piece[0], self.program.values[step.operand], strip.places[step.operand]
        slots = self._free_slot(step.result, strip, blocks)
        self._reduce(strip, a if value.wide else a.block(piece[0]), slots.at(slots.used - 1), blocks, strip.pixels, None if value.wide else value)

    def _reduce(self, strip: Strip, a: Place, y: Place, blocks: int, count: int, value: Value | None = None) -> None:
        """y = sum over `count` pixels of a, for each of some blocks; `value`: sign and zero point of a."""
        turned = replace(a, pixel_bytes=a.block_bytes, block_bytes=a.pixel_bytes)
        nest = rows_nest(self.context, self.vector, turned, None, replace(y, pixel_bytes=y.block_bytes), blocks, 1, reduced=count, values=(value, None))
        self._add(strip, nest.operation("SUM"))

    def _new_slots(self, name: str, blocks: int) -> _Slots:
        pitch = 4 * self.lanes * blocks
        buffer = self.context.buffer(f"{self.codelet.name}.{name}.parts", self.wide, self.slots * pitch)
        return _Slots(Place(buffer, 0, 0, 4 * self.lanes, 4), pitch)

    def _free_slot(self, name: str, strip: Strip, blocks: int) -> _Slots:
        """The slots of a sum, the last of those in use being free."""
        slots = self._sums.get(name)
        if slots is None:
            slots = self._new_slots(name, blocks)
        elif slots.used == self.slots:
            full, slots = slots, self._new_slots(name, blocks)
            self._reduce(strip, replace(full.place, pixel_bytes=full.pitch), slots.place, blocks, full.used)
            slots.used = 1
        slots.used += 1
        self._sums[name] = slots
        return slots

    def _added(self, name: str, strip: Strip, blocks: int) -> Place:
        """The sum of all slots."""
        slots = self._sums[name]
        if slots.used == 1:
            return slots.place
        result = self._place(name, self.program.values[name], strip, blocks)
        self._reduce(strip, replace(slots.place, pixel_bytes=slots.pitch), result, blocks, slots.used)
        return result
