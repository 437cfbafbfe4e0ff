"""GroupNormalization and InstanceNormalization of a quantised tensor: the machine's arithmetic in its order, by acg.primitives alone.

Of the n numbers of a group, d = q - z: A = sum of d, an integer; B = 255 float32(sum of d d // 255) + float32(sum of d d mod 255), both sums integers.
Mean, n times the variance and v as those of a LayerNormalization (`verif.reference.rows.normalise`), r = 1 / sqrt(v); then of each channel m = r gamma and
o = beta - mean m, and y = round((d m + o) / y_scale) + y_zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.layer_norm import about_mean
from verif.reference.rows.normalise import Normalised, divided, factors, operand, root
from verif.reference.values import Value


def _number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def group_normalization(call: Any) -> Value:
    """Both operators: groups of axis 1 with all axes behind it."""
    x = operand(call)
    shape = x.array.shape
    channels = shape[2]
    groups = call.attributes.get("num_groups", channels)
    epsilon = call.attributes.get("epsilon", 1e-5)
    gamma, beta = (factors(call, i, channels, 0.0) for i in (1, 2))
    rows = x.reshaped((*shape[:2], groups, int(np.prod(shape[2:])) // groups))
    gamma, beta = (np.repeat(each, rows.array.shape[-1] * groups // channels).reshape(groups, -1) for each in (gamma, beta))
    x_scale, x_zero, dtype = float(x.scale.reshape(())), int(x.zero.reshape(())), x.array.dtype

    def steps(numbers: np.ndarray, y_scale: float) -> np.ndarray:
        d = numbers - x_zero
        upper, lower = (p.int32_to_float32(part.sum(-1, keepdims=True)) for part in (d * d // 255, d * d % 255))
        a = p.int32_to_float32(d.sum(-1, keepdims=True))
        mean, variance, part = about_mean(a, p.add(p.multiply(upper, _number(255)), lower), d.shape[-1], x_zero, dtype)
        least = _number(epsilon / x_scale**2)
        m = p.multiply(root(p.maximum(p.add(p.multiply(variance, part), least), least)), gamma)
        o = p.multiply(-mean, m)
        o = p.add(beta, o) if beta.any() else o
        return divided(p.add(p.multiply(p.int32_to_float32(d), m), o), y_scale)

    def exact(real: np.ndarray) -> np.ndarray:
        return (real - real.mean(-1, keepdims=True)) / np.sqrt(real.var(-1, keepdims=True) + epsilon) * gamma + beta

    return Normalised((), np.zeros(0, np.int64), x=rows, axis=-1, shape=shape, steps=steps, exact=exact)  # type: ignore[arg-type, return-value]
