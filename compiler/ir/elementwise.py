"""Nodes of the IR that combine two tensors element by element, and those that fold whole axes of one.

    Binary       y[n, c, h, w] = f(a[n, c, h, w], b[n, c, h, w]), a dimension of 1 of either operand stands for all positions
    Reduction    y = sum or average of x over some of the axes C, H, W
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Functions of two operands, each one operation of a vector unit on float32 numbers.
BINARY_KINDS = ("add", "mul", "min", "max")


@dataclass(frozen=True, eq=False)
class Binary:
    """A function of two tensors, or of one and `constant`, an 8-bit array (N, C, H, W) that is operand b, or a if `constant_first`.

    With a' = float32((a - a_zero) * a_scale) and b' = float32((b - b_zero) * b_scale):
    y = clip(round_half_even(float32(float32(f(a', b')) / y_scale)) + y_zero, y_low, y_high), the division correctly rounded.

    a_scale: float32 (1,) or one a channel (C,). Scales of operands may be negative: a difference is a sum. A constant of ones with a
    scale a channel is an operand of float32 numbers, one a channel.
    """

    kind: str
    a_scale: np.ndarray
    a_zero: int
    b_scale: float
    b_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127
    constant: np.ndarray | None = None
    constant_first: bool = False

    def __post_init__(self) -> None:
        for array in (self.a_scale, self.constant):
            if array is not None:
                array.setflags(write=False)


@dataclass(frozen=True)
class Reduction:
    """Sum (divisor 1) or average (divisor: the number of elements) of x over `axes`, which become 1: some of 1, 2, 3 (C, H, W),
    and 0 (N) where H is 1 or reduced too.

    With s the int32 sum of (x - x_zero), modulo 2^32: y = clip(round_half_even(float32(float32(s) * scale)) + y_zero, y_low, y_high),
    scale as `compiler.ir.network.averaging_scales` gives it for `divisor`.
    """

    axes: tuple[int, ...]
    divisor: int
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


__all__ = ["BINARY_KINDS", "Binary", "Reduction"]
