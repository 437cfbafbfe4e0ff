"""Pools: the largest number of a window, and its average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.conv import Pads, Pair
from compiler.ir.scales import OfOne


@dataclass(frozen=True)
class MaxPool:
    """Largest integer of each window; padding is ignored. Input and output are of one type."""

    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    y_low: int = -128
    y_high: int = 127


@dataclass(frozen=True)
class AveragePool:
    """Average of each window, see `compiler.ir.network.averaging_scales` for the arithmetic and `divisors` for what each window is divided by.

    ONNX's ceil_mode is in the output's shape: windows past the padding see nothing there.
    Every window touches the input, so no divisor is 0.
    """

    kernel: Pair
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    count_include_pad: bool = False
    y_low: int = -128
    y_high: int = 127

    def divisors(self, in_size: Pair, out_size: Pair) -> np.ndarray:
        """Number each window's sum is divided by: int (OH, OW), for an input of `in_size` (H, W)."""
        axes = []
        for i in range(2):
            before, after = (self.pads[i], self.pads[i + 2]) if self.count_include_pad else (0, 0)
            taps = np.arange(self.kernel[i]) * self.dilations[i]
            at = np.arange(out_size[i])[:, None] * self.strides[i] - self.pads[i] + taps
            axes.append(((at >= -before) & (at < in_size[i] + after)).sum(1))
        return np.outer(axes[0], axes[1])


@dataclass(frozen=True)
class GlobalAveragePool(OfOne):
    """Average over H and W, (N, C, H, W) to (N, C, 1, 1); arithmetic as of `AveragePool`, with divisor H * W."""



__all__ = ["AveragePool", "GlobalAveragePool", "MaxPool"]
