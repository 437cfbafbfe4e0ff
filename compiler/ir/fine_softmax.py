"""FineSoftmax: exp(x) over the sum of exp(x) of a pixel's channels, of numbers of two or three bytes: those that nothing has quantised.

An input is a digit q[i], u8, a channel each, and x = (q[0] - z) * unit[0] + (q[1] - 128) * unit[1] (+ (q[2] - 128) * unit[2]): unit[i] = 255 unit[i + 1]. Every
step is a float32 operation rounded to nearest even unless it says exact; saturate clips to [0, 255]. C channels.

            d = q[0] * unit[0] - (max of q[0]) * unit[0]            z drops out
            d = d + (q[i] - 128) * unit[i]                          for each further digit
            h = saturate(round_half_even(d / level) + 128),  m = max of h,  d = d - (m - 128) * level
                                                                    for each of `levels`: the largest d is within 1/4 of 0 then
            k = saturate(round_half_even(d / 0.125) + 252),  r = d - (k - 252) * 0.125
            t = sum of digit * BASE^place of three tables' k        exact: round(exp((k - 252) / 8) * PEAKS[3] / TOP)
            e = (((r * (1/6) + 1/2) * r + 1) * r + 1) * t * (TOP / PEAKS[3])           the product of number and factor first
            g0 = saturate(round_half_even(e / u0)),  e1 = e - g0 * u0,  g1 = saturate(round_half_even(e1 / u1) + 128)
            S = sum of 254 g0 + (g1 - 128) over the channels        exact int32, then float32; times u1
                                                                    u0 = WHOLE / 255, u1 = u0 / 254, u2 = u1 / 254
            of `planes` 3: e2 = e1 - (g1 - 128) * u1,  g2 likewise,  S = 254 S + float32(sum of g2 - 128), times u2
            r = estimate of 1 / S;  twice: t = S * r, t = t * r, r = 2 * r - t
            y = saturate(round_half_even(e * r / y_scale))          to [y_low, y_high], y_zero added

The digits' rounding moves an exponent by at most unit[-1], the third plane is added where that of g1 could move a result by more than half a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.ir.rowwise import BASE, PEAKS

#: Zero point of the digits but the first.
MIDDLE = 128
#: Steps of the exponent's table, and its place of 0; the largest distance is at most a quarter.
STEP, ORIGIN = 0.125, 252
#: What the table's greatest number stands for, and a bound of the exponentials.
TOP, WHOLE = float(np.float32(np.exp((255 - ORIGIN) * STEP))), 1.5
#: From one level to the next, of steps that its bytes have: 256 cover what a step above can leave.
FINER = 250


@dataclass(frozen=True)
class FineSoftmax:
    """Softmax of digits; `units` one a digit, the highest first; arithmetic: see the module."""

    units: tuple[float, ...]
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127

    @property
    def levels(self) -> tuple[float, ...]:
        """Steps in which the largest number is looked for after the highest digit."""
        found, step = [], np.float32(self.units[0])
        while step > 0.49:
            step = np.float32(step / np.float32(FINER))
            found.append(float(step))
        return tuple(found)

    @property
    def weights(self) -> tuple[float, float, float]:
        """u0, u1 and u2."""
        first = np.float32(WHOLE) / np.float32(255)
        second = first / np.float32(254)
        return float(first), float(second), float(second / np.float32(254))

    def planes(self, channels: int, *, floats: bool = False) -> int:
        """Digits of an exponential where it is summed up."""
        return 2 if channels * self.weights[1] <= self.y_scale / 2 and not floats else 3

    def tables(self) -> tuple[np.ndarray, ...]:
        """Digits of the exponential of k, the most significant first: uint8 (256,) each."""
        rest = np.rint(np.exp((np.arange(256.0) - ORIGIN) * STEP) * (PEAKS[3] / TOP)).astype(np.int64)
        rest = np.minimum(rest, PEAKS[3])
        digits = []
        for place in (2, 1, 0):
            digits.append((rest // BASE**place).astype(np.uint8))
            rest = rest % BASE**place
        return tuple(digits)


__all__ = ["MIDDLE", "ORIGIN", "STEP", "TOP", "FineSoftmax"]
