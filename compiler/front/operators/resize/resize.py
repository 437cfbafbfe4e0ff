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
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Real, Value


def resize(node: OnnxNode) -> list[Value]:
    """Resize, modes nearest, linear and cubic."""
    value = node.value(0)
    node.require(movable_operand, value, found=node.describe(0))
    assert value is not None
    resizing = read_resize(node, value.shape or ())
    if resizing.mode == "nearest":
        return [_nearest(node, value, resizing)]
    node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real)
    value, resizing = _widened(node, value, resizing)
    if all(axis.kept for axis in resizing.axes):
        return [value]
    few = few_phases(node, value, resizing)
    if few is not None:
        return [few]
    weights = {number: weights_of(node, resizing, axis) for number, axis in enumerate(resizing.axes) if not axis.kept}
    return [interpolated(node, value, resizing, weights)]


def _nearest(node: OnnxNode, value: Value, resizing: Resizing) -> Value:
    (numbers,) = numbered([value])
    outside = np.zeros([1] * numbers.ndim, bool)
    for number, axis in enumerate(resizing.axes):
        if axis.kept:
            continue
        if resizing.crops:
            at = cropped(axis.out, axis.size, *axis.roi)
            beyond = (at < 0) | (at > axis.size - 1)
            outside = outside | beyond.reshape([-1 if a == number else 1 for a in range(numbers.ndim)])
        else:
            at = COORDINATES[resizing.coordinates](np.arange(axis.out, dtype=np.float32), axis.scale, axis.out, axis.size)
        numbers = np.take(numbers, np.clip(ROUNDING[resizing.rounding](at).astype(np.int64), 0, axis.size - 1), number)
    if not outside.any():
        return moved(node, [value], numbers)
    return moved(node, [value, Const(np.array(resizing.extrapolation, np.float32))], np.where(outside, -1, numbers))


def _widened(node: OnnxNode, value: Real, resizing: Resizing) -> tuple[Real, Resizing]:
    """Repeat the only pixel of an axis, which all its outputs are; return the value and what is left to do."""
    alone = [axis.size == 1 and axis.out > 1 and not resizing.crops for axis in resizing.axes]
    if not any(alone):
        return value, resizing
    shape = tuple(axis.out if one else axis.size for axis, one in zip(resizing.axes, alone, strict=True))
    result = moved(node, [value], np.broadcast_to(numbered([value])[0], shape), name=f"{node.output}/repeated")
    assert isinstance(result, Real), "movement keeps the quantisation"
    done = tuple(replace(a, size=a.out, scale=np.float32(1), ratio=Fraction(1)) if one else a for a, one in zip(resizing.axes, alone, strict=True))
    return result, replace(resizing, axes=done)


__all__ = ["resize"]
