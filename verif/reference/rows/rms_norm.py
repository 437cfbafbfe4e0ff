"""RMSNormalization of a quantised tensor and its parts: the machine's arithmetic in its order, by acg.primitives alone.

d = q - z of rows of n; B = sum of d d, an integer; v = B float32(1/n) + epsilon / s^2; r = 1 / sqrt(v) as in `verif.reference.rows.normalise`;
y = round(((d gamma) r) / y_scale) + y_zero. Of the parts the mean square is round((B float32(s^2 / n)) / y_scale) + y_zero, and the quotient by the
root of a radicand e has v = max((e - z_e) s_e, 2^-64) and y = round(((d s) r) / y_scale) + y_zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.normalise import Normalised, divided, factors, operand, root, rows_of
from verif.reference.values import Dequantised, Value


def _number(value: float | np.floating) -> np.ndarray:
    return np.array(value, np.float32)


def _parameters(x: Dequantised) -> tuple[float, int]:
    return float(x.scale.reshape(())), int(x.zero.reshape(()))


def _squares(d: np.ndarray) -> np.ndarray:
    return p.int32_to_float32((d * d).sum(-1, keepdims=True))


def rms_normalization(call: Any) -> Value:
    """RMSNormalization: over all axes from `axis` on; of a domain of its own over that axis."""
    x = operand(call)
    rows, axis = rows_of(call, x)
    x_scale, x_zero = _parameters(x)
    n, epsilon = rows.array.shape[axis], call.attributes.get("epsilon", 1e-5)
    gamma = factors(call, 1, n, 1.0)

    def steps(numbers: np.ndarray, y_scale: float) -> np.ndarray:
        d = numbers - x_zero
        r = root(p.add(p.multiply(_squares(d), _number(np.float32(1) / np.float32(n))), _number(epsilon / x_scale**2)))
        return divided(p.multiply(p.multiply(p.int32_to_float32(d), gamma), r), y_scale)

    def exact(real: np.ndarray) -> np.ndarray:
        return real / np.sqrt((real * real).mean(-1, keepdims=True) + epsilon) * gamma

    return Normalised((), np.zeros(0, np.int64), x=rows, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]


def mean_square(call: Any) -> Value:
    """The mean of the squares along one axis, which is kept."""
    x, axis = operand(call), call.attributes.get("axis", -1)
    x_scale, x_zero = _parameters(x)

    def steps(numbers: np.ndarray, y_scale: float) -> np.ndarray:
        return divided(p.multiply(_squares(numbers - x_zero), _number(x_scale**2 / numbers.shape[-1])), y_scale)

    def exact(real: np.ndarray) -> np.ndarray:
        return (real * real).mean(-1, keepdims=True)

    shape = tuple(1 if i - x.array.ndim == axis else d for i, d in enumerate(x.array.shape))
    return Normalised((), np.zeros(0, np.int64), x=x, axis=axis, shape=shape, steps=steps, exact=exact)  # type: ignore[return-value]


def root_quotient(call: Any) -> Value:
    """A tensor over the root of a radicand a row."""
    x, radicand = operand(call), operand(call, 1)
    (x_scale, x_zero), (e_scale, _) = _parameters(x), _parameters(radicand)

    def steps(numbers: np.ndarray, y_scale: float, e: np.ndarray) -> np.ndarray:
        r = root(p.maximum(p.multiply(p.int32_to_float32(e), _number(e_scale)), _number(2.0**-64)))
        return divided(p.multiply(p.multiply(p.int32_to_float32(numbers - x_zero), _number(x_scale)), r), y_scale)

    def exact(real: np.ndarray, e: np.ndarray) -> np.ndarray:
        return real / np.sqrt(np.maximum(e, 2.0**-64))

    empty = np.zeros(0, np.int64)
    axis = call.attributes.get("axis", -1)
    return Normalised((), empty, x=x, divisor=radicand, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]
