"""Averages and sums over rows and columns of float operations on several tensors that nothing has quantised, by definition.

The operands' bounds give those of the result s (float64, operation by operation), 0 is among them. u = float32((high - low) / (255 * 254)), w = float32(255 u),
z = -round_half_even(low / w):

    h = saturate(round_half_even(s / w) + z) - z,    l = saturate(round_half_even((s - h w) / u) + 128) - 128         in uint8, steps in float32

The int32 sum of 255 h + l is scaled by float32(u * float32(1/n)), for a sum by u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from verif.reference.movement.movement import Moved
from verif.reference.products.sums import wrap
from verif.reference.values import RANGES, Dequantised, Plain, Sum, quantise

Bounds = tuple[float, float]


def ends_of(value: Any) -> Bounds | None:
    """Return (least, greatest) number that a value can be, float64; None where that is not known."""
    if isinstance(value, Sum) and value.before is not None and value.before[1] is value.sums:  # in another shape
        return ends_of(replace(value.before[0], low=value.low, high=value.high))
    if isinstance(value, Moved):
        ends = [ends_of(part) for part in value.parts]
        return None if None in ends else (min(e[0] for e in ends if e), max(e[1] for e in ends if e))
    if value.constant:
        array = value.real().astype(np.float32)
        return float(array.min()), float(array.max())
    if isinstance(value, Dequantised) and value.scale.size == 1 and value.array.dtype in RANGES:
        return float(value.every()[0]), float(value.every()[-1])
    if isinstance(value, Plain) and value.codes is not None:
        codes = value.codes()
        return float(codes.min()), float(codes.max())
    if isinstance(value, Sum) and value.ends is not None and value.scale.size in (1, value.ends[0].size):
        numbers = [end * value.scale.reshape(-1).astype(np.float64) for end in value.ends]
        least, greatest = float(min(n.min() for n in numbers)), float(max(n.max() for n in numbers))
        return min(max(least, value.low), value.high), min(max(greatest, value.low), value.high)
    return value.bounds() if isinstance(value, Plain) and value.bounds is not None else None


def _product(a: Bounds, b: Bounds) -> Bounds:
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


_RULES: dict[str, Callable[[Bounds, Bounds], Bounds]] = {
    "Add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "Sum": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "Sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "Mul": _product,
    "Div": lambda a, b: (min(x / b[0] for x in a), max(x / b[0] for x in a)),
    "Max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "Min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "Where": lambda a, b: (min(a[0], b[0]), max(a[1], b[1])),
}


#: (Least, greatest) number of smooth functions, from those of their operand.
_FUNCTIONS: dict[str, Callable[[float, float], Bounds]] = {
    **dict.fromkeys(("Erf", "Softsign", "Tanh"), lambda low, high: (-1.0, 1.0)), "Gelu": lambda low, high: (-0.25, max(high, 0.0)),
    "Mish": lambda low, high: (-0.5, max(high, 0.0)), "Sigmoid": lambda low, high: (0.0, 1.0), "Softplus": lambda low, high: (0.0, max(high, 0.0) + 1),
}  # fmt: skip


def _larger(a: Bounds, b: Bounds) -> Bounds:
    return max(a[0], b[0]), max(a[1], b[1])


def _smaller(a: Bounds, b: Bounds) -> Bounds:
    return min(a[0], b[0]), min(a[1], b[1])


def _by(x: Bounds, number: Any) -> Bounds:
    """Times a float32 number."""
    return _product(x, (float(np.float32(number)),) * 2)


def _ramp(x: Bounds, alpha: float, beta: float) -> Bounds:
    low, high = _by(x, alpha)
    shift = float(np.float32(beta))
    return _larger(_smaller((low + shift, high + shift), (1.0, 1.0)), (0.0, 0.0))


def _leaky(call: Any, x: Bounds) -> Bounds:
    slope = np.float32(call.attributes.get("alpha", 0.01))
    return (_larger if slope <= 1 else _smaller)(_by(x, slope), x)


def _slopes(call: Any, x: Bounds) -> Bounds:
    slopes = call.number(1).astype(np.float32)
    return (_larger if slopes.max() <= 1 else _smaller)(_product(x, (float(slopes.min()), float(slopes.max()))), x)


#: Functions that are a few operations, each with the ends of these.
_PIECEWISE: dict[str, Callable[[Any, Bounds], Bounds]] = {
    "Abs": lambda _, x: _larger(x, _by(x, -1)), "HardSigmoid": lambda call, x: _ramp(x, call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)),
    "HardSwish": lambda _, x: _product(x, _ramp(x, 1 / 6, 0.5)), "LeakyRelu": _leaky, "Neg": lambda _, x: _by(x, -1), "PRelu": _slopes,
}  # fmt: skip


def whole_power(call: Any) -> Plain | None:
    """Pow by 2 or 3, as float32 products x x and (x x) x; None for any other."""
    exponent = call.value(1)
    if not exponent.constant or exponent.array.size != 1 or float(exponent.real().reshape(())) not in (2.0, 3.0):
        return None
    x, ends = call.value(0).real().astype(np.float32), ends_of(call.value(0))
    square, cubic = x * x, float(exponent.real().reshape(())) == 3
    bounds = None if ends is None else (lambda: _product(_product(ends, ends), ends) if cubic else _product(ends, ends))
    return Plain(square * x if cubic else square, bounds=bounds)


def _known(call: Any, value: Any) -> Bounds:
    ends = ends_of(value)
    if ends is None:
        raise call.refuse("an operand whose bounds are not known")
    return ends


def ended(x: Sum) -> Plain | None:
    """A clamped product, or one of several scales, as numbers with bounds; None where these are not known."""
    ends = ends_of(x)
    return None if ends is None else Plain(x.real(), bounds=lambda: ends)


def bounds_of(call: Any) -> Callable[[], Bounds] | None:
    """Return what gives (least, greatest) of an element-wise operator's result; None where that is not known."""
    op = call.node.op_type
    if op in _PIECEWISE:
        return lambda: _PIECEWISE[op](call, _known(call, call.inputs[0]))
    if op in _FUNCTIONS:
        return lambda: _FUNCTIONS[op](*_known(call, call.inputs[0]))
    if op not in (*_RULES, "Relu", "Clip") or len(call.inputs) < 1 + (op in _RULES):
        return None

    def found() -> Bounds:
        operands = call.inputs[op == "Where" :] if op in _RULES else call.inputs[:1]
        ends = [e for v in operands if (e := ends_of(v)) is not None]
        if len(ends) < len(operands):
            raise call.refuse("an operand whose bounds are not known")
        if op in _RULES:
            return reduce(_RULES[op], ends)
        low, high = (0.0, np.inf) if op == "Relu" else (float(call.number(i, np.array(d)).reshape(-1)[0]) for i, d in ((1, -np.inf), (2, np.inf)))
        least, greatest = ends[0]
        return min(max(least, low), high), min(max(greatest, low), high)

    return found


