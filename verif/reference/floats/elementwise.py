"""Combinations of several tensors, BatchNormalization and reductions, by definition.

* Sub, Mul, Min, Max, PRelu, Sum and any other function: float32, operand by operand as ONNX defines it, then QuantizeLinear.
* Div by a constant of several different numbers, or of two dequantised tensors: a product with the divisor's float32 reciprocals, infinite for 0;
  0 times infinity is 0. By one number, and of functions of one 8-bit tensor: a division; 0 over 0 is 0.
* Mean of n: the sum from left to right, times float32(1 / n).
* ReduceMean over n elements, ReduceSum (n = 1): int32 sum of (x - zero), scale = float32(s_x / float32(s_y * n)), as average pools.
  Of a float function f of one 8-bit tensor that is not quantised itself (over rows and columns): f is rounded to multiples of
  u = float32((largest - smallest of its 256 numbers) / 65024), the int32 sum is scaled by float32(u * float32(1/n)).
* ReduceSum and ReduceL1 of any other float numbers: where no order of additions rounds (`verif.reference.floats.exact_sums`).
* ReduceMax, GlobalMaxPool: on the integers, of a float result on those that it is quantised to.
* BatchNormalization: k = scale / sqrt(var + epsilon) and d = bias - mean * k in float64. Of a product, s_w being its weights' scale:
  s' = float32(s_x * float32(s_w * k)), d joins the integer sums as round_half_even(d / s'). Of a dequantised tensor: likewise, of its
  integers times 255 and s_w = float32(1 / 255). Where k is 0, or |d| at least
  2^30 s', the sums are 0 and s' = |d| * 2^-20 (1 if d is 0).
* Mul and Div of a product by one constant a channel: that with k or 1 / k and d = 0; Add of one to such a result: that with k = 1.

Against onnxruntime 1.32: see tests/verif/test_reference_elementwise.py, which counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from verif.reference.floats.exact_sums import exact_sum
from verif.reference.floats.formula_averages import average, ended, ends_of
from verif.reference.movement.movement import Moved
from verif.reference.products.sums import wrap
from verif.reference.products.weights import in_steps
from verif.reference.values import RANGES, Dequantised, Plain, Sum, Value, sources_of

#: The integer factor of an input that is normalised on its own.
UNIT = 255


@dataclass(frozen=True, eq=False)
class Largest(Moved):
    """The largest over axes `over` of a float result that waits for its QuantizeLinear, which keeps order: it is quantised first."""

    over: tuple[int, ...] = ()
    keep: bool = True
    shape: tuple[int, ...] | None = None

    def _of(self, array: np.ndarray) -> np.ndarray:
        result = array.max(axis=self.over, keepdims=self.keep)
        return result if self.shape is None else result.reshape(self.shape)

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        return self._of(self.parts[0].real())

    def reshaped(self, shape: tuple[int, ...]) -> Largest:
        """Return the value with another shape, samples in front."""
        return replace(self, shape=shape)

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return QuantizeLinear."""
        return self._of(self.parts[0].quantised(scale, zero))


def common_sources(call: Any) -> tuple[np.ndarray, ...]:
    """Return the 8-bit integers that all inputs are functions of, beside numbers, nearest first; none where there are none."""
    present = [v for v in call.inputs if v is not None]
    chains = [sources_of(v) for v in present if not v.constant]
    numbers = all(np.all(v.real() == v.real().flat[0]) for v in present if v.constant and v.array.size)
    if not chains or not numbers or len({v.array.shape for v in present if not v.constant}) > 1:
        return ()
    first = next((i for i, array in enumerate(chains[0]) if all(any(array is a for a in chain) for chain in chains)), None)
    return () if first is None else chains[0][first:]


def _quotient(call: Any, x: Any, divisor: Any, elementwise: Callable[[Any], Value]) -> Value:
    """x / divisor for functions of one 8-bit tensor, else x * float32(1 / divisor); 0 where x is 0."""
    if common_sources(call):
        result = elementwise(call)
        assert isinstance(result, Plain)
        return replace(result, array=np.where(x.real() == 0, np.float32(0), result.array))
    rank = max(x.array.ndim, divisor.array.ndim)
    a, b = (v.real().astype(np.float32).reshape(v.array.shape[0], *[1] * (rank - v.array.ndim), *v.array.shape[1:]) for v in (x, divisor))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Plain(np.where(a == 0, np.float32(0), a * (np.float32(1) / b)))


