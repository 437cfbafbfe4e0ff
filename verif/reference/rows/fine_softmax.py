"""Softmax of float numbers that nothing has quantised, as masks leave them: the machine's arithmetic in its order, by acg.primitives alone.

The numbers lie between bounds that those of the operands give; they are written down as two or three bytes (`verif.reference.floats.written`) from 2^14
below the greatest on: two if these cover at most 254 * 255 / 256.

A row's distances from about its largest, exponentials of these, their sum and the quotients:

    d = q_1 u_1 - (largest q_1) u_1, then + (q_i - 128) u_i
    as long as a step v (at first u_1) is above 0.49: v = v / 250, d = d - (largest of round(d / v) + 128, less 128) v
    k = round(8 d) + 252, r = d - (k - 252) / 8;   e = (((r/6 + 1/2) r + 1) r + 1) (round(exp((k - 252) / 8) 16646399 / T) (T / 16646399)), T = exp(3/8)
    g = round(e / a), a = 1.5/255;  e' = e - g a;  h = round(e' / b) + 128, b = a / 254
    S = b (sum of 254 g + h - 128); where b times the number of terms is above half a step of y also e'' = e' - (h - 128) b, i = round(e'' / c) + 128,
    c = b / 254, S = c (254 float32(sum of 254 g + h - 128) + float32(sum of i - 128))
    y = round(e (1 / S) / y_scale) + y_zero
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.floats.formula_averages import ends_of
from verif.reference.floats.written import digits, rounded
from verif.reference.rows.normalise import UNSCALED, Normalised, divided, reciprocal
from verif.reference.values import NoNumberError, Value

F = np.float32
_PEAK = 16646399


def _exponentials(bytes_: np.ndarray, units: list[np.float32]) -> np.ndarray:
    first, *others = bytes_
    d = first.astype(F) * units[0] - first.max(-1, keepdims=True).astype(F) * units[0]
    for byte, unit in zip(others, units[1:], strict=True):
        d = d + (byte - 128).astype(F) * unit
    step = units[0]
    while step > 0.49:
        step = F(step / F(250))
        d = d - (rounded(d, step, 128).max(-1, keepdims=True) - 128).astype(F) * step
    k = rounded(d, F(0.125), 252)
    r = d - (k - 252).astype(F) * F(0.125)
    top = float(F(np.exp(0.375)))
    table = np.minimum(np.rint(np.exp((k - 252) * 0.125) * (_PEAK / top)), _PEAK).astype(F)
    polynomial = ((r * F(1 / 6) + F(0.5)) * r + F(1)) * r + F(1)
    return (table * F(top / _PEAK)) * polynomial


def rows_of_bytes(bytes_: np.ndarray, units: list[np.float32], y_scale: float) -> np.ndarray:
    """Return the Softmax of rows (digits, .., n) of bytes, in steps of y_scale or, of UNSCALED, as numbers."""
    e = _exponentials(bytes_, units)
    a = F(1.5) / F(255)
    b = a / F(254)
    g = rounded(e, a, 0)
    rest = e - g.astype(F) * a
    h = rounded(rest, b, 128)
    total = p.int32_to_float32((254 * g + h - 128).sum(-1, keepdims=True))
    if e.shape[-1] * float(b) > y_scale / 2:
        c = b / F(254)
        i = rounded(rest - (h - 128).astype(F) * b, c, 128)
        total, b = F(254) * total + p.int32_to_float32((i - 128).sum(-1, keepdims=True)), c
    return divided(p.multiply(e, reciprocal(total * b)), y_scale)


@dataclass(frozen=True, eq=False)
class Fine(Normalised):
    """A Softmax along axis `axis` (from the end) of float `numbers` between `bounds`, which waits for its QuantizeLinear."""

    numbers: np.ndarray | None = None
    bounds: tuple[float, float] = (0.0, 0.0)

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        return self.floats()

    def _stepped(self, y_scale: float) -> np.ndarray:
        assert self.numbers is not None
        low, high = max(self.bounds[0], self.bounds[1] - 2.0**14), self.bounds[1]
        bytes_, units, _ = digits(self.numbers, low, high, 2 if max(high, 0.0) - min(low, 0.0) <= 254 * 255 / 256 else 3)
        return self._by_rows(np.stack(bytes_), lambda rows: rows_of_bytes(rows, units, y_scale))


def fine_softmax(call: Any, x: Value) -> Fine:
    """Softmax of float numbers along one axis, before opset 13 along all from it on."""
    bounds = ends_of(x)
    if bounds is None:
        raise call.refuse("an operand that is not dequantised, whose bounds are not known")
    numbers = np.asarray(x.real(), F)
    shape, axis = numbers.shape, call.attributes.get("axis", 1 if call.opset < 13 else -1)
    axis = axis if axis < 0 else axis + 1 - numbers.ndim
    if call.opset < 13:
        numbers, axis = numbers.reshape(*shape[: numbers.ndim + axis], -1), -1
    if np.isneginf(numbers).all(axis).any() or np.isnan(numbers).any():
        raise NoNumberError("Softmax: found a row that is masked with minus infinity throughout; expected a number in each; correct the network or the input")
    return Fine((), np.zeros(0, np.int64), axis=axis, shape=shape, numbers=numbers, bounds=bounds)


__all__ = ["UNSCALED", "fine_softmax", "rows_of_bytes"]
