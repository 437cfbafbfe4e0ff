"""Resize, mode nearest, by the text of the operator: every output coordinate on its own, in float32 and in onnxruntime's order.

What float32 leaves of an exact half is within 1e-6 of it, and taken for one, as onnxruntime does.

The length of a resized axis is that of the result, a whole number, as the text has it and onnxruntime computes it (onnx.reference takes the product of
length and scale, which may be no whole number).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verif.reference.movement.movement import Moved, numbers_of, settled
from verif.reference.movement.resize import Line, lines_of, region_coordinates
from verif.reference.values import Plain, Value

_ONE, _HALF = np.float32(1), np.float32(0.5)


def resize_nearest(call: Any) -> Value:
    """Resize to the nearest neighbours; what a region of interest leaves is the extrapolation value."""
    x, rounding = call.value(0), call.attributes.get("nearest_mode", b"round_prefer_floor").decode()
    fill = Plain(np.array([call.attributes.get("extrapolation_value", 0.0)], np.float32), True)
    (numbers,) = numbers_of([x])
    count, outside = numbers.size, np.zeros([1] * numbers.ndim, bool)
    for line in lines_of(call, numbers.shape):
        at = [_coordinate(i, line, call.attributes) for i in range(line.out)] if line.region is None else list(region_coordinates(line))
        beyond = np.array([line.region is not None and not 0 <= c <= line.length - 1 for c in at])
        outside = outside | beyond.reshape([-1 if a == line.axis else 1 for a in range(numbers.ndim)])
        numbers = np.take(numbers, [_nearest(c, line.length, rounding) for c in at], line.axis)
    if not outside.any():
        return settled(Moved((x,), numbers))
    return settled(Moved((x, fill), np.where(outside, count, numbers)))


def _coordinate(i: int, line: Line, a: dict[str, Any]) -> np.float32:
    """Return the input coordinate that output coordinate `i` takes its value from."""
    mode = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode in ("pytorch_half_pixel", "align_corners") and line.out == 1:
        return np.float32(0)
    if mode == "align_corners":
        return np.float32(i) * np.float32(line.length - 1) / np.float32(line.out - 1)
    if mode == "asymmetric":
        return np.float32(i) / line.factor
    at = (np.float32(i) + _HALF) / line.factor
    if mode == "tf_half_pixel_for_nn":
        return at
    if mode == "half_pixel_symmetric":
        offset = np.float32(line.length) / np.float32(2) * (_ONE - np.float32(line.out) / (line.factor * np.float32(line.length)))
        return np.float32(float(offset) + (i + 0.5) / float(line.factor) - 0.5)
    return at - _HALF


def _nearest(at: np.float32, length: int, rounding: str) -> int:
    """Return the element that is nearest to a coordinate."""
    below, above = np.floor(at), np.ceil(at)
    if rounding in ("floor", "ceil"):
        place = below if rounding == "floor" else above
    elif abs(at - below - _HALF) <= np.float32(1e-6):
        place = below if rounding == "round_prefer_floor" else below + 1
    else:
        place = np.rint(at)
    return int(min(max(place, 0), length - 1))


__all__ = ["resize_nearest"]