def mean(elementwise: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Mean, given the definition of element-wise operators: the sum from left to right, times float32(1 / n)."""

    def call_mean(call: Any) -> Value:
        if all(v.constant for v in call.inputs):
            return elementwise(call)
        total = elementwise(replace(call, node=onnx.helper.make_node("Sum", list(call.node.input), list(call.node.output))))
        assert isinstance(total, Plain)
        part, codes = np.float32(1) / np.float32(len(call.inputs)), total.codes
        return replace(total, array=total.array * part, codes=None if codes is None else lambda: codes() * part)

    return call_mean


def divide(elementwise: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Div, given the definition of element-wise operators."""

    def call_divide(call: Any) -> Value:
        x, divisor = call.value(0), call.value(1)
        if all(isinstance(v, Dequantised) and not v.constant and v.scale.size == 1 for v in (x, divisor)):
            return _quotient(call, x, divisor, elementwise)
        if x.constant or not divisor.constant or np.all(divisor.real() == divisor.real().flat[0]):
            return elementwise(call)
        with np.errstate(divide="ignore"):
            reciprocal = np.float32(1) / divisor.real().astype(np.float32)
        product = onnx.helper.make_node("Mul", ["x", "r"], ["y"])
        return elementwise(replace(call, node=product, inputs=[x, Plain(reciprocal, True)]))

    return call_divide


def _along(numbers: np.ndarray, trailing: int) -> np.ndarray:
    """Numbers a channel, with so many axes behind it."""
    return numbers.reshape(-1, *[1] * trailing)


def batch_normalization(call: Any) -> Value:
    """BatchNormalization at inference."""
    x = call.value(0)
    if call.attributes.get("training_mode") or x.array.ndim < 3:
        raise call.refuse("a training mode, or an operand without channels")
    parameters = [call.value(i) for i in range(1, 5)]
    if not all(p.constant for p in parameters):
        raise call.refuse("factors that are no constants")
    gamma, beta, mean, variance = (p.real().astype(np.float64).reshape(-1) for p in parameters)
    k = gamma / np.sqrt(variance + float(call.attributes.get("epsilon", 1e-5)))
    product = isinstance(x, Sum) and "channels" in x.takes and x.axis_from_end == x.array.ndim - 2
    if not product and not isinstance(x, Dequantised):
        return _of_floats(x, k.astype(np.float32), (beta - mean * k).astype(np.float32))
    return affine(call, x, k, beta - mean * k)


def _of_floats(x: Value, k: np.ndarray, d: np.ndarray) -> Plain:
    """float32(x k) + d, all float32, one k and d a channel."""
    trailing, ends = x.array.ndim - 3, ends_of(x)

    def bounds() -> tuple[float, float]:
        assert ends is not None
        products = [end * float(number) for end in ends for number in (k.min(), k.max())]
        return min(products) + float(d.min()), max(products) + float(d.max())

    return Plain(x.real().astype(np.float32) * _along(k, trailing) + _along(d, trailing), bounds=None if ends is None else bounds)


def affine(call: Any, x: Sum | Dequantised, k: np.ndarray, d: np.ndarray) -> Sum:
    """Return k * x + d, float64 a channel, of a product or of a dequantised tensor."""
    trailing = x.array.ndim - 3 if isinstance(x, Dequantised) else x.axis_from_end - 1
    channels = x.array.shape[-1 - trailing]
    if isinstance(x, Dequantised):
        unit = x.scale.reshape(()).astype(np.float32)
        sums, stored = x.centred() * UNIT, np.broadcast_to(np.array(1 / UNIT, np.float32), (channels,))
    else:
        if "channels" not in x.takes or x.factors is None:
            raise call.refuse("a result that is no product")
        sums, unit, stored = x.sums, x.factors[0], np.broadcast_to(x.factors[1].reshape(-1), (channels,))
    given = (unit * (stored.astype(np.float64) * k).astype(np.float32)).astype(np.float64)
    gone = (k == 0) | ((np.abs(d) >= 2.0**30 * np.abs(given)) & (d != 0))
    own = np.where(gone, np.where(d == 0, 1.0, np.abs(d) * 2.0**-20) / np.float64(unit), stored.astype(np.float64) * k).astype(np.float32)
    scale = unit * own
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(d / scale.astype(np.float64)).astype(np.int64)
    sums = wrap(np.where(_along(gone, trailing), 0, sums.astype(np.int64)) + _along(steps, trailing))
    takes = x.takes - {"bias"} if isinstance(x, Sum) else frozenset({"channels", "number"})
    return Sum(sums, _along(scale, trailing), np.ones((), np.float32), axis_from_end=trailing + 1, factors=(unit, own), takes=takes)


def a_channel(other: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Mul, Div or Add, given its definition for all other operands: of a product and one constant a channel it is a BatchNormalization."""

    def operator(call: Any) -> Value:
        x, constant, op = call.value(0), call.value(1), call.node.op_type
        if isinstance(constant, Sum) and op != "Div":
            x, constant = constant, x
        plain = isinstance(x, Sum) and "channels" in x.takes
        if not plain or not constant.constant or (op == "Add" and "bias" in x.takes):
            return other(call)
        from_end = x.axis_from_end
        channels, numbers = x.array.shape[-from_end], constant.real().astype(np.float64)
        wrong = channels == 1 or numbers.size != channels or not from_end <= numbers.ndim < x.array.ndim
        if wrong or numbers.shape[numbers.ndim - from_end :] != (channels, *[1] * (from_end - 1)):
            return other(call)
        numbers, one = numbers.reshape(-1), np.ones(channels)
        if op == "Add":
            return affine(call, x, one, numbers) if in_steps(x, numbers) else other(call)
        return affine(call, x, numbers if op == "Mul" else 1 / numbers, 0 * one)

    return operator


def function_of_one(call: Any, evaluate: Callable[..., list[np.ndarray]]) -> tuple[Callable[[], np.ndarray] | None, np.ndarray | None]:
    """Return (numbers for all 256 integers, the integers) of a function of one 8-bit tensor and numbers; (None, None) for any other."""
    moving = [v for v in call.inputs if v is not None and not v.constant]
    sources = [v.array if isinstance(v, Dequantised) and v.scale.size == 1 else getattr(v, "source", None) for v in moving]
    scalars = all(np.all(v.real() == v.real().flat[0]) for v in call.inputs if v is not None and v.constant and v.array.size)
    if not sources or sources[0] is None or any(s is not sources[0] for s in sources) or sources[0].dtype not in RANGES or not scalars:
        return None, None

    def codes() -> np.ndarray:
        arrays = [None if v is None else v.real().reshape(-1)[0] if v.constant else v.every() if isinstance(v, Dequantised) else v.codes()
                  for v in call.inputs]  # fmt: skip
        return np.nan_to_num(evaluate(call.entire(), call.opset, [None if a is None else np.asarray(a) for a in arrays])[0], posinf=np.inf, neginf=-np.inf)

    return codes, sources[0]


def _levels(x: Plain) -> tuple[np.ndarray, np.float32]:
    """Return the integers (value / u, rounded) and u of a function of one 8-bit tensor: 65025 levels from its least to its greatest number."""
    assert x.codes is not None
    low, high = (float(v) for v in (x.codes().min(), x.codes().max()))
    unit = np.float32((high - low) / 65024) if high > low else np.float32(abs(high) or 1)
    first = int(np.rint(np.float32(low) / unit))
    return np.clip(np.rint(x.array.astype(np.float32) / unit).astype(np.int64), first, first + 65024), unit


def reduction(call: Any) -> Value:
    """ReduceMean, ReduceSum, ReduceL1, ReduceMax, GlobalMaxPool; GlobalAveragePool of a float function."""
    x, op = call.value(0), call.node.op_type
    rank = x.array.ndim - 1
    given = call.optional(1)
    axes = list(range(2, rank)) if op.startswith("Global") else call.attributes.get("axes") if given is None else call.number(1).reshape(-1).tolist()
    if call.attributes.get("noop_with_empty_axes") and not axes:
        return x
    over = tuple(sorted({int(a) % rank + 1 for a in axes or range(rank)}))
    keep = op.startswith("Global") or bool(call.attributes.get("keepdims", 1))
    if op in ("ReduceMax", "GlobalMaxPool") and not (isinstance(x, Dequantised | Plain) and x.array.dtype.kind in "iu"):
        return Largest((x,), np.zeros(0, np.int64), over=over, keep=keep)  # type: ignore[return-value]
    if op in ("ReduceMax", "GlobalMaxPool"):
        if isinstance(x, Dequantised) and x.scale.size == 1:
            return Dequantised(x.array.max(axis=over, keepdims=keep), x.scale.reshape(()), x.zero.reshape(()))
        return Plain(x.array.max(axis=over, keepdims=keep) if isinstance(x, Plain) else x.real().max(axis=over, keepdims=keep), x.constant)
    count = int(np.prod([x.array.shape[a] for a in over]))
    if count == 1 and op != "ReduceL1":
        return x.reshaped(x.array.sum(axis=over, keepdims=keep).shape)
    mean = op in ("ReduceMean", "GlobalAveragePool")
    if isinstance(x, Plain) and x.codes is not None:
        sums, unit = _levels(x)
        scale = unit * (np.float32(1 / count) if mean else np.float32(1))
        return Sum(wrap(sums.sum(axis=over, keepdims=keep)), np.array(scale, np.float32), np.ones((), np.float32))
    if isinstance(x, Sum) and x.ends is not None:  # a product
        x = ended(x) or x
    if isinstance(x, Sum) and x.scale.size == x.divisor.size == 1 and (x.low, x.high) == (-np.inf, np.inf):  # a reduction of one
        further = wrap(x.sums.astype(np.int64).sum(axis=over, keepdims=keep))
        return replace(x, sums=further, divisor=x.divisor * np.float32(count if mean else 1), axis_from_end=0, takes=frozenset())
    if isinstance(x, Sum) and (x.low, x.high) != (-np.inf, np.inf):
        x = ended(x) or x
    if isinstance(x, Moved) and (ends := ends_of(x)) is not None:
        x = Plain(x.real(), bounds=lambda: ends)
    if isinstance(x, Plain) and x.bounds is not None and op != "ReduceL1":
        return average(x, over, keep=keep, mean=mean)
    if op == "ReduceL1" or (op == "ReduceSum" and not isinstance(x, Dequantised)):
        exact = exact_sum(np.abs(x.real()) if op == "ReduceL1" else x.real(), over, keep=keep)
        if exact is not None:
            return exact
    if not isinstance(x, Dequantised) or op == "ReduceL1":
        raise call.refuse("an operand that is not dequantised")
    sums = wrap(x.centred().astype(np.int64).sum(axis=over, keepdims=keep))
    return Sum(sums, x.scale.reshape(()).astype(np.float32), np.array(count if mean else 1, np.float32))


def unchanged(other: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Cast and Dropout at inference, given the definition of functions. Cast to float32: of float32 numbers, of 8-bit integers, which are dequantised by
    a scale of 1, and of the sums of an Integer operator, of scale 1; bool from and to is a function."""
    return lambda call: _unchanged(call, other)


def _unchanged(call: Any, other: Callable[[Any], Value]) -> Value:
    value = call.value(0)
    if call.node.op_type == "Dropout" and call.optional(2) is not None and call.number(2).any():
        raise call.refuse("a training mode")
    if isinstance(value, Plain) and onnx.helper.np_dtype_to_tensor_dtype(value.array.dtype) == call.attributes.get("to"):
        return value
    if call.node.op_type == "Cast" and (call.attributes.get("to") == 9 or value.array.dtype == bool):
        return other(call)
    if call.node.op_type == "Cast" and call.attributes.get("to") != 1:
        raise call.refuse("a cast to another type")
    if isinstance(value, Plain) and value.product is not None:
        return value.product
    if isinstance(value, Plain) and value.array.dtype in RANGES:
        rank = value.array.ndim
        one, zero = np.ones((1,) * rank, np.float32), np.zeros((1,) * rank, value.array.dtype)
        return Dequantised(value.array, one, zero, value.constant, sources_of(value))
    return value


__all__ = ["a_channel", "batch_normalization", "common_sources", "divide", "mean", "reduction", "unchanged"]