def average(x: Plain, over: tuple[int, ...], *, keep: bool, mean: bool) -> Sum:
    """Return the sums over axes `over` of the array, with their scale."""
    assert x.bounds is not None
    integers, unit = _integers(x.array.astype(np.float32), *x.bounds())
    count = int(np.prod([x.array.shape[a] for a in over]))
    scale = unit * (np.float32(1 / count) if mean else np.float32(1))
    return Sum(wrap(integers.sum(axis=over, keepdims=keep)), np.array(scale, np.float32), np.ones((), np.float32))


def average_of_windows(x: Any, counts: np.ndarray, sums_of: Callable[[np.ndarray], np.ndarray]) -> Sum | Plain | None:
    """Return the averages of a float value's windows, `sums_of` images, over so many elements each; None where its bounds are not known.

    As above; where windows differ in size the sums times u are float32 numbers, multiplied by float32(1 / n) each.
    """
    ends = ends_of(x)
    if ends is None:
        return None
    integers, unit = _integers(x.real().astype(np.float32), *ends)
    sums, one = sums_of(integers), np.ones((), np.float32)
    if (counts == counts.flat[0]).all():
        return Sum(sums, np.array(unit * np.float32(1 / counts.flat[0]), np.float32), one)
    return Plain((sums.astype(np.float32) * unit) * (np.float32(1) / counts.astype(np.float32)))


def _integers(s: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.float32]:
    """255 h + l of each number, int64, and u."""
    low, high = min(low, 0.0), max(high, 0.0)
    unit = np.float32((high - low) / (255 * 254)) if high > low else np.float32(abs(high) or 1)
    wide = np.float32(255) * unit
    zero = np.uint8(min(max(-int(np.rint(np.float32(low) / wide)), 0), 255))
    upper = quantise(s, np.asarray(wide), np.asarray(zero)).astype(np.int64) - int(zero)
    lower = quantise(s - upper.astype(np.float32) * wide, np.asarray(unit), np.asarray(np.uint8(128))).astype(np.int64) - 128
    return 255 * upper + lower, unit


__all__ = ["average", "average_of_windows", "bounds_of", "ended", "ends_of", "whole_power"]
