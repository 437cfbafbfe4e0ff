"""IR operators that divide by a power of what they sum up: LRN, GroupNormalization, RMSNormalization and of that MeanSquare and RootQuotient where a
quantisation stands between, with their arithmetic in its order.

x = (q - x_zero) * x_scale, d = q - x_zero, and y likewise. Every step is a float32 operation rounded to nearest even unless it says exact;
reciprocals and roots are those of `compiler.ir.rowwise`: an estimate and two of Newton's steps.

LRN         S = sum of d * d over the window of channels     exact int32, then float32
            v = S * float32(alpha / size * x_scale^2) + bias
            p = 1 / v for beta 1, 1 / sqrt(v) for beta 0.5; for beta 0.75 r = 1 / sqrt(v) and p = r * (1 / sqrt(v * r))
            y = saturate(round_half_even(((d * x_scale) * p) / y_scale))
            the window of channel c: from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2), as far as there are channels

GroupNormalization over the n numbers of a group of channels in one image, eps = epsilon / x_scale^2:
            A = sum of d,  B = 255 * (sum of d * d // 255) + (sum of d * d mod 255)       exact int32 sums, then float32
            mean, k, D, E, F, U, V and v, r as those of a LayerNormalization (compiler.ir.rowwise)
            m = r * gamma;  o = beta - mean * m                                          one a channel
            y = saturate(round_half_even((d * m + o) / y_scale))

RMSNormalization over n channels, eps = epsilon / x_scale^2:
            B = sum of d * d                             exact int32, then float32
            v = B * (1/n) + eps;  r = 1 / sqrt(v)
            y = saturate(round_half_even(((d * gamma) * r) / y_scale))

MeanSquare  y = saturate(round_half_even((B * float32(x_scale^2 / n)) / y_scale)), one channel

RootQuotient of x and e, one channel of the same pixels: x / sqrt(e)
            v = max((e - e_zero) * e_scale, 2^-64);  r = 1 / sqrt(v)
            y = saturate(round_half_even(((d * x_scale) * r) / y_scale))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.rowwise import Regularised
from compiler.ir.scales import OfOne, OverRoot

#: Exponents that an `LRN` may have: what roots and reciprocals reach.
POWERS = (0.5, 0.75, 1.0)


@dataclass(frozen=True)
class LRN:
    """x over a power of its neighbours' squares among the channels; arithmetic: see the module. Input and output are 8-bit and have scales."""

    size: int
    alpha: float
    beta: float
    bias: float
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127

    @property
    def factor(self) -> float:
        """What a sum of squared steps is multiplied by, a float32 value."""
        return float(np.float32(self.alpha / self.size * float(self.x_scale) ** 2))

    def window(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last channel of each channel's window."""
        c = np.arange(channels)
        return np.maximum(c - (self.size - 1) // 2, 0), np.minimum(c + self.size // 2, channels - 1)


#: Most numbers of a group that a `GroupNormalization` sums up: 255 times as many are an exact float32.
MOST_SUMMED = 1 << 16


@dataclass(frozen=True, eq=False)
class GroupNormalization(Regularised):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance those of a group of channels over all pixels of the image.

    gamma, beta: float32 (C,); `groups` of equal size, C of them for an InstanceNormalization. Arithmetic: see the module.
    """

    groups: int
    gamma: np.ndarray
    beta: np.ndarray
    epsilon: float
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127

    def __post_init__(self) -> None:
        for array in (self.gamma, self.beta):
            array.setflags(write=False)

    def members(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last channel of each channel's group."""
        size = channels // self.groups
        first = np.arange(channels) // size * size
        return first, first + size - 1


@dataclass(frozen=True, eq=False)
class RMSNormalization(Regularised):
    """x / sqrt(mean of x^2 + epsilon) * gamma over a pixel's channels; arithmetic: see the module. gamma: float32 (C,)."""

    gamma: np.ndarray
    epsilon: float
    x_scale: float
    x_zero: int
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127

    def __post_init__(self) -> None:
        self.gamma.setflags(write=False)


@dataclass(frozen=True)
class MeanSquare(OfOne):
    """Mean of the squares of the channels, (N, C, H, W) to (N, 1, H, W); arithmetic: see the module."""


@dataclass(frozen=True)
class RootQuotient(OverRoot):
    """x / sqrt(e): x (N, C, H, W), e (N, 1, H, W); arithmetic: see the module."""


__all__ = ["LRN", "MOST_SUMMED", "POWERS", "GroupNormalization", "MeanSquare", "RMSNormalization", "RootQuotient"]
