"""LogSoftmax of a quantised tensor: the machine's arithmetic in its order, by acg.primitives alone.

d = q - largest q of the row; e = round(exp(s d) peak) and S, float32, as in `verif.reference.rows.normalise`, peak the greater one where rounding by the
smaller could move the logarithm of a sum of so many terms by more than a sixteenth of a step of y. The logarithm of p = float32(S float32(1/peak)), every
step in float32:

    where a row has more than 255 numbers    b = round(p / 128) up to 255, p = p 2^-k, k = round(log2(128 b)), and 0 where b is 0
    always                                   b = round(p) from 1 to 255, p = p 2^-j, j = round(log2 b), at most 7
    then                                     b = round(128 p) from 1 to 255, c = round(16384 / b), at most 255, l = round(-32768 log(c / 256))
                                             r = p (c / 128) - 1;  log p = (k + j - 1) log 2 + (((r float32(1/3) - 1/2) r + 1) r + l / 32768)

and y = round((float32(s d) - log p) / y_scale) + y_zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.normalise import Normalised, divided, exponentials, of_axis
from verif.reference.values import Value


def _number(value: float | np.floating) -> np.ndarray:
    return np.array(value, np.float32)


def _nearest(value: np.ndarray, least: int) -> np.ndarray:
    return np.clip(np.rint(value.astype(np.float64)), least, 255)


def logarithm(v: np.ndarray, most: int) -> np.ndarray:
    """Return the logarithm of numbers from 1 to `most`, as the machine finds it."""
    twos = np.full(v.shape, -1, np.int32)
    if most > 255:
        b = _nearest(v / 128, 0)
        k = np.where(b > 0, np.rint(np.log2(np.maximum(b, 1) * 128)), 0).astype(np.int32)
        v, twos = np.ldexp(v, -k).astype(np.float32), twos + k
    j = np.minimum(np.rint(np.log2(_nearest(v, 1))), 7).astype(np.int32)
    v, twos = np.ldexp(v, -j).astype(np.float32), twos + j
    c = np.minimum(np.rint(2**14 / _nearest(v * 128, 1)), 255)
    l = np.minimum(np.rint(-np.log(c / 256) * 2**15), 65024)  # noqa: E741
    r = p.add(p.multiply(v, (c / 128).astype(np.float32)), _number(-1))
    series = p.multiply(p.add(p.multiply(p.add(p.multiply(r, _number(np.float32(1 / 3))), _number(-0.5)), r), _number(1)), r)
    return p.add(p.multiply(twos.astype(np.float32), _number(np.log(2))), p.add(series, (l / 2**15).astype(np.float32)))


def _steps(x_scale: float) -> Callable[[np.ndarray, float], np.ndarray]:
    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        n = rows.shape[-1]
        _, total, peak = exponentials(rows, x_scale, fine=8 * n / 65279 > y_scale)
        part = p.multiply(total, _number(np.float32(1 / peak)))
        distance = (rows - rows.max(-1, keepdims=True)).astype(np.float32)
        return divided(p.add(p.multiply(distance, _number(x_scale)), -logarithm(part, n)), y_scale)

    return steps


def _exact(rows: np.ndarray) -> np.ndarray:
    d = rows - rows.max(-1, keepdims=True)
    return d - np.log(np.exp(d).sum(-1, keepdims=True))


def log_softmax(call: Any) -> Value:
    """LogSoftmax: along one axis, before opset 13 along all from it on."""
    result: Normalised = of_axis(call)
    assert result.x is not None
    return replace(result, steps=_steps(float(result.x.scale.reshape(()))), exact=_exact)  # type: ignore[return-value]


__all__ = ["log_softmax", "logarithm"]
