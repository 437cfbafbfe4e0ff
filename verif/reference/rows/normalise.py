"""Softmax of a quantised tensor, and what all normalisations share: the machine's arithmetic in its order, by acg.primitives alone.

ONNX defines them on real numbers. Quantised, they are computed so, every operation in float32 unless it is exact:

    Softmax              d = q - largest q of the row; e = round(exp(s d) peak), S = sum of e: integers, S then float32
                         r = 1 / S by an estimate and two of Newton's steps (t = S r, t = t r, r = 2 r - t)
                         y = round(e r / y_scale) + y_zero
                         peak = 65279, or 16646399 (S then 255 float32(sum of e // 255) + float32(sum of e mod 255)) where the first
                         could move a sum of so many terms by more than half a step of y
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from acg import primitives as p
from verif.reference.movement.movement import Moved
from verif.reference.values import RANGES, Dequantised, Plain, Value, quantise

_PEAKS = (65279, 16646399)
#: In place of the scale of a result that leaves the network as float32 numbers: there is no step that a number could be less than a half of.
UNSCALED = 0.0


@dataclass(frozen=True, eq=False)
class Normalised(Moved):
    """A normalisation along axis `axis` of x that waits for its QuantizeLinear.

    `steps` gives, for rows of x's integers (.., n) and the result's scale, the float32 number of steps before rounding; `exact` the real numbers
    for rows of real ones; both take the divisor's numbers, one a row, as a further argument where there is a `divisor`. Shape and clamp come after.
    """

    x: Dequantised | None = None
    divisor: Dequantised | None = None
    axis: int = -1
    shape: tuple[int, ...] = ()
    steps: Callable[..., np.ndarray] | None = None
    exact: Callable[..., np.ndarray] | None = None
    low: float = -np.inf
    high: float = np.inf

    def _by_rows(self, array: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Apply a function of rows along the axis."""
        moved = np.moveaxis(array, self.axis, -1)
        return np.moveaxis(function(moved), -1, self.axis).reshape(self.shape)

    @property
    def array(self) -> np.ndarray:
        """The real numbers (for their shape)."""
        return self.real()

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        assert self.x is not None and self.exact is not None
        more = () if self.divisor is None else (np.moveaxis(self.divisor.real().astype(np.float64), self.axis, -1),)
        result = self._by_rows(self.x.real().astype(np.float64), lambda rows: self.exact(rows, *more))  # type: ignore[misc]
        return np.clip(result, self.low, self.high).astype(np.float32)

    def integers(self) -> np.ndarray:
        """Return the real numbers: there are no integers yet."""
        return self.real()

    def reshaped(self, shape: tuple[int, ...]) -> Normalised:
        """Return the value with another shape, samples in front."""
        return replace(self, shape=shape)

    def clamped(self, low: float, high: float) -> Normalised:
        """Return min(max(self, low), high)."""
        return replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high))

    def _stepped(self, y_scale: float) -> np.ndarray:
        assert self.x is not None and self.steps is not None
        more = () if self.divisor is None else (np.moveaxis(self.divisor.centred(), self.axis, -1),)
        return self._by_rows(self.x.array, lambda rows: self.steps(rows.astype(np.int64), y_scale, *more))  # type: ignore[misc]

    def floats(self) -> np.ndarray:
        """Return the float32 numbers as they leave the network: those of the steps above, over no scale."""
        return np.clip(self._stepped(UNSCALED), np.float32(self.low), np.float32(self.high))

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return QuantizeLinear of the value, clamped between the quantised bounds."""
        low, high = RANGES[zero.dtype]
        steps = self._stepped(float(scale.reshape(-1)[0]))
        q = p.saturate(p.round_to_int32(steps), int(zero.reshape(-1)[0]), low, high).astype(zero.dtype)
        bounds = [quantise(np.array(v, np.float32), scale.reshape(()), zero.reshape(())) for v in (self.low, self.high)]
        return np.clip(q, *bounds)


def reciprocal(v: np.ndarray) -> np.ndarray:
    """Return 1 / v as the machine finds it."""
    r = p.reciprocal_estimate(v)
    for _ in range(2):
        r = p.add(p.multiply(r, number(2)), -p.multiply(p.multiply(v, r), r))
    return r


def divided(value: np.ndarray, y_scale: float) -> np.ndarray:
    """Return value / y_scale as the machine finds it; the value where there is no scale."""
    return value if y_scale == UNSCALED else p.multiply_constant(value, *p.divide_constant(y_scale))


def number(value: float | np.floating) -> np.ndarray:
    """Return a float32 number."""
    return np.array(value, np.float32)


def exponentials(rows: np.ndarray, x_scale: float, *, fine: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Return (exponentials of the distances from each row's largest, integers; their float32 total; the exponential of 0), `fine` the finer ones."""
    peak = _PEAKS[fine]
    e = np.rint(np.exp(x_scale * (rows - rows.max(-1, keepdims=True)).astype(np.float64)) * peak).astype(np.int64)
    if not fine:
        return e, p.int32_to_float32(e.sum(-1, keepdims=True)), peak
    upper, lowest = (p.int32_to_float32(part.sum(-1, keepdims=True)) for part in (e // 255, e % 255))
    return e, p.add(p.multiply(upper, number(255)), lowest), peak


def _softmax_steps(x_scale: float) -> Callable[[np.ndarray, float], np.ndarray]:
    def steps(rows: np.ndarray, y_scale: float) -> np.ndarray:
        e, total, _ = exponentials(rows, x_scale, fine=rows.shape[-1] / (2 * _PEAKS[0]) > y_scale / 2)
        return divided(p.multiply(e.astype(np.float32), reciprocal(total)), y_scale)

    return steps


def _exact_softmax(rows: np.ndarray) -> np.ndarray:
    e = np.exp(rows - rows.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _softmax(x: Dequantised, axis: int, shape: tuple[int, ...]) -> Normalised:
    return Normalised((), np.zeros(0, np.int64), x=x, axis=axis, shape=shape, steps=_softmax_steps(float(x.scale.reshape(()))), exact=_exact_softmax)


def enlarged(x: Dequantised, factor: float) -> Dequantised:
    """Return x times a number: the same integers with float32(scale * number)."""
    return x if factor == 1 else replace(x, scale=np.array(float(x.scale.reshape(())) * factor, np.float32), zero=x.zero.reshape(()))


def operand(call: Any, index: int = 0) -> Dequantised:
    """Return an input that is dequantised with one scale."""
    x = call.value(index)
    if not isinstance(x, Dequantised) or x.constant or x.scale.size != 1 or x.zero.size != 1:
        raise call.refuse("an operand that is not dequantised with one scale")
    return x


def flattened(x: Dequantised, axis: int) -> Dequantised:
    """Return x as rows (S, A, K), K the product of the dimensions from `axis` (counted without samples) on."""
    shape = x.array.shape
    axis = axis if axis >= 0 else axis + len(shape) - 1
    return x.reshaped((shape[0], int(np.prod(shape[1 : axis + 1])), int(np.prod(shape[axis + 1 :]))))  # type: ignore[return-value]


def arg_max(call: Any) -> Value:
    """ArgMax, int64: of equal numbers the first, or with `select_last_index` the last."""
    x = call.value(0)
    if not isinstance(x, Dequantised | Plain) or x.array.dtype.kind not in "iu":
        raise call.refuse("an operand that is no 8-bit tensor")
    axis = call.attributes.get("axis", 0)
    axis += 1 if axis >= 0 else 0  # samples in front
    last = call.attributes.get("select_last_index", 0)
    found = x.array.shape[axis] - 1 - np.flip(x.array, axis).argmax(axis) if last else x.array.argmax(axis)
    return Plain(np.expand_dims(found, axis) if call.attributes.get("keepdims", 1) else found)


def of_axis(call: Any) -> Normalised:
    """Return the Softmax that a node's operand and its attribute `axis` say: along one axis, before opset 13 along all from it on."""
    x = call.value(0)
    if not isinstance(x, Dequantised):
        raise call.refuse("an operand that is not dequantised")
    x = enlarged(operand(call), call.attributes.get("factor", 1.0))
    return _of_axis(x, call.attributes.get("axis", 1 if call.opset < 13 else -1), call.opset)


def softmax(fine: Callable[[Any, Value], Normalised]) -> Callable[[Any], Value]:
    """Return Softmax, given its definition for what nothing has quantised."""

    def operator(call: Any) -> Value:
        x = call.value(0)
        return of_axis(call) if isinstance(x, Dequantised) or call.node.domain else fine(call, x)  # type: ignore[return-value]

    return operator


def _of_axis(x: Dequantised, axis: int, opset: int) -> Normalised:
    shape = x.array.shape
    if opset < 13:
        return _softmax(flattened(x, axis), -1, shape)
    return _softmax(x, axis if axis < 0 else axis + 1, shape)


def qlinear_softmax(call: Any) -> Value:
    """com.microsoft QLinearSoftmax: x, x_scale, x_zero, y_scale, y_zero; its attribute `opset` says which Softmax it is."""
    array, zero = call.value(0).array, call.number(2, np.zeros((), np.uint8))
    x = Dequantised(array, call.number(1).reshape(()), zero.reshape(()))
    result = _of_axis(x, call.attributes.get("axis", -1), call.attributes.get("opset", 13))
    return Plain(result.quantised(call.number(3), call.number(4)))


def root(v: np.ndarray) -> np.ndarray:
    """Return 1 / sqrt(v) as the machine finds it."""
    r = p.rsqrt_estimate(v)
    for _ in range(2):
        cubed = p.multiply(p.multiply(p.multiply(v, r), r), r)
        r = p.add(p.multiply(r, number(1.5)), p.multiply(cubed, number(-0.5)))
    return r


def factors(call: Any, index: int, channels: int, default: float) -> np.ndarray:
    """Return constants, one a channel; `default` where they are left out. What has fewer numbers broadcasts to the last axes of the first input."""
    value = call.optional(index)
    if value is None:
        return np.full(channels, default, np.float32)
    if not value.constant:
        raise call.refuse(f"input {index} that is no constant")
    numbers = value.real()
    if numbers.size not in (1, channels):
        numbers = np.broadcast_to(numbers, call.value(0).array.shape[1:][call.attributes.get("axis", -1) :])
    return np.broadcast_to(numbers.reshape(-1), (channels,)).astype(np.float32)


def rows_of(call: Any, x: Dequantised) -> tuple[Dequantised, int]:
    """Return what is normalised, and along which axis: x as rows over all axes from `axis` on or, of what is no operator of ONNX, x over that axis."""
    axis = call.attributes.get("axis", -1)
    return (x, axis) if call.node.domain else (flattened(x, axis), -1)


