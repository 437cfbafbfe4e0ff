"""IR node Interpolation: sums of the channels of each pixel with constant integer weights; one axis of a Resize, which its operands see as channels.

    x[c] = q[c] - zero                                    of one input
    x[c] = 256 * (q1[c] - zero1) + q0[c] - zero0          of two: a number's digits to the base 256, the lower first
    S[o] = sum over c of weights[o, c] * x[c]             exact
    v = float32(S)

    part ''       y = clip(round_half_even(float32(v * scale)) + y_zero, y_low, y_high)
    part 'low'    y = T mod 256,  part 'high'  y = T div 256,  with T = round_half_even(v / 2^shift) + offset, from 0 to 65535

S is a sum of products of digits, put together in float32 from the highest place to the lowest: all partial sums but the last are below 2^24, and the
last addition rounds exact numbers once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BASE = 256
#: What a result of two digits counts to.
MOST = BASE * BASE - 1
PARTS = ("", "low", "high")
#: Partial sums are exact float32 numbers below this.
EXACT = 1 << 24


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Weighted sums of channels; arithmetic: see the module.

    weights: int32 (channels of the result, channels of the input); zeros: of the input, or of its two digits, the lower first; w_scale: of a weight.
    most: greatest number that two digits make.
    """

    weights: np.ndarray
    zeros: tuple[int, ...]
    part: str = ""
    shift: int = 0
    offset: int = 0
    x_scale: float = 1.0
    w_scale: float = 1.0
    y_scale: float = 1.0
    y_zero: int = 0
    y_low: int = 0
    y_high: int = 255
    most: int = MOST

    def __post_init__(self) -> None:
        self.weights.setflags(write=False)

    @property
    def scale(self) -> float:
        """Requantisation scale, a float32 value: float32(float32(x_scale * w_scale) / y_scale)."""
        with np.errstate(over="ignore"):
            return float(np.float32(self.x_scale) * np.float32(self.w_scale) / np.float32(self.y_scale))

    @property
    def digits(self) -> tuple[np.ndarray, ...]:
        """The weights' digits to the base 256 as bytes, the lower first: one where they fit a byte, int8 where they are negative."""
        low, high = int(self.weights.min()), int(self.weights.max())
        if low >= 0 and high <= 255:
            return (self.weights.astype(np.uint8),)
        if low >= -128 and high <= 127:
            return (self.weights.astype(np.int8),)
        return (self.weights & 255).astype(np.uint8), (self.weights >> 8).astype(np.int8 if low < 0 else np.uint8)

    def numbers(self, dtype: str) -> tuple[int, int]:
        """Least and greatest x, of inputs of this type."""
        if len(self.zeros) == 1:
            low = -128 if dtype == "i8" else 0
            return low - self.zeros[0], low + BASE - 1 - self.zeros[0]
        zero = self.zeros[0] + BASE * self.zeros[1]
        return -zero, self.most - zero

    def sums(self, dtype: str) -> tuple[int, int]:
        """Least and greatest S."""
        low, high = self.numbers(dtype)
        positive, negative = (np.maximum(sign * self.weights.astype(np.int64), 0).sum(1) for sign in (1, -1))
        return int((positive * low - negative * high).min()), int((positive * high - negative * low).max())


def rounded(total: int, shift: int) -> int:
    """Return round_half_even(float32(total) / 2^shift), what a bound becomes."""
    return int(np.rint(float(np.float32(total)) / 2.0**shift))


__all__ = ["BASE", "EXACT", "MOST", "PARTS", "Interpolation", "rounded"]
