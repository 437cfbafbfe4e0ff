"""Weights of more than 8 bits as sums of planes of bytes, which accumulate one after the other.

Weights less zero points that differ from channel to channel are from -255 to 255. The first plane holds what lies within a window of 256 values,
stored as uint8 with one zero point; the second what is left, mostly zeros: pieces of it that are nothing but zeros are no instruction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets import Operand

#: Values of a byte.
WINDOW = 256


def planes(w: Operand) -> tuple[Operand, ...]:
    """Return operands of 8 bits whose values, each less its zero, add up to those of `w`; `w` itself where that has 8 bits.

    >>> from compiler.codelets.contraction import weight_operand
    >>> first, second = planes(weight_operand(np.array([[-200, 0], [3, 150]], np.int16)[:, :, None, None], 0))
    >>> first.dtype, first.constant.ravel().tolist(), first.zero, second.constant.ravel().tolist()
    ('u8', [0, 105, 108, 255], 105, [-95, 0, 0, 0])
    """
    if w.constant.dtype != np.int16:
        return (w,)
    values = w.constant - np.int16(w.zero)
    low, high = int(values.min()), int(values.max())
    # What is left must be an int8, and the window has 0 in it.
    lowest, highest = max(high - 127 - (WINDOW - 1), -(WINDOW - 1)), min(low + 128, 0)
    counts = np.bincount(values.ravel() + WINDOW, minlength=2 * WINDOW)
    inside = np.convolve(counts, np.ones(WINDOW, np.int64))[WINDOW - 1 :]
    start = max(range(lowest, highest + 1), key=lambda first: (inside[first + WINDOW], -abs(first)))
    first = np.clip(values, start, start + WINDOW - 1)
    return (
        replace(w, dtype="u8", constant=(first - start).astype(np.uint8), zero=-start),
        replace(w, dtype="i8", constant=(values - first).astype(np.int8), zero=0),
    )


__all__ = ["planes"]
