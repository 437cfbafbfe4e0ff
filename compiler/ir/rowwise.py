"""IR operators that reduce the channels of each pixel: Softmax and LayerNormalization, and of the latter Variance and CentredQuotient where
a quantisation stands between, with their arithmetic in its order.

Both see (N, C, H, W) as N * H * W pixels of C channels, quantised x = (q - x_zero) * x_scale, and y likewise. Every step is a float32
operation rounded to nearest even unless it says exact; saturate clips to [y_low, y_high] after y_zero is added. One over and one over
the root of a number start from an estimate made of its pattern (acg.primitives, within 5.1% and 3.5%) and take two of Newton's steps, which
leave 7e-6 and 5e-6: of a result of 255 steps less than 0.002 of one.

Softmax     u = q - lowest q                     exact
            m = max of u over the channels       exact
            e = exp_table[u - m]                 exact: round(exp(x_scale * (u - m)) * peak), computed at compile time
            S = sum of e over the channels       exact int32, then float32; of three planes 255 * (upper two) + lowest
            r = estimate of 1 / S;  twice: t = S * r, t = t * r, r = 2 * r - t
            y = saturate(round_half_even(e * r / y_scale))

    e is a number of two or three digits to the base 255 (`planes`), each digit a table of bytes and a plane of weights' width. What its
    rounding can move a result by is at most C / (2 * peak) (a sum of C terms, each off by a half, over a sum of at least peak); the third
    digit is added where that is more than half a step of y.

LayerNormalization over n channels, d = q - x_zero, eps = epsilon / x_scale^2:
            A = sum of d,  B = sum of d * d      exact int32, then float32
            mean = A * (1/n)
            k = saturate(round_half_even(mean))  exact, in the range of q - x_zero: the sums are moved to it, so that nothing cancels
            D = A - n * k;  E = A + D;  F = E * k;  U = B - F              n * variance about k; exact while 65025 n < 2^24
            V = U - (D * (1/n)) * D              n * variance
            v = max(V * (1/n) + eps, eps)
            r = estimate of 1 / sqrt(v);  twice: t = v * r, t = t * r, t = t * r, r = 1.5 * r - 0.5 * t
            y = saturate(round_half_even((((d - mean) * gamma) * r + beta) / y_scale))

Variance    as above up to V;  y = saturate(round_half_even(V * float32(x_scale^2 / n) / y_scale)), one channel

CentredQuotient of x and e, one channel of the same pixels: (x - mean) / sqrt(e)
            mean as above;  v = max((e - e_zero) * e_scale, 2^-64);  r = estimate of 1 / sqrt(v), steps as above
            y = saturate(round_half_even(((d - mean) * x_scale) * r / y_scale))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.scales import OfOne, OverRoot

#: Base of the digits of an exponential: the largest weight that an array of 9-bit signed operands takes from a byte.
BASE = 255
#: Greatest number of two and of three digits, the first of them up to 255 and the others below it.
PEAKS = {2: BASE * BASE + BASE - 1, 3: (BASE * BASE + BASE - 1) * BASE + BASE - 1}


@dataclass(frozen=True)
class Softmax(OfOne):
    """exp(x) over the sum of exp(x) of a pixel's channels; arithmetic: see the module. Input and output are 8-bit and have scales.

    `factor`: x is multiplied by it first; in the module x_scale is then float32(x_scale * factor).
    """

    factor: float = 1.0

    @property
    def step(self) -> float:
        """What a step of the operand moves an exponent by."""
        return self.x_scale if self.factor == 1 else float(np.float32(self.x_scale * self.factor))

    def planes(self, channels: int, *, floats: bool = False) -> int:
        """Digits of an exponential: 2, or 3 where two could move a result of so many channels by more than half a step, or where it is a float32 tensor."""
        return 2 if channels / (2 * PEAKS[2]) <= self.y_scale / 2 and not floats else 3

    def tables(self, channels: int, *, floats: bool = False) -> tuple[np.ndarray, ...]:
        """Digits of round(exp(x_scale * (i - 255)) * peak) for i in 0..255, the most significant first: uint8 (256,) each."""
        planes = self.planes(channels, floats=floats)
        rest = np.rint(np.exp(self.step * np.arange(-255.0, 1.0)) * PEAKS[planes]).astype(np.int64)
        digits = []
        for place in range(planes - 1, -1, -1):
            digits.append((rest // BASE**place).astype(np.uint8))
            rest = rest % BASE**place
        return tuple(digits)


class Regularised:
    """A normalisation that adds `epsilon` to a mean of squares."""

    epsilon: float
    x_scale: float

    @property
    def epsilon_steps(self) -> float:
        """epsilon in squares of the input's step, a float32 value."""
        return float(np.float32(self.epsilon / float(self.x_scale) ** 2))


@dataclass(frozen=True, eq=False)
class LayerNormalization(Regularised):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over a pixel's channels; arithmetic: see the module.

    gamma, beta: float32 (C,). Input and output are 8-bit and have scales.
    """

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


@dataclass(frozen=True)
class Variance(OfOne):
    """Mean square of the channels' distance from their mean, (N, C, H, W) to (N, 1, H, W); arithmetic: see the module."""


#: Most channels that an `ArgMax` compares: their numbers are two digits to the base 255, each from 1 on in a byte.
MOST_COMPARED = BASE * BASE


@dataclass(frozen=True)
class ArgMax:
    """Number of the largest channel, (N, C, H, W) to raw (N, 1, H, W): of equal ones the first, or the `last`. At most MOST_COMPARED channels.

    The result is u8, of more than BASE channels i32.
    """

    last: bool = False


#: Least radicand: what is no positive number has a root of nothing, and a quotient by it saturates.
LEAST_RADICAND = 2.0**-64


@dataclass(frozen=True)
class CentredQuotient(OverRoot):
    """(x - mean of x) / sqrt(e): x (N, C, H, W), e (N, 1, H, W); arithmetic: see the module."""


__all__ = ["BASE", "LEAST_RADICAND", "PEAKS", "CentredQuotient", "LayerNormalization", "Regularised", "Softmax", "Variance"]
