"""LRN of a quantised tensor: the machine's arithmetic in its order, by acg.primitives alone.

d = q - z; S = sum of d d over the window of channels, an integer; v = S float32(alpha / size * s^2) + bias; then 1 / v, 1 / sqrt(v), or for
v^-0.75 the product of r = 1 / sqrt(v) and 1 / sqrt(v r); y = round(((d s) p) / y_scale) + y_zero. Reciprocals and roots are those of
`verif.reference.rows.normalise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.rows.normalise import Normalised, divided, operand, reciprocal, root
from verif.reference.values import Value


def _three_quarters(v: np.ndarray) -> np.ndarray:
    r = root(v)
    return p.multiply(r, root(p.multiply(v, r)))


_INVERSE_POWERS: dict[float, Callable[[np.ndarray], np.ndarray]] = {0.5: root, 0.75: _three_quarters, 1.0: reciprocal}


def _window_sums(squares: np.ndarray, size: int) -> np.ndarray:
    """Sums over the last axis, of (size - 1) // 2 neighbours below, size // 2 above, and oneself."""
    padded = np.pad(squares, [(0, 0)] * (squares.ndim - 1) + [((size - 1) // 2, size // 2)])
    return sum((padded[..., i : i + squares.shape[-1]] for i in range(size)), np.zeros_like(squares))


def local_response(call: Any) -> Value:
    """LRN along axis 1."""
    x = operand(call)
    size, alpha = call.attributes["size"], call.attributes.get("alpha", 1e-4)
    beta, bias = call.attributes.get("beta", 0.75), call.attributes.get("bias", 1.0)
    if beta not in _INVERSE_POWERS:
        raise call.refuse(f"beta {beta}")
    x_scale, x_zero = float(x.scale.reshape(())), int(x.zero.reshape(()))

    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        d = rows - x_zero
        factor, addend, scale = (np.array(n, np.float32) for n in (alpha / size * x_scale**2, bias, x_scale))
        v = p.add(p.multiply(p.int32_to_float32(_window_sums(d * d, size)), factor), addend)
        return divided(p.multiply(p.multiply(p.int32_to_float32(d), scale), _INVERSE_POWERS[beta](v)), y_scale)

    def exact(real: np.ndarray) -> np.ndarray:
        return real / (bias + alpha / size * _window_sums(real * real, size)) ** beta

    return Normalised((), np.zeros(0, np.int64), x=x, axis=2, shape=x.array.shape, steps=steps, exact=exact)  # type: ignore[return-value]
