"""IR node Conv: convolution, Gemm and MatMul by a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Pads = tuple[int, int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution: y[n,o,p] = requantise(bias[o] + sum (x - x_zero) * (w - w_zero)); padding counts as x_zero.

    weight (OC, IC/group, KH, KW) i8 or u8, or int16 from -255 to 255 (bytes less zero points of their own, w_zero 0); bias int32 (OC,) or None;
    w_scale float32 (OC,) or (1,); w_zero one value for all.
    requantise(acc) = clip(round_half_even(float32(float32(acc) * scale[o])) + y_zero, y_low, y_high), all steps in float32.
    y_scale None: no requantisation, the result is the int32 sum (modulo 2^32). x_scale None: of integers, whatever they stand for; as if it were 1.
    strides, dilations (y, x); pads (top, left, bottom, right); alpha: Gemm's.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    x_scale: float | None
    x_zero: int
    w_scale: np.ndarray
    w_zero: int
    y_scale: float | None
    y_zero: int = 0
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    group: int = 1
    y_low: int = -128
    y_high: int = 127
    alpha: float = 1.0

    def __post_init__(self) -> None:
        for array in (self.weight, self.bias, self.w_scale):
            if array is not None:
                array.setflags(write=False)

    @property
    def out_channels(self) -> int:
        """Number of output channels."""
        return int(self.weight.shape[0])

    @property
    def scale(self) -> np.ndarray:
        """Requantisation scale a channel, float32 (OC,): float32(float32(float32(alpha * x_scale) * w_scale) / y_scale)."""
        if self.y_scale is None:
            return np.ones(self.out_channels, np.float32)
        with np.errstate(over="ignore"):  # `verify` refuses what is not finite
            product = np.float32(self.alpha) * np.float32(1.0 if self.x_scale is None else self.x_scale) * self.w_scale.astype(np.float32)
            return np.broadcast_to(product / np.float32(self.y_scale), (self.out_channels,)).astype(np.float32)


__all__ = ["Conv", "Pads", "Pair"]
