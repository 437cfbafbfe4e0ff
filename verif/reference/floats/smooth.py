"""Smooth functions of float32 numbers that nothing has quantised, by definition: as few float32 additions, products and reciprocals as there are.

Functions of one 8-bit tensor are ONNX's own, to the last bit; these are for what products, averages and sums of tensors leave. Everything is float32,
each operation rounded:

    one over v          the pattern 0x7EF311C7 less v's as a guess, then twice g = 2 g - (v g) g;  a / b is a times that of b
    tanh(w)             p / q for w in [-1, 1], p = w (1 + s (1/9 + s/945)), q = 1 + s (4/9 + s/63), s = w^2
    tanh(8 w)           T / V: from (p, q) three times (T V, (T^2 + V^2) / 2)
    exp(16 w)           A / B: (q + p)^8 and (q - p)^8
    erf(t)              1 - 1 / R, R = (1 + a1 t + .. + a6 t^6)^16 (Abramowitz and Stegun, 7.1.28), t up to 8

Arguments beyond are their ends: w = x / 16 or x / 8 in [-1, 1]. The functions on top are in `FUNCTIONS`. Against float64 the error is below 2^-16 of
the result, or of 1 where that is more (tests/verif/test_reference_smooth.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F = np.float32
Numbers = np.ndarray


def one_over(v: Numbers) -> Numbers:
    """The reciprocal of numbers from 2^-64 to 2^64 in magnitude."""
    v = np.asarray(v, F)
    g = (np.uint32(0x7EF311C7) - v.view(np.uint32)).view(F)
    for _ in range(2):
        g = g + g - (v * g) * g
    return g


def _power_of_two(a: Numbers, exponent: int) -> Numbers:
    for _ in range(exponent):
        a = a * a
    return a


def _convergent(x: Numbers, part: float) -> tuple[Numbers, Numbers]:
    w = np.minimum(np.maximum(x * F(part), F(-1)), F(1))
    s = w * w
    inner, outer = s * F(1 / 945) + F(1 / 9), s * F(1 / 63) + F(4 / 9)
    return (inner * s + F(1)) * w, outer * s + F(1)


def _exponential(x: Numbers) -> tuple[Numbers, Numbers]:
    p, q = _convergent(x, 1 / 16)
    return _power_of_two(q + p, 3), _power_of_two(q - p, 3)


def _tangent(x: Numbers, part: float) -> tuple[Numbers, Numbers]:
    pair = _convergent(x, part)
    for _ in range(3):
        t, v = pair
        pair = t * v, (t * t + v * v) * F(0.5)
    return pair


def _area(t: Numbers) -> Numbers:
    total = t * F(0.0000430638)
    for a in (0.0002765672, 0.0001520143, 0.0092705272, 0.0422820123, 0.0705230784):
        total = (total + F(a)) * t
    return _power_of_two(total + F(1), 4)


def sigmoid(x: Numbers) -> Numbers:
    """A / (A + B)."""
    a, b = _exponential(x)
    return a * one_over(a + b)


def tanh(x: Numbers) -> Numbers:
    """T / V."""
    t, v = _tangent(x, 1 / 8)
    return t * one_over(v)


def _shrunk(x: Numbers) -> Numbers:
    """exp(x) - 1 of what is below 0: 2 T / (V - T)."""
    t, v = _tangent(np.minimum(x, F(0)), 1 / 16)
    return (t * F(2)) * one_over(v - t)


def elu(x: Numbers, alpha: float = 1.0) -> Numbers:
    """max(x, 0) + alpha (exp(min(x, 0)) - 1)."""
    return np.maximum(x, F(0)) + _shrunk(x) * F(alpha)


def celu(x: Numbers, alpha: float = 1.0) -> Numbers:
    """The same with x / alpha, by float32(1 / alpha), below 0."""
    return np.maximum(x, F(0)) + _shrunk(x * (F(1) / F(alpha))) * F(alpha)


def selu(x: Numbers, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Numbers:
    """gamma times Elu."""
    return elu(x, alpha) * F(gamma)


def mish(x: Numbers) -> Numbers:
    """max(x, -16) N / (N + 2 B^2), N = A (A + 2 B)."""
    a, b = _exponential(x)
    n = a * (a + b * F(2))
    return (np.maximum(x, F(-16)) * n) * one_over(n + (b * b) * F(2))


def softplus(x: Numbers) -> Numbers:
    """max(x, 0) + 2 v (1 + v^2/3 + v^4/5 + v^6/7 + v^8/9) with v = A / (A + 2 B) of min(x, -x)."""
    a, b = _exponential(np.minimum(x, -x))
    v = a * one_over(a + b * F(2))
    s = v * v
    total = s * F(1 / 9)
    for n in (7, 5, 3):
        total = (total + F(1 / n)) * s
    return np.maximum(x, F(0)) + ((total + F(1)) * v) * F(2)


def erf(x: Numbers) -> Numbers:
    """The sign, min(max(2^60 x, -1), 1), times 1 - 1 / R of |x|."""
    with np.errstate(over="ignore"):
        sign = np.minimum(np.maximum(x * F(2.0**60), F(-1)), F(1))
    return sign * (F(1) - one_over(_area(np.minimum(np.abs(x), F(8)))))


def gelu(x: Numbers, approximate: bytes = b"none") -> Numbers:
    """max(x, 0) - (|x| / 2) / R of sqrt(1/2) |x|; approximated max(x, -16) Sigmoid(sqrt(8 / pi) (0.044715 x^3 + x))."""
    if approximate == b"tanh":
        return np.maximum(x, F(-16)) * sigmoid(((x * x * x) * F(0.044715) + x) * F((8 / np.pi) ** 0.5))
    size = np.abs(x)
    area = _area(np.minimum(size * F(0.5**0.5), F(8)))
    return np.maximum(x, F(0)) - (size * F(0.5)) * one_over(area)


def softsign(x: Numbers) -> Numbers:
    """x / (|x| + 1)."""
    return x * one_over(np.abs(x) + F(1))


#: Operator -> its definition, and the attributes that it takes.
FUNCTIONS: dict[str, tuple[Callable[..., Numbers], tuple[str, ...]]] = {
    "Celu": (celu, ("alpha",)), "Elu": (elu, ("alpha",)), "Erf": (erf, ()), "Gelu": (gelu, ("approximate",)), "Mish": (mish, ()),
    "Selu": (selu, ("alpha", "gamma")), "Sigmoid": (sigmoid, ()), "Softplus": (softplus, ()), "Softsign": (softsign, ()), "Tanh": (tanh, ()),
}  # fmt: skip


def smooth(call: Any, numbers: Numbers) -> Numbers:
    """Return an operator of `FUNCTIONS` of float32 numbers."""
    function, names = FUNCTIONS[call.node.op_type]
    call.entire()
    return function(np.asarray(numbers, F), **{name: call.attributes[name] for name in names if name in call.attributes})


__all__ = ["FUNCTIONS", "one_over", "smooth"]
