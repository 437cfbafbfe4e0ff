"""LogSoftmax: the logarithm of Softmax, over the channels of each pixel, with its arithmetic in its order.

Rows, q, u, m, e and S are those of a Softmax (`compiler.ir.rowwise`). What the rounding of e can move a logarithm by is at most C / (2 * peak); the third digit
is added where that is more than a sixteenth of a step of y. With p = S / peak, between 1 and C, every step a float32 operation rounded to nearest even
unless it says exact:

            p = S * (1/peak)
    for the numbers d = 128, of more than 255 channels, and d = 1:
            b = saturate(round_half_even(p / d)), at least 1 where d = 1
            k = 0 where b is 0, else round(log2(d * b)), at most 7 where d = 1; computed at compile time
            p = p * 2^-k                         exact
            b = saturate(round_half_even(128 * p)), at least 1
            c = round(2^14 / b), at most 255     computed at compile time: c / 128 is within 1.4% of 1 / p
            l = round(-log(c / 256) * 2^15)      computed at compile time, two digits to the base 255
            r = p * (c / 128) - 1
            L = (sum of k - 1) * log(2) + (((r * (1/3) - 1/2) * r + 1) * r + l / 2^15)
            y = saturate(round_half_even((x_scale * (u - m) - L) / y_scale))

The powers of two are exact and l is off by 2^-16 at most; the series leaves r^4 / 4, less than 2^-26: L is within 2 * 10^-5 of the logarithm of p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.rowwise import BASE, PEAKS, Softmax

#: Units of the stages' bytes b, coarse ones first, and of the last.
COARSE, FINE = (128, 1), 128
#: Unit of a logarithm.
UNIT = 1 << 15
_BYTES = np.arange(256)


@dataclass(frozen=True)
class LogSoftmax(Softmax):
    """x less the logarithm of the sum of exp(x) of a pixel's channels; arithmetic: see the module. Input and output are 8-bit and have scales."""

    def planes(self, channels: int, *, floats: bool = False) -> int:
        """Digits of an exponential: 2, or 3 where two could move a result of so many channels by more than a sixteenth of a step, or of float32 numbers."""
        return 2 if channels / (2 * PEAKS[2]) <= self.y_scale / 16 and not floats else 3


def coarse(channels: int) -> tuple[int, ...]:
    """Units of the coarse stages for so many channels."""
    return COARSE if channels > 255 else COARSE[1:]


def powers(unit: int) -> np.ndarray:
    """The exponent k for each byte b of a coarse stage of this unit: int64 (256,)."""
    exponents = np.rint(np.log2(np.maximum(_BYTES, 1) * unit)).astype(np.int64)
    return np.where(_BYTES == 0, 0, exponents if unit > 1 else np.minimum(exponents, 7))


def inverses() -> np.ndarray:
    """The numerator c of the factor c / 128 for each byte b of the last stage: int64 (256,)."""
    return np.minimum(np.rint(2.0**14 / np.maximum(_BYTES, 1)), 255).astype(np.int64)


def logarithms() -> tuple[np.ndarray, np.ndarray]:
    """Both digits to the base 255 of -log(c / 256), in units of 1 / UNIT, for each byte b of the last stage; what no sum reaches is its nearest."""
    numbers = np.minimum(np.rint(-np.log(inverses() / 256) * UNIT).astype(np.int64), BASE * BASE - 1)
    return (numbers // BASE).astype(np.uint8), (numbers % BASE).astype(np.uint8)


__all__ = ["COARSE", "FINE", "UNIT", "LogSoftmax", "coarse", "inverses", "logarithms", "powers"]
