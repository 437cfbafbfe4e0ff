"""Nodes of the IR whose intermediate numbers are float32 tensors: sums of three and more, means, and quotients of two tensors.

Every operation is rounded to float32, nearest even; saturate clips to [y_low, y_high] after y_zero is added.

Sum         v[i] = float32((q - zero) * scale) of an operand, or a float32 constant
            v[n + k] = v[i] + v[j] for the k-th (i, j) of `additions`                            the last of them is s
            s = s * factor, unless factor is 1: a mean of n is a sum times float32(1 / n)
            y = saturate(round_half_even(s / y_scale)), the division correctly rounded

Quotient    a = float32((q - a_zero) * a_scale),  b = float32((q - b_zero) * b_scale)
            r = 1 / b, correctly rounded; infinite where b is 0
            y = saturate(round_half_even((a * r) / y_scale)); 0 times infinity is 0

    A number over zero saturates by its sign, and zero over zero is y_zero. r is a function of 256 bytes: r * 2^e is an integer of at most 33
    bits with its sign, four digits of which are bytes of its two's complement; the fifth makes it infinite where b is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.scales import OfTwo

#: A reciprocal's integer is multiplied by 2^90: less than 2^122, and infinite where its highest digit is `_ENDLESS`, for 127 * 2^(32 + 90) > 2^128.
HEADROOM = 90
_ENDLESS = 127


@dataclass(frozen=True, eq=False)
class Term:
    """An operand of a `Sum`: input `source` of the node with its quantisation (scale negative where it is subtracted), or `constant`.

    constant: float32, one number (1,) or one a channel (C,).
    """

    source: int = -1
    scale: float = 1.0
    zero: int = 0
    constant: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.constant is not None:
            self.constant.setflags(write=False)


@dataclass(frozen=True)
class Sum:
    """Sum of tensors of one shape and constants, or their mean, in the order of `additions`; arithmetic: see the module."""

    terms: tuple[Term, ...]
    additions: tuple[tuple[int, int], ...]
    factor: float
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


@dataclass(frozen=True)
class Quotient(OfTwo):
    """a / b of two tensors of one shape; arithmetic: see the module."""

    def digits(self, dtype: str) -> tuple[tuple[np.ndarray, ...], int]:
        """Return (digits, e): bytes (256,) of the five digits of r * 2^e for each raw byte of b, of type `dtype`, the lowest first.

        The lower three count from 0 to 255, the upper two from -128 to 127.
        """
        raw = np.arange(256, dtype=np.uint8)
        integers = (raw.view(np.int8) if dtype == "i8" else raw).astype(np.int32)
        b = (integers - self.b_zero).astype(np.float32) * np.float32(self.b_scale)
        with np.errstate(divide="ignore"):
            r = (np.float32(1) / b).astype(np.float64)
        finite = np.isfinite(r)
        e = 24 - int(np.frexp(r[finite])[1].min())
        whole = np.ldexp(np.where(finite, r, 0.0), e).astype(np.int64)
        low = ((whole + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)
        high = np.where(finite, (whole - low) >> 32, _ENDLESS)
        return (*((low >> shift & 0xFF).astype(np.uint8) for shift in (0, 8, 16, 24)), (high & 0xFF).astype(np.uint8)), e


__all__ = ["HEADROOM", "Quotient", "Sum", "Term"]
