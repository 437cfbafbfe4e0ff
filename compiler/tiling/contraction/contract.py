"""One instruction of an engine that contracts: a block of weights for each pass, the passes of a reduction, positions.

    y[oc, oy, ox] += sum over ky, kx, ic of (x[ic, oy, ox, ky, kx] - zero) * (w[oc, ky, kx, ic] - zero)

with blocks of `rows` input channels and of `columns` output channels; the weights of a pass are one block, and the passes' blocks follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping

from compiler.target import MatrixUnit
from compiler.tiles import Buffer
from compiler.tiling.nest import Nest
from compiler.tiling.tile_context import TileContext

__all__ = ["contraction_nest"]

#: Whether 8-bit numbers are signed, and their zero point.
Number = tuple[bool, int]
#: Loops that say which block of weights a pass has, in the order of the blocks in memory.
PASSES = ("oc", "ky", "kx", "ic")


def contraction_nest(
    context: TileContext, unit: MatrixUnit, counts: Mapping[str, int], *, x: tuple[Buffer, int, Number], x_steps: Mapping[str, int],
    w: tuple[Buffer, Number], y: tuple[Buffer, int], y_steps: Mapping[str, int], accumulate: bool,
) -> Nest:
    """An instruction of `unit` with these iterations of the loops oc, ky, kx, ic, oy and ox.

    `x`: buffer, byte of its first element, whether it is signed and its zero point, and `x_steps` its bytes an iteration of each loop; `w`: buffer of the
    blocks, whether they are signed and their zero point; `y`: buffer and byte of the first sums, and `y_steps` bytes an iteration of oy, ox and, unless its
    blocks lie side by side, oc.
    """
    offer = unit.offer
    nest = context.nest(unit.engine, unit.levels, counts).operation(offer.operation)
    source, start, (signed, zero) = x
    nest.stream(offer.operands[0], source, start, x_steps, signed=signed, zero=zero, element_bytes=1)
    weights, (signed, zero) = w
    block, steps = unit.rows * unit.columns, {}
    for loop in reversed(PASSES):
        steps[loop] = block
        block *= counts.get(loop, 1)
    nest.stream(offer.operands[1], weights, 0, steps, signed=signed, zero=zero, element_bytes=1)
    nest.stream(offer.result, *y, {"oc": 4 * unit.columns, **y_steps}, element_bytes=4)
    return nest.control(**{offer.accumulate: 1}) if accumulate else nest
