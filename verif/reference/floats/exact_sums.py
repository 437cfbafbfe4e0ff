"""Sums of float32 numbers that no order of additions rounds: multiples of one power of two whose magnitudes together stay below 2^24 of it.

ONNX does not say in which order ReduceSum and ReduceL1 add. Where every order gives the same number, that number is the definition.
"""

from __future__ import annotations

import numpy as np

from verif.reference.values import Plain

__all__ = ["exact_sum"]


def exact_sum(numbers: np.ndarray, over: tuple[int, ...], *, keep: bool) -> Plain | None:
    """Return the sum of float32 numbers over these axes; None where additions may round."""
    wide = numbers.astype(np.float64)
    if not np.isfinite(wide).all():
        return None
    fraction, exponent = np.frexp(wide)
    integers = (fraction * 2.0**24).astype(np.int64)  # exact: a float32 has 24 bits
    lowest = (integers & -integers).astype(np.float64)
    used = integers != 0
    unit = np.ldexp(lowest, exponent - 24)[used].min(initial=1.0)
    if (np.abs(wide).sum(axis=over) >= unit * 2**24).any():
        return None
    return Plain(wide.sum(axis=over, keepdims=keep).astype(np.float32))
