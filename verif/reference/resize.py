"""Resize by linear interpolation, by definition in exact fractions.

The weights of an output are those of its coordinate on each axis, as fractions of integers: over the least denominators Dy, Dx of all outputs
of each axis they are integers, and y = QuantizeLinear(int32 sum of weight * (x - zero)) with the scale float32(s_x * float32(1 / (Dy Dx))).
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, lcm
from typing import Any

import numpy as np

from verif.reference.sums import wrap
from verif.reference.values import Dequantised, Sum, Value


def _weights(mode: str, size: int, out: int, scale: Fraction) -> tuple[np.ndarray, int]:
    """Return integers (out, size) and their denominator."""
    places = []
    if size == 1:
        return np.ones((out, 1), np.int64), 1
    for y in range(out):
        if mode == "align_corners":
            at = Fraction(y * (size - 1), out - 1) if out > 1 else Fraction(0)
        elif mode == "asymmetric":
            at = y / scale
        else:
            at = (y + Fraction(1, 2)) / scale - Fraction(1, 2) if mode == "half_pixel" or out > 1 else Fraction(0)
        places.append(at)
    common = lcm(*(p.denominator for p in places))
    matrix = np.zeros((out, size), np.int64)
    for y, at in enumerate(places):
        first = floor(at)
        part = int((at - first) * common)
        matrix[y, min(max(first, 0), size - 1)] += common - part
        matrix[y, min(max(first + 1, 0), size - 1)] += part
    return matrix, common


def resize_linear(call: Any) -> Value:
    """Resize, mode linear, of a dequantised value."""
    x = call.value(0)
    mode = call.attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if not isinstance(x, Dequantised) or mode not in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        raise call.refuse("an operand that is not dequantised, or other coordinates")
    shape = x.array.shape[1:]
    axes = [a % len(shape) for a in call.attributes.get("axes", range(len(shape)))]
    sizes = call.number(3) if call.optional(3) is not None else np.zeros(0)
    sums, denominator = x.centred().astype(np.int64), 1
    for number, axis in enumerate(axes):
        size, scales = shape[axis], sizes if sizes.size else call.number(2)
        given = scales.reshape(-1)[number].item()
        scale = Fraction(given, size) if sizes.size else Fraction(given).limit_denominator(64)
        if scale == 1:
            continue
        matrix, common = _weights(mode, size, floor(size * scale), scale)
        sums = np.moveaxis(np.moveaxis(sums, axis + 1, -1) @ matrix.T, -1, axis + 1)
        denominator *= common
    scale32 = x.scale.reshape(()).astype(np.float32) * np.float32(1 / denominator)
    return Sum(wrap(sums), np.array(scale32, np.float32), np.ones((), np.float32))


__all__ = ["resize_linear"]
