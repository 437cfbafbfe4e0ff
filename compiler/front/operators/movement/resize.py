"""Resize by the nearest neighbour: a movement, whatever the scale.

Coordinates are computed in float32 in the order of ONNX's definition, as onnxruntime does: at exact halves their rounding decides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.constraints import elements_left, known_mode, movable_operand, nearest_only
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.movement.resize_linear import resize_linear
from compiler.front.state.step import Step
from compiler.front.state.values import Value

_ONE, _HALF = np.float32(1), np.float32(0.5)

#: Input coordinate of an output coordinate x: f(x, scale, output size, input size), float32.
COORDINATES: dict[str, Callable[[np.ndarray, np.float32, int, int], np.ndarray]] = {
    "half_pixel": lambda x, s, out, size: (x + _HALF) / s - _HALF,
    "pytorch_half_pixel": lambda x, s, out, size: (x + _HALF) / s - _HALF if out > 1 else np.zeros_like(x),
    "align_corners": lambda x, s, out, size: x * np.float32(size - 1) / np.float32(out - 1) if out > 1 else np.zeros_like(x),
    "asymmetric": lambda x, s, out, size: x / s,
    "half_pixel_symmetric": lambda x, s, out, size: _symmetric(x, s, out, size),
}
#: Which neighbour of a coordinate is nearest.
ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: np.floor(x + _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _symmetric(x: np.ndarray, scale: np.float32, out: int, size: int) -> np.ndarray:
    adjustment = np.float32(out) / (scale * np.float32(size))
    offset = np.float32(size) / np.float32(2) * (_ONE - adjustment)
    return offset + (x + _HALF) / scale - _HALF


def _sizes(step: Step, shape: tuple[int, ...]) -> list[tuple[int, np.float32]]:
    """Output size and scale of each axis."""
    axes = [a % len(shape) for a in step.attribute("axes", range(len(shape)))]
    found = [(d, _ONE) for d in shape]
    scales, sizes = step.constant(2), step.constant(3)
    if sizes is not None and sizes.size:
        wanted = [int(v) for v in sizes.reshape(-1)]
        policy = step.attribute("keep_aspect_ratio_policy", b"stretch").decode()
        if policy != "stretch":
            ratio = [np.float32(w) / np.float32(shape[a]) for a, w in zip(axes, wanted, strict=True)]
            one = min(ratio) if policy == "not_larger" else max(ratio)
            wanted = [int(np.floor(one * np.float32(shape[a]) + _HALF)) for a in axes]
            return [(wanted[axes.index(a)], one) if a in axes else found[a] for a in range(len(shape))]
        for a, w in zip(axes, wanted, strict=True):
            found[a] = (w, np.float32(w) / np.float32(shape[a]))
    elif scales is not None:
        for a, s in zip(axes, scales.astype(np.float32).reshape(-1), strict=True):
            found[a] = (int(np.floor(np.float32(shape[a]) * s)), s)
    return found


def resize(step: Step) -> list[Value]:
    """Resize, modes nearest and linear."""
    value = step.value(0)
    step.require(movable_operand, value, found=step.describe(0))
    assert value is not None
    mode = step.attribute("mode", b"nearest").decode()
    if mode == "linear" and value.shape is not None:
        return resize_linear(step, _sizes(step, value.shape))
    step.require(nearest_only, mode, found=f"mode {mode}")
    transformation = step.attribute("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = step.attribute("nearest_mode", b"round_prefer_floor").decode()
    step.require(known_mode, transformation, COORDINATES, found=f"coordinate_transformation_mode {transformation}")
    step.require(known_mode, rounding, ROUNDING, found=f"nearest_mode {rounding}")
    (numbers,) = numbered([value])
    for axis, (out, scale) in enumerate(_sizes(step, numbers.shape)):
        size = numbers.shape[axis]
        step.require(elements_left, out, found=f"{out} elements on axis {axis}")
        if scale == 1 and out == size:
            continue
        at = ROUNDING[rounding](COORDINATES[transformation](np.arange(out, dtype=np.float32), scale, out, size))
        numbers = np.take(numbers, np.clip(at.astype(np.int64), 0, size - 1), axis)
    return [moved(step, [value], numbers)]
