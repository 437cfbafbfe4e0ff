"""Vector and matrix instructions of a micro-program on rows of pixels.

    before   places of the operands, counts of pixels and blocks
    after    an instruction: blocks and pixels, and the streams on the operands
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.codelets.rows.row_program import Value
from compiler.target import VectorUnit
from compiler.tiles import Buffer
from compiler.tiling.chain import LOOPS, sign_and_zero
from compiler.tiling.nest import Nest
from compiler.tiling.tile_context import TileContext


@dataclass(frozen=True)
class Place:
    """A value in `buffer` from byte `offset`: bytes between pixels and between blocks of lanes, 0 where one serves all; bytes an element."""

    buffer: Buffer
    offset: int
    pixel_bytes: int
    block_bytes: int
    element_bytes: int

    def block(self, number: int) -> Place:
        """The same from another block on."""
        return replace(self, offset=self.offset + number * self.block_bytes)


def rows_nest(
    context: TileContext, vector: VectorUnit, a: Place, b: Place | None, y: Place, pixels: int, blocks: int, reduced: int = 1, *,
    values: tuple[Value | None, Value | None] = (None, None),
) -> Nest:
    """Blocks of lanes of pixels, of each the sum or the largest of `reduced` blocks of `a`; `values` say sign and zero point of `a` and `b`."""
    nest = context.nest(vector.engine, LOOPS, {"c": blocks, "y": pixels, "ky": reduced})
    for port, place, value in (("a", a, values[0]), ("b", b, values[1]), ("y", y, None)):
        if place is not None:
            steps = {"c": place.block_bytes, "y": place.pixel_bytes}
            steps |= {"ky": place.block_bytes} if port == "a" else {}
            signed, zero = sign_and_zero(value)
            nest.stream(port, place.buffer, place.offset, steps, signed=signed, zero=zero, element_bytes=place.element_bytes)
            if value is not None and value.dtype == "f32":
                nest.control(**{f"{port}_float": 1})
    return nest
