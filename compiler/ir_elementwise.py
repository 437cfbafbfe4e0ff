"""Nodes of the IR that combine two tensors element by element, and those that fold whole axes of one.

    Binary       y[n, c, h, w] = f(a[n, c, h, w], b[n, c, h, w]), a dimension of 1 of either operand stands for all positions
    Reduction    y = sum or average of x over some of the axes C, H, W
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Functions of two operands. 'div' has no engine: it is there to be fused into a table.
BINARY_KINDS = ("add", "mul", "min", "max", "div")


@dataclass(frozen=True, eq=False)
class Binary:
    """A function of two tensors, or of a tensor and `constant`, an 8-bit array (N, C, H, W) in place of operand b.

    With a' = float32((a - a_zero) * a_scale) and b' = float32((b - b_zero) * b_scale):

        add, min, max, div   y = clip(round_half_even(float32(float32(f(a', b')) / y_scale)) + y_zero, y_low, y_high)
        mul                  y = clip(round_half_even(float32(float32(p) * s)) + y_zero, y_low, y_high), p the integer
                             (a - a_zero) * (b - b_zero), s = `product_scale`: the order of onnxruntime's QLinearMul

    a_scale: float32 (1,) or one a channel (C,); it and b_scale may be negative, so that a difference is a sum.
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

    def __post_init__(self) -> None:
        for array in (self.a_scale, self.constant):
            if array is not None:
                array.setflags(write=False)

    @property
    def product_scale(self) -> np.ndarray:
        """Scale of an integer product, float32 of the shape of a_scale: float32(float32(a_scale * b_scale) / y_scale)."""
        with np.errstate(over="ignore"):  # the rules of the IR refuse what is not finite
            return (self.a_scale.astype(np.float32) * np.float32(self.b_scale)) / np.float32(self.y_scale)


@dataclass(frozen=True)
class Reduction:
    """Sum (divisor 1) or average (divisor: the number of elements) of x over `axes`, some of 1, 2, 3 (C, H, W), which become 1.

    With s the int32 sum of (x - x_zero), modulo 2^32: y = clip(round_half_even(float32(float32(s) * scale)) + y_zero, y_low, y_high),
    scale as `compiler.ir.averaging_scales` gives it for `divisor`.
    """

    axes: tuple[int, ...]
    divisor: int
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127


def evaluate_binary(attrs: Binary, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return int64 results of a Binary for integers a and b that broadcast (a scale a channel lies on axis 1).

    A result that is no number (0 / 0, or an infinity less itself) is left to the caller: raises ValueError.
    """
    a, b = a.astype(np.int32) - attrs.a_zero, b.astype(np.int32) - attrs.b_zero
    scale = attrs.product_scale if attrs.kind == "mul" else attrs.a_scale
    scale = scale.reshape(()) if scale.size == 1 else scale.reshape(-1, *[1] * (a.ndim - 2))
    with np.errstate(all="ignore"):
        if attrs.kind == "mul":
            value = (a * b).astype(np.float32) * scale
        else:
            x, y = a.astype(np.float32) * scale, b.astype(np.float32) * np.float32(attrs.b_scale)
            function = {"add": np.add, "min": np.minimum, "max": np.maximum, "div": np.divide}[attrs.kind]
            value = function(x, y) / np.float32(attrs.y_scale)
    if np.isnan(value).any():
        raise ValueError(f"{attrs.kind}: a result that is no number")
    return np.clip(np.rint(value.astype(np.float64)) + attrs.y_zero, attrs.y_low, attrs.y_high).astype(np.int64)


__all__ = ["BINARY_KINDS", "Binary", "Reduction", "evaluate_binary"]
