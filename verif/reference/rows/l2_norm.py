"""L2 normalisation: the operator LpNormalization with p = 2, and what `verif.reference.recognise.l2` finds to be one.

With d = q - z and B = sum of d d, an integer: v = B float32(1/n) + 2^-40,
r = 1 / sqrt(v) as in `verif.reference.rows.normalise`, y = round(((d g) r) / y_scale) + y_zero with g = float32(1 / sqrt(n)). A bound of at most a step
of x, or a number below 2^-24 of a step, changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.normalise import Normalised, divided, operand, root
from verif.reference.values import Value


def l2_normalization(call: Any) -> Value:
    """LpNormalization, p = 2."""
    x = operand(call)
    if call.attributes.get("p", 2) != 2:
        raise call.refuse("another norm")
    x_scale, x_zero = float(x.scale.reshape(())), int(x.zero.reshape(()))
    if call.attributes.get("least", 0.0) > x_scale or call.attributes.get("added", 0.0) > x_scale * 2.0**-24:
        raise call.refuse("a least norm above a step of the operand")
    axis = call.attributes.get("axis", -1)
    axis = axis if axis < 0 else axis - (x.array.ndim - 1)
    n = np.float32(x.array.shape[axis])

    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        d = rows - x_zero
        squares = p.int32_to_float32((d * d).sum(-1, keepdims=True))
        r = root(p.add(p.multiply(squares, np.array(np.float32(1) / n)), np.array(2.0**-40, np.float32)))
        return divided(p.multiply(p.multiply(p.int32_to_float32(d), np.array(np.float32(1) / np.sqrt(n))), r), y_scale)

    def exact(rows: np.ndarray) -> np.ndarray:
        return rows / np.maximum(np.sqrt((rows * rows).sum(-1, keepdims=True)), 1e-300)

    return Normalised((), np.zeros(0, np.int64), x=x, axis=axis, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]


__all__ = ["l2_normalization"]
