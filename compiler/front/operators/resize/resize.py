"""Resize. By the nearest neighbour it is a movement, whatever the scale; interpolations are convolutions of few phases, or weighted sums axis by axis.

What keeps its shape while it is scaled is refused: ONNX interpolates it, onnxruntime copies it.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from compiler.front.constraints import movable_operand, quantised_operand
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.resize.coordinates import COORDINATES, ROUNDING, cropped
from compiler.front.operators.resize.passes import interpolated
from compiler.front.operators.resize.phases import few_phases
from compiler.front.operators.resize.reading import Resizing, read_resize
from compiler.front.operators.resize.weights import weights_of
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Real, Value


def resize(step: Step) -> list[Value]:
    """Resize, modes nearest, linear and cubic."""
    value = step.value(0)
    step.require(movable_operand, value, found=step.describe(0))
    assert value is not None
    node = read_resize(step, value.shape or ())
    if node.mode == "nearest":
        return [_nearest(step, value, node)]
    step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real)
    value, node = _widened(step, value, node)
    if all(axis.kept for axis in node.axes):
        return [value]
    few = few_phases(step, value, node)
    if few is not None:
        return [few]
    weights = {number: weights_of(step, node, axis) for number, axis in enumerate(node.axes) if not axis.kept}
    return [interpolated(step, value, node, weights)]


def _nearest(step: Step, value: Value, node: Resizing) -> Value:
    (numbers,) = numbered([value])
    outside = np.zeros([1] * numbers.ndim, bool)
    for number, axis in enumerate(node.axes):
        if axis.kept:
            continue
        if node.crops:
            at = cropped(axis.out, axis.size, *axis.roi)
            beyond = (at < 0) | (at > axis.size - 1)
            outside = outside | beyond.reshape([-1 if a == number else 1 for a in range(numbers.ndim)])
        else:
            at = COORDINATES[node.coordinates](np.arange(axis.out, dtype=np.float32), axis.scale, axis.out, axis.size)
        numbers = np.take(numbers, np.clip(ROUNDING[node.rounding](at).astype(np.int64), 0, axis.size - 1), number)
    if not outside.any():
        return moved(step, [value], numbers)
    return moved(step, [value, Const(np.array(node.extrapolation, np.float32))], np.where(outside, -1, numbers))


def _widened(step: Step, value: Real, node: Resizing) -> tuple[Real, Resizing]:
    """Repeat the only pixel of an axis, which all its outputs are; return the value and what is left to do."""
    alone = [axis.size == 1 and axis.out > 1 and not node.crops for axis in node.axes]
    if not any(alone):
        return value, node
    shape = tuple(axis.out if one else axis.size for axis, one in zip(node.axes, alone, strict=True))
    result = moved(step, [value], np.broadcast_to(numbered([value])[0], shape), name=f"{step.output}/repeated")
    assert isinstance(result, Real), "movement keeps the quantisation"
    done = tuple(replace(a, size=a.out, scale=np.float32(1), ratio=Fraction(1)) if one else a for a, one in zip(node.axes, alone, strict=True))
    return result, replace(node, axes=done)


__all__ = ["resize"]
