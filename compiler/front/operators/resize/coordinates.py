"""Where in the input an element of the result lies: for nearest neighbours in float32 and the order of onnxruntime, which leaves of exact halves something
within 1e-6 of them, and for interpolations as an exact fraction.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

_ONE, _HALF = np.float32(1), np.float32(0.5)
#: A coordinate so near to the middle of two elements lies there.
TIE = np.float32(1e-6)

#: Input coordinate of an output coordinate x: f(x, scale, output size, input size), float32.
COORDINATES: dict[str, Callable[[np.ndarray, np.float32, int, int], np.ndarray]] = {
    "half_pixel": lambda x, s, out, size: (x + _HALF) / s - _HALF,
    "pytorch_half_pixel": lambda x, s, out, size: (x + _HALF) / s - _HALF if out > 1 else np.zeros_like(x),
    "align_corners": lambda x, s, out, size: x * np.float32(size - 1) / np.float32(out - 1) if out > 1 else np.zeros_like(x),
    "asymmetric": lambda x, s, out, size: x / s,
    "half_pixel_symmetric": lambda x, s, out, size: _symmetric(x, s, out, size),
    "tf_half_pixel_for_nn": lambda x, s, out, size: (x + _HALF) / s,
}
#: The same for a scale of p / q, as (A, B, D) of (A x + B) / D: f(p, q, output size, input size).
FRACTIONS: dict[str, Callable[[int, int, int, int], tuple[int, int, int]]] = {
    "half_pixel": lambda p, q, out, size: (2 * q, q - p, 2 * p),
    "pytorch_half_pixel": lambda p, q, out, size: (2 * q, q - p, 2 * p) if out > 1 else (0, 0, 1),
    "align_corners": lambda p, q, out, size: (size - 1, 0, out - 1) if out > 1 else (0, 0, 1),
    "asymmetric": lambda p, q, out, size: (q, 0, p),
    "half_pixel_symmetric": lambda p, q, out, size: (2 * q, q - p + size * p - out * q, 2 * p),
    "tf_half_pixel_for_nn": lambda p, q, out, size: (2 * q, q, 2 * p),
}
#: Which neighbour of a coordinate is nearest.
ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.where(_tied(x), np.floor(x), np.floor(x + _HALF)),
    "round_prefer_ceil": lambda x: np.where(_tied(x), np.floor(x) + 1, np.floor(x + _HALF)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _tied(x: np.ndarray) -> np.ndarray:
    return np.abs(x - np.floor(x) - _HALF) <= TIE


def _symmetric(x: np.ndarray, scale: np.float32, out: int, size: int) -> np.ndarray:
    """The offset in float32, all else in float64."""
    adjustment = np.float32(out) / (scale * np.float32(size))
    offset = np.float32(size) / np.float32(2) * (_ONE - adjustment)
    return (np.float64(offset) + (x.astype(np.float64) + 0.5) / np.float64(scale) - 0.5).astype(np.float32)


def cropped(out: int, size: int, start: np.float32, end: np.float32) -> np.ndarray:
    """Return the coordinates of tf_crop_and_resize, float32 (out,)."""
    last = np.float32(size - 1)
    if out == 1:
        return np.array([_HALF * (start + end) * last], np.float32)
    return start * last + np.arange(out, dtype=np.float32) * (end - start) * last / np.float32(out - 1)


def fractions(mode: str, ratio: Fraction, out: int, size: int) -> list[Fraction]:
    """Return the coordinate of each of `out` elements as a fraction."""
    a, b, d = FRACTIONS[mode](ratio.numerator, ratio.denominator, out, size)
    return [Fraction(a * y + b, d) for y in range(out)]


__all__ = ["COORDINATES", "FRACTIONS", "ROUNDING", "cropped", "fractions"]
