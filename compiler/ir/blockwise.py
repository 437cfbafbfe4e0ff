"""IR node BlockwiseConv: a convolution whose weights have scales along the reduction, as blockwise quantisation gives them.

The positions (ic, ky, kx) of the reduction are split into sets; those of a set share their scales. With s_p the int32 sum of set p (modulo 2^32),

    k_p[o] = float32(float32(alpha * x_scale) * w_scale[p, o])
    t = s_0 * k_0;  t = t + s_1 * k_1;  ..  every operation rounded to float32, s_p too
    t = t + addend[o]                       where there is one
    y = saturate(round_half_even(t / y_scale)), the division correctly rounded; saturate clips to [y_low, y_high] after y_zero is added
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class BlockwiseConv:
    """See the module. weight (OC, IC/group, KH, KW) as a Conv's; `part` (IC/group, KH, KW): the set of each position, numbered from 0;
    w_scale float32 (sets, OC); addend float32 (OC,) or None; the others are those of a Conv."""

    weight: np.ndarray
    part: np.ndarray
    x_scale: float
    x_zero: int
    w_scale: np.ndarray
    w_zero: int
    y_scale: float
    y_zero: int = 0
    addend: np.ndarray | None = None
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    group: int = 1
    y_low: int = -128
    y_high: int = 127
    alpha: float = 1.0

    def __post_init__(self) -> None:
        for array in (self.weight, self.part, self.w_scale, self.addend):
            if array is not None:
                array.setflags(write=False)

    @property
    def scales(self) -> np.ndarray:
        """The real value of a step of each sum, float32 (sets, OC)."""
        with np.errstate(over="ignore"):
            return np.float32(self.alpha) * np.float32(self.x_scale) * self.w_scale


__all__ = ["BlockwiseConv"]
