"""LayerNormalization of a quantised tensor, as `verif.reference.rows.normalise` computes: each operation in float32 unless it is exact.

    LayerNormalization   d = q - z; A = sum of d, B = sum of d d: integers; m = A / n (a product with float32(1/n)), k = round(m) in the range
                         of d; D = A - n k; U = B - (A + D) k; V = U - (D / n) D; v = max(V / n + eps, eps), eps = epsilon / s^2
                         r = 1 / sqrt(v) by an estimate and two steps (t = v r, t = t r, t = t r, r = 1.5 r - 0.5 t)
                         y = round((((d - m) gamma) r + beta) / y_scale) + y_zero

A LayerNormalization that an exporter wrote as ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add is one (verif.reference.recognise.around).
Where quantisations stand between there are two parts, computed by the same steps:

    variance             V as above; y = round(V float32(s^2 / n) / y_scale) + y_zero
    centred quotient     of x and a radicand e: v = max((e - z_e) s_e, 2^-64), r as above; y = round(((d - m) s) r / y_scale) + y_zero
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.normalise import Normalised, divided, factors, number, operand, root, rows_of
from verif.reference.values import RANGES, Dequantised, Value


def _sums(rows: np.ndarray, x_zero: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (mean of d, n times the variance, float32(1/n)) of rows."""
    d = rows - x_zero
    a, b = (p.int32_to_float32(sums.sum(-1, keepdims=True)) for sums in (d, d * d))
    return about_mean(a, b, rows.shape[-1], x_zero, dtype)


def about_mean(a: np.ndarray, b: np.ndarray, n: int, x_zero: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (mean of d, n times the variance, float32(1/n)) of n numbers d whose sum is a, and that of whose squares is b."""
    low, high = RANGES[dtype]
    part = number(np.float32(1) / np.float32(n))
    mean = p.multiply(a, part)
    k = p.saturate(p.round_to_int32(mean), x_zero, low, high) - x_zero
    about = p.add(a, p.int32_to_float32(-n * k))
    moved = p.add(b, -p.multiply(p.add(a, about), p.int32_to_float32(k)))
    return mean, p.add(moved, -p.multiply(p.multiply(about, part), about)), part


def _layer_steps(x: Dequantised, epsilon: float, gamma: np.ndarray, beta: np.ndarray) -> Callable[[np.ndarray, float], np.ndarray]:
    x_zero, dtype = int(x.zero.reshape(())), x.array.dtype
    epsilon_steps = number(epsilon / float(x.scale.reshape(())) ** 2)

    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        mean, variance, part = _sums(rows, x_zero, dtype)
        r = root(p.maximum(p.add(p.multiply(variance, part), epsilon_steps), epsilon_steps))
        scaled = p.multiply(p.add(p.int32_to_float32(rows - x_zero), -mean), gamma)
        return divided(p.add(p.multiply(scaled, r), beta), y_scale)

    return steps


def variance(call: Any) -> Value:
    """The variance along one axis, which is kept."""
    x, axis = operand(call), call.attributes.get("axis", -1)
    x_scale, x_zero, dtype = float(x.scale.reshape(())), int(x.zero.reshape(())), x.array.dtype

    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        return divided(p.multiply(_sums(rows, x_zero, dtype)[1], number(np.float32(x_scale**2 / rows.shape[-1]))), y_scale)

    shape = x.array.shape
    shape = tuple(1 if i - len(shape) == axis else d for i, d in enumerate(shape))
    result = Normalised((), np.zeros(0, np.int64), x=x, axis=axis, shape=shape, steps=steps, exact=lambda rows: rows.var(-1, keepdims=True))
    return result  # type: ignore[return-value]


def centred_quotient(call: Any) -> Value:
    """The distances from the mean along one axis over the root of a radicand."""
    x, radicand = operand(call), operand(call, 1)
    x_scale, x_zero, dtype = number(float(x.scale.reshape(()))), int(x.zero.reshape(())), x.array.dtype
    e_scale = number(float(radicand.scale.reshape(())))

    def steps(rows: np.ndarray, y_scale: float, e: np.ndarray) -> np.ndarray:
        r = root(p.maximum(p.multiply(p.int32_to_float32(e), e_scale), number(2.0**-64)))
        distance = p.add(p.int32_to_float32(rows - x_zero), -_sums(rows, x_zero, dtype)[0])
        return divided(p.multiply(p.multiply(distance, x_scale), r), y_scale)

    def exact(rows: np.ndarray, e: np.ndarray) -> np.ndarray:
        return (rows - rows.mean(-1, keepdims=True)) / np.sqrt(np.maximum(e, 2.0**-64))

    empty = np.zeros(0, np.int64)
    axis = call.attributes.get("axis", -1)
    return Normalised((), empty, x=x, divisor=radicand, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]


def layer_normalization(call: Any) -> Value:
    """LayerNormalization: over all axes from `axis` on; of a domain of its own over that axis."""
    x = operand(call)
    rows, axis = rows_of(call, x)
    n, epsilon = rows.array.shape[axis], call.attributes.get("epsilon", 1e-5)
    gamma, beta = factors(call, 1, n, 1.0), factors(call, 2, n, 0.0)

    def exact(real: np.ndarray) -> np.ndarray:
        return (real - real.mean(-1, keepdims=True)) / np.sqrt(real.var(-1, keepdims=True) + epsilon) * gamma + beta

    steps = _layer_steps(x, epsilon, gamma, beta)
    return Normalised((), np.zeros(0, np.int64), x=rows, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]


__all__ = ["about_mean", "centred_quotient", "layer_normalization", "variance"]
