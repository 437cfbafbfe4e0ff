"""A contraction on a vector unit that broadcasts: one input times a word of weights, an output channel a lane.

    before   loops oc, oy, ox, and the reduction ky, kx, ic; padding of two axes
    after    one instruction if two loops reduce:      [oc, oy, ox, (ky, kx * ic)]
             else one for each kernel row or column:   [oc, oy, ox, (kx, ic)] -> sums of their own, and one that adds these up

Two levels reduce. Loops whose inputs lie one behind the other are one loop: where a pixel is all input channels, kx and ic. Its coordinate then counts
elements, as the inputs do, so that padding is still seen. Sums to be added to others are made beside them: a vector unit reads no accumulators while it
multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from acg.kinds.spec import BOUND_BITS, COUNT_BITS, ORIGIN_BITS, STEP_BITS
from compiler.target import MatrixUnit
from compiler.tiles import Buffer, Gap
from compiler.tiling.nest import Nest
from compiler.tiling.tile_context import TileContext

__all__ = ["Contraction", "Frame", "add_broadcast", "parts"]

#: Whether 8-bit numbers are signed, and their zero point.
Number = tuple[bool, int]
#: Loops that say which block of weights a pass has, in the order of the blocks in memory.
PASSES = ("oc", "ky", "kx", "ic")


@dataclass(frozen=True)
class Frame:
    """Virtual padding: where a coordinate starts, its bound, and its step an iteration of each loop that moves it."""

    origin: int
    bound: int
    steps: Mapping[str, int]


@dataclass(frozen=True)
class Contraction:
    """Iterations of the loops oc, ky, kx, ic, oy and ox, and the operands.

    `x`: buffer, byte of its first element, whether it is signed and its zero point; `x_steps`: its bytes an iteration of each loop; `w`: buffer of the
    blocks, one after the other in the order oc, ky, kx, ic, whether they are signed and their zero point; `y`: buffer and byte of the first sums;
    `y_steps`: bytes an iteration of oy, ox and, unless its blocks lie side by side, oc; `accumulate`: the sums are added to what stands there;
    `frames` of the coordinates of x, down and right.
    """

    counts: Mapping[str, int]
    x: tuple[Buffer, int, Number]
    x_steps: Mapping[str, int]
    w: tuple[Buffer, Number]
    y: tuple[Buffer, int]
    y_steps: Mapping[str, int]
    accumulate: bool = False
    frames: tuple[Frame, ...] = ()

    def w_steps(self, block_bytes: int) -> dict[str, int]:
        """Bytes of weights an iteration of each loop."""
        steps = {}
        for loop in reversed(PASSES):
            steps[loop] = block_bytes
            block_bytes *= self.counts.get(loop, 1)
        return steps


#: Loops of results.
OUTPUTS = ("oc", "oy", "ox")


@dataclass(frozen=True)
class _Loop:
    """A loop of the reduction: iterations, bytes of inputs and of weights an iteration."""

    name: str
    count: int
    x_step: int
    w_step: int


@dataclass(frozen=True)
class _Part:
    """What one instruction reduces: two loops at most, bytes of inputs and weights before the first, and the frames that are needed."""

    loops: tuple[_Loop, ...]
    x_offset: int
    w_offset: int
    frames: Mapping[int, Frame]


def add_broadcast(context: TileContext, unit: MatrixUnit, work: Contraction, label: str) -> None:
    """Add the instructions of a contraction on a unit that broadcasts."""
    pieces = _parts(unit, work)
    if len(pieces) == 1 and not work.accumulate:
        context.add(_multiply(context, unit, work, pieces[0], work.y), label)
        return
    steps = _output_steps(unit, work)
    extent = 4 * unit.columns + sum((work.counts.get(loop, 1) - 1) * step for loop, step in steps.items())
    buffer, offset = work.y
    beside = context.buffer(f"{buffer.name}.parts", unit.accumulator, len(pieces) * extent)
    for number, piece in enumerate(pieces):
        context.add(_multiply(context, unit, work, piece, (beside, number * extent)), label)
    if not work.accumulate:
        context.add(_add_up(context, unit, work, (beside, 0), len(pieces), extent, work.y), label)
        return
    if len(pieces) > 1:
        context.add(_add_up(context, unit, work, (beside, 0), len(pieces), extent, (beside, 0)), label)
    nest = _add_up(context, unit, work, work.y, 2, extent, work.y)
    level = _levels(unit)["part"]
    nest.fields[f"{unit.offer.operands[0]}_stride_{level}"] = Gap(buffer, offset, beside, 0, 4 * unit.columns)
    nest.reads.append(beside)
    context.add(nest, label)


def parts(unit: MatrixUnit, work: Contraction) -> int:
    """Sums that stand beside the results until they are added up: 0 where the one instruction writes the results themselves."""
    number = len(_parts(unit, work))
    return number if number > 1 or work.accumulate else 0


def _levels(unit: MatrixUnit) -> dict[str, int]:
    """Levels of the loops of results, and of what adds up: results of the axes at their outer levels, reduced ones at the levels that do not move y."""
    kind = unit.engine.specification
    down, right = kind.stream(unit.offer.operands[0]).axes
    y = kind.stream(unit.offer.result)
    free = [level for level in y.levels if level not in (*y.folded[1], down.levels[0], right.levels[0])]
    return {"oc": free[-1], "oy": down.levels[0], "ox": right.levels[0], "part": y.folded[1][-1]}


def _output_steps(unit: MatrixUnit, work: Contraction) -> dict[str, int]:
    return {"oc": 4 * unit.columns, **work.y_steps}


def _multiply(context: TileContext, unit: MatrixUnit, work: Contraction, piece: _Part, y: tuple[Buffer, int]) -> Nest:
    """One instruction that multiplies and adds."""
    kind = unit.engine.specification
    axes = kind.stream(unit.offer.operands[0]).axes
    levels = _levels(unit)
    del levels["part"]
    free = list(kind.stream(unit.offer.result).folded[1])
    for loop in piece.loops:  # those that move a padded coordinate have one level, the others any
        for axis, frame in piece.frames.items():
            if loop.name in frame.steps:
                levels[loop.name] = axes[axis].levels[1]
                free.remove(axes[axis].levels[1])
    for loop in piece.loops:
        if loop.name not in levels:
            levels[loop.name] = free.pop(0)
    counts = {name: work.counts.get(name, 1) for name in OUTPUTS} | {loop.name: loop.count for loop in piece.loops}
    source, start, (signed, zero) = work.x
    nest = context.nest(unit.engine, levels, counts).operation(unit.offer.operation)
    x_steps = {name: work.x_steps.get(name, 0) for name in OUTPUTS} | {loop.name: loop.x_step for loop in piece.loops}
    nest.stream(unit.offer.operands[0], source, start + piece.x_offset, x_steps, signed=signed, zero=zero, element_bytes=1)
    weights, (signed, zero) = work.w
    w_steps = {"oc": work.w_steps(unit.columns)["oc"]} | {loop.name: loop.w_step for loop in piece.loops}
    nest.stream(unit.offer.operands[1], weights, piece.w_offset, w_steps, signed=signed, zero=zero, element_bytes=1)
    for axis, frame in piece.frames.items():
        nest.window(unit.offer.operands[0], axis, frame.origin, frame.bound, frame.steps)
    return nest.stream(unit.offer.result, *y, _output_steps(unit, work), element_bytes=4)


def _add_up(
    context: TileContext, unit: MatrixUnit, work: Contraction, source: tuple[Buffer, int], number: int, apart: int, target: tuple[Buffer, int]
) -> Nest:
    """One instruction that adds up so many sums of each result, `apart` bytes from each other."""
    counts = {name: work.counts.get(name, 1) for name in OUTPUTS} | {"part": number}
    steps = _output_steps(unit, work)
    nest = context.nest(unit.engine, _levels(unit), counts).operation("SUM")
    return nest.stream(unit.offer.operands[0], *source, {**steps, "part": apart}, element_bytes=4).stream(unit.offer.result, *target, steps, element_bytes=4)


def _parts(unit: MatrixUnit, work: Contraction) -> list[_Part]:
    """What each instruction reduces."""
    w_steps = work.w_steps(unit.columns)
    loops = [_Loop(name, count, work.x_steps.get(name, 0), w_steps[name]) for name in ("ky", "kx", "ic") if (count := work.counts.get(name, 1)) > 1]
    frames: Mapping[int, Frame] = {axis: frame for axis, frame in enumerate(work.frames) if _leaves(frame, work.counts)}
    loops, frames = _merged(loops, frames)
    pieces = [_Part(tuple(loops), 0, 0, frames)]
    while len(pieces[0].loops) > 2:
        pieces = [part for piece in pieces for part in _unrolled(piece)]
    return pieces


def _leaves(frame: Frame, counts: Mapping[str, int]) -> bool:
    """Whether a coordinate is ever out of bounds."""
    return frame.origin < 0 or frame.origin + sum((counts.get(loop, 1) - 1) * step for loop, step in frame.steps.items()) >= frame.bound


def _merged(loops: list[_Loop], frames: Mapping[int, Frame]) -> tuple[list[_Loop], Mapping[int, Frame]]:
    """Neighbouring loops whose inputs lie one behind the other as one, from the innermost outwards; a frame then counts elements."""
    result = loops[-1:]
    for outer in reversed(loops[:-1]):
        inner, rest = result[0], result[1:]
        name = f"{outer.name} {inner.name}"
        framed = {axis: frame for axis, frame in frames.items() if outer.name in frame.steps}
        finer = {axis: _finer(frame, outer.name, name, inner.count) for axis, frame in framed.items()}
        apart = any(inner.name in frame.steps for frame in frames.values()) or outer.x_step != inner.count * inner.x_step
        if not apart and all(frame is not None for frame in finer.values()) and inner.count * outer.count <= 1 << COUNT_BITS:
            result = [_Loop(name, outer.count * inner.count, inner.x_step, inner.w_step), *rest]
            frames = {**frames, **{axis: frame for axis, frame in finer.items() if frame is not None}}
        else:
            result = [outer, *result]
    return result, frames


def _finer(frame: Frame, outer: str, name: str, count: int) -> Frame | None:
    """The frame of a coordinate in parts of which `count` make one, moved by one part an iteration of a loop; None where no field holds that."""
    if frame.steps[outer] != 1:
        return None
    finer = Frame(frame.origin * count, frame.bound * count, {loop: step * count for loop, step in frame.steps.items() if loop != outer} | {name: 1})
    fits = -(1 << ORIGIN_BITS - 1) <= finer.origin < 1 << ORIGIN_BITS - 1 and finer.bound < 1 << BOUND_BITS
    return finer if fits and all(step < 1 << STEP_BITS for step in finer.steps.values()) else None


def _unrolled(piece: _Part) -> list[_Part]:
    """An instruction for each iteration of the shortest loop."""
    loop = min(piece.loops, key=lambda item: item.count)
    rest = tuple(item for item in piece.loops if item is not loop)
    return [
        _Part(rest, piece.x_offset + i * loop.x_step, piece.w_offset + i * loop.w_step, {
            axis: replace(frame, origin=frame.origin + i * frame.steps.get(loop.name, 0),
                          steps={name: step for name, step in frame.steps.items() if name != loop.name})
            for axis, frame in piece.frames.items()})
        for i in range(loop.count)
    ]
