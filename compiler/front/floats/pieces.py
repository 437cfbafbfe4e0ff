"""Functions of what nothing has quantised, as float32 operations: in the order of ONNX's reference where these are few, else by way of an exponential.

An exponential is a fraction A / B. With w = clamp(c x, -1, 1), max before min, and s = w w

    P = ((s / 945 + 1/9) s + 1) w      Q = (s / 63 + 4/9) s + 1      (P / Q is tanh(w) to 6e-8: the fifth convergent of Lambert's continued fraction)
    A = (Q + P)^8                      B = (Q - P)^8                 (each squared three times)                    A / B = exp(16 w)

    Sigmoid     c = 1/16     A / (A + B)
    Elu         c = 1/16     max(x, 0) + alpha 2 T / (V - T), of min(x, 0); T, V as Tanh has them, c = 1/16. Selu: that times gamma; Celu: of x / alpha
    Mish        c = 1/16     max(x, -16) N / (N + 2 B B), N = A (A + 2 B)
    Softplus    c = 1/16     max(x, 0) + 2 v (1 + v^2/3 + v^4/5 + v^6/7 + v^8/9), v = A / (A + 2 B) of -|x|: twice the area tangent
    Tanh        c = 1/8      T / V, three times (T, V) = (2 T V, T T + V V) / 2 from (P, Q): small numbers keep their digits
    Erf         sign(x) (1 - 1 / R), R = (1 + a1 t + .. + a6 t^6)^16 of t = min(|x|, 8): Abramowitz and Stegun, 7.1.28, to 3e-7
    Gelu        max(x, 0) - |x| / 2 / R of |x| sqrt(1/2); approximated max(x, -16) Sigmoid(sqrt(8 / pi) (0.044715 x^3 + x))
    Softsign    x / (1 + |x|)

Each operation is rounded to float32, numbers as they stand above; a quotient a / b is a times `compiler.ir.expression.reciprocal` of b. What is
left of the exact functions is 2^-16 of them, or of 1 where that is more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compiler.front.floats.formula import bounds, number, operation
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Formula, Operation

Number = float | np.floating
Piece = Callable[[OnnxNode, Formula], Formula]
#: Coefficients of R, from the first power on.
_AREA = (0.0705230784, 0.0422820123, 0.0092705272, 0.0001520143, 0.0002765672, 0.0000430638)


class Writer:
    """Writes operations of one ONNX node; numbers are constants."""

    def __init__(self, node: OnnxNode) -> None:
        self.node = node

    def _of(self, value: Formula | Number) -> Formula:
        return number(value) if isinstance(value, int | float | np.floating) else value

    def _two(self, kind: str, a: Formula | Number, b: Formula | Number) -> Formula:
        return operation(self.node, kind, self._of(a), self._of(b))

    def add(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """a + b."""
        return self._two("ADD", a, b)

    def less(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """a - b."""
        return self._two("SUB", a, b)

    def times(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """a b."""
        return self._two("MUL", a, b)

    def over(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """a / b, by the reciprocal of b."""
        return self._two("QUOTIENT", a, b)

    def most(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """The larger."""
        return self._two("MAX", a, b)

    def least(self, a: Formula | Number, b: Formula | Number) -> Formula:
        """The smaller."""
        return self._two("MIN", a, b)

    def size(self, x: Formula) -> Formula:
        """|x|."""
        return self.most(x, self.times(x, -1))

    def squared(self, a: Formula, times: int) -> Formula:
        """a to the power 2^times."""
        for _ in range(times):
            a = self.times(a, a)
        return a

    def fraction(self, x: Formula, c: float) -> tuple[Formula, Formula]:
        """P and Q."""
        w = self.least(self.most(self.times(x, c), -1), 1)
        s = self.times(w, w)
        p = self.times(self.add(self.times(self.add(self.times(s, np.float32(1 / 945)), np.float32(1 / 9)), s), 1), w)
        return p, self.add(self.times(self.add(self.times(s, np.float32(1 / 63)), np.float32(4 / 9)), s), 1)

    def exponential(self, x: Formula) -> tuple[Formula, Formula]:
        """A and B, whose quotient is exp(x)."""
        p, q = self.fraction(x, 1 / 16)
        return self.squared(self.add(q, p), 3), self.squared(self.less(q, p), 3)

    def tangent(self, x: Formula, c: float) -> tuple[Formula, Formula]:
        """T and V, whose quotient is tanh(8 c x)."""
        t, v = self.fraction(x, c)
        for _ in range(3):
            t, v = self.times(t, v), self.times(self.add(self.times(t, t), self.times(v, v)), 0.5)
        return t, v

    def area(self, t: Formula) -> Formula:
        """R."""
        total = self.times(t, np.float32(_AREA[-1]))
        for coefficient in reversed(_AREA[:-1]):
            total = self.times(self.add(total, np.float32(coefficient)), t)
        return self.squared(self.add(total, 1), 4)


def _sigmoid(w: Writer, x: Formula) -> Formula:
    a, b = w.exponential(x)
    return w.over(a, w.add(a, b))


def _beyond_one(w: Writer, x: Formula) -> Formula:
    """exp(min(x, 0)) - 1."""
    t, v = w.tangent(w.least(x, 0), 1 / 16)
    return w.over(w.times(t, 2), w.less(v, t))


def _elu(w: Writer, x: Formula) -> Formula:
    return w.add(w.most(x, 0), w.times(_beyond_one(w, x), np.float32(w.node.attribute("alpha", 1.0))))


def _celu(w: Writer, x: Formula) -> Formula:
    alpha = np.float32(w.node.attribute("alpha", 1.0))
    return w.add(w.most(x, 0), w.times(_beyond_one(w, w.times(x, np.float32(1) / alpha)), alpha))


def _selu(w: Writer, x: Formula) -> Formula:
    alpha, gamma = (np.float32(w.node.attribute(*pair)) for pair in (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)))
    return w.times(w.add(w.most(x, 0), w.times(_beyond_one(w, x), alpha)), gamma)


def _mish(w: Writer, x: Formula) -> Formula:
    a, b = w.exponential(x)
    n = w.times(a, w.add(a, w.times(b, 2)))
    return w.over(w.times(w.most(x, -16), n), w.add(n, w.times(w.times(b, b), 2)))


def _softplus(w: Writer, x: Formula) -> Formula:
    a, b = w.exponential(w.least(x, w.times(x, -1)))
    v = w.over(a, w.add(a, w.times(b, 2)))
    s = w.times(v, v)
    total = w.times(s, np.float32(1 / 9))
    for part in (7, 5, 3):
        total = w.times(w.add(total, np.float32(1 / part)), s)
    return w.add(w.most(x, 0), w.times(w.times(w.add(total, 1), v), 2))


def _tanh(w: Writer, x: Formula) -> Formula:
    return w.over(*w.tangent(x, 1 / 8))


def _erf(w: Writer, x: Formula) -> Formula:
    rest = w.over(1, w.area(w.least(w.size(x), 8)))
    return w.times(w.least(w.most(w.times(x, 2.0**60), -1), 1), w.less(1, rest))


def _gelu(w: Writer, x: Formula) -> Formula:
    if w.node.attribute("approximate", b"none") == b"tanh":
        cube = w.times(w.times(x, x), x)
        return w.times(w.most(x, -16), _sigmoid(w, w.times(w.add(w.times(cube, np.float32(0.044715)), x), np.float32((8 / np.pi) ** 0.5))))
    size = w.size(x)
    area = w.area(w.least(w.times(size, np.float32(0.5**0.5)), 8))
    return w.less(w.most(x, 0), w.over(w.times(size, 0.5), area))


def _leaky(w: Writer, x: Formula) -> Formula:
    alpha = np.float32(w.node.attribute("alpha", 0.01))
    return operation(w.node, "MAX" if alpha <= 1 else "MIN", w.times(x, alpha), x)


def _ramp(w: Writer, x: Formula, alpha: float, beta: float) -> Formula:
    """max(min(alpha * x + beta, 1), 0)."""
    return w.most(w.least(w.add(w.times(x, alpha), beta), 1), 0)


_FUNCTIONS: dict[str, Callable[[Writer, Formula], Formula]] = {
    "Abs": Writer.size, "Celu": _celu, "Elu": _elu, "Erf": _erf, "Gelu": _gelu,
    "HardSigmoid": lambda w, x: _ramp(w, x, w.node.attribute("alpha", 0.2), w.node.attribute("beta", 0.5)),
    "HardSwish": lambda w, x: w.times(x, _ramp(w, x, 1 / 6, 0.5)),
    "LeakyRelu": _leaky, "Mish": _mish, "Neg": lambda w, x: w.times(x, -1), "Selu": _selu, "Sigmoid": _sigmoid, "Softplus": _softplus,
    "Softsign": lambda w, x: w.over(x, w.add(w.size(x), 1)), "Tanh": _tanh,
}  # fmt: skip
#: Functions of many operations: (least, greatest) number of each, from those of what it is a function of; rounding may go beyond by a little.
_ENDS: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "Erf": lambda low, high: (-1.0, 1.0), "Gelu": lambda low, high: (-0.25, max(high, 0.0)), "Mish": lambda low, high: (-0.5, max(high, 0.0)),
    "Sigmoid": lambda low, high: (0.0, 1.0), "Softplus": lambda low, high: (0.0, max(high, 0.0) + 1), "Softsign": lambda low, high: (-1.0, 1.0),
    "Tanh": lambda low, high: (-1.0, 1.0),
}  # fmt: skip


def _piece(op: str, write: Callable[[Writer, Formula], Formula]) -> Piece:
    def made(node: OnnxNode, x: Formula) -> Formula:
        result = write(Writer(node), x)
        assert isinstance(result, Operation)
        return replace(result, ends=lambda known: _ENDS[op](*bounds(x, known))) if op in _ENDS else result

    return made


PIECES: dict[str, Piece] = {op: _piece(op, write) for op, write in _FUNCTIONS.items()}

__all__ = ["PIECES"]
