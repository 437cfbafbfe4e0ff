"""Instructions of an engine that contracts: a block of weights for each pass, the passes of a reduction, positions.

    y[oc, oy, ox] += sum over ky, kx, ic of (x[ic, oy, ox, ky, kx] - zero) * (w[oc, ky, kx, ic] - zero)

with blocks of `rows` input channels and of `columns` output channels; the weights of a pass are one block, and the passes' blocks follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from compiler.errors import CompilerError
from compiler.target import MatrixUnit
from compiler.tiles import Buffer
from compiler.tiling.contraction.broadcast import Contraction, Frame, add_broadcast
from compiler.tiling.nest import Nest
from compiler.tiling.tile_context import TileContext

__all__ = ["contract"]

#: Whether 8-bit numbers are signed, and their zero point.
Number = tuple[bool, int]
#: Loops that say which block of weights a pass has, in the order of the blocks in memory.
PASSES = ("oc", "ky", "kx", "ic")


#: Those of them that are reduced.
REDUCED = ("ky", "kx", "ic")
#: Origin and bound of each padded coordinate, and how far each loop moves it.
Pads = Sequence[tuple[int, int, Mapping[str, int]]]


def contract(
    context: TileContext, unit: MatrixUnit, counts: Mapping[str, int], *, x: tuple[Buffer, int, Number], x_steps: Mapping[str, int],
    w: tuple[Buffer, Number], y: tuple[Buffer, int], y_steps: Mapping[str, int], accumulate: bool, label: str, pads: Pads = (),
) -> None:
    """Emit these iterations of the loops oc, ky, kx, ic, oy and ox: one instruction of `unit`, or one for each iteration of loops that it has no level for;
    on a unit that broadcasts what `compiler.tiling.contraction.broadcast` makes of them.

    `x`: buffer, byte of its first element, whether it is signed and its zero point, and `x_steps` its bytes an iteration of each loop; `w`: buffer of the
    blocks, whether they are signed and their zero point; `y`: buffer and byte of the first sums, and `y_steps` bytes an iteration of oy, ox and, unless its
    blocks lie side by side, oc. `pads` are the coordinates of x. Raises CompilerError where the engine cannot pad and would have to.
    """
    if unit.broadcasts:
        add_broadcast(context, unit, Contraction(counts, x, x_steps, w, y, y_steps, accumulate, tuple(Frame(*coordinate) for coordinate in pads)), label)
        return
    block, w_steps = unit.rows * unit.columns, {}
    for loop in reversed(PASSES):
        w_steps[loop] = block
        block *= counts.get(loop, 1)
    y_steps = {"oc": 4 * unit.columns, **y_steps}
    apart = [loop for loop, count in counts.items() if count > 1 and loop not in unit.levels]
    if unit.runs and (inner := [PASSES.index(loop) for loop in apart if loop in PASSES]):  # blocks of an instruction follow one another
        apart += [loop for loop in PASSES[: max(inner)] if counts.get(loop, 1) > 1 and loop not in apart]
    together = {loop: count for loop, count in counts.items() if loop not in apart}
    for index in product(*(range(counts[loop]) for loop in apart)):
        at = dict(zip(apart, index, strict=True))
        nest = context.nest(unit.engine, unit.levels, together).operation(unit.offer.operation)
        _operands(nest, unit, (x[0], x[1] + _moved(at, x_steps), x[2]), x_steps, (w[0], _moved(at, w_steps), w[1]), w_steps)
        nest.stream(unit.offer.result, y[0], y[1] + _moved(at, y_steps), y_steps, element_bytes=4)
        _pad(nest, unit, [(origin + _moved(at, steps), bound, steps) for origin, bound, steps in pads], label)
        if accumulate or any(at.get(loop) for loop in REDUCED):
            nest.control(**{unit.offer.accumulate: 1})
        context.add(nest, label)


def _pad(nest: Nest, unit: MatrixUnit, pads: Pads, label: str) -> None:
    prefix = unit.offer.operands[0]
    for number, (origin, bound, steps) in enumerate(pads):
        if number < nest.axes(prefix):
            nest.window(prefix, number, origin, bound, steps)
        elif origin < 0 or origin + sum((nest.counts.get(loop, 1) - 1) * step for loop, step in steps.items()) >= bound:
            raise CompilerError(f"engine {unit.engine.name}", found=f"tile {label} with padding", expected="an input without padding",
                                do="give the kind's stream of activations coordinates (Axis), or pad the input with a Pad node")


def _moved(at: Mapping[str, int], steps: Mapping[str, int]) -> int:
    return sum(steps.get(loop, 0) * iteration for loop, iteration in at.items())


def _operands(
    nest: Nest, unit: MatrixUnit, x: tuple[Buffer, int, Number], x_steps: Mapping[str, int], w: tuple[Buffer, int, Number], w_steps: Mapping[str, int]
) -> None:
    for prefix, (buffer, start, (signed, zero)), steps in zip(unit.offer.operands, (x, w), (x_steps, w_steps), strict=True):
        nest.stream(prefix, buffer, start, steps, signed=signed, zero=zero, element_bytes=1)
