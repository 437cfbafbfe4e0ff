"""QuantizeLinear of numbers that are known: constants, bounds, and the 256 values of a function."""

from __future__ import annotations

import numpy as np

from compiler.front.state.values import Quantisation
from compiler.ir.network import NUMPY_TYPES, RANGES


def quantise(values: np.ndarray | np.floating, scale: np.ndarray | float, zero: np.ndarray | int, dtype: str) -> np.ndarray:
    """Return QuantizeLinear of float32 values, as ONNX defines it: saturate(round_half_even(float32(v / scale)) + zero)."""
    low, high = RANGES[dtype]
    with np.errstate(over="ignore"):
        steps = np.rint(np.asarray(values, np.float32) / np.float32(scale)).astype(np.float64)
    return np.clip(steps + zero, low, high).astype(NUMPY_TYPES[dtype])


def table_bytes(values: np.ndarray, target: Quantisation) -> np.ndarray:
    """Return the 256 raw result bytes for 256 real values."""
    return quantise(values, target.scale, target.zero, target.dtype).view(np.uint8).copy()


__all__ = ["quantise", "table_bytes"]
