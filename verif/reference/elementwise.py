"""Combinations of several tensors, BatchNormalization and reductions, by definition.

* Sub, Mul, Min, Max, PRelu, Sum and any other function: float32, operand by operand as ONNX defines it, then QuantizeLinear.
* Div by a constant of several different numbers: a product with their float32 reciprocals. By one number: a division.
* ReduceMean over n elements, ReduceSum (n = 1): int32 sum of (x - zero), scale = float32(s_x / float32(s_y * n)), as average pools.
* ReduceMax, GlobalMaxPool: on the integers.
* BatchNormalization: k = scale / sqrt(var + epsilon) and d = bias - mean * k in float64. Of a product, s_w being its weights' scale:
  s' = float32(s_x * float32(s_w * k)), d joins the integer sums as round_half_even(d / s'). Of a dequantised tensor: likewise, of its
  integers times 255 and s_w = float32(1 / 255). Where k is 0 the sums are 0 and s' = |d| * 2^-20, or 1.

Against onnxruntime 1.32: see tests/verif/test_reference_elementwise.py, which counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verif.reference.sums import wrap
from verif.reference.values import Dequantised, Plain, Sum, Value

#: The integer factor of an input that is normalised on its own.
UNIT = 255


def divide(elementwise: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Div, given the definition of element-wise operators."""

    def call_divide(call: Any) -> Value:
        x, divisor = call.value(0), call.value(1)
        if x.constant or not divisor.constant or np.all(divisor.real() == divisor.real().flat[0]):
            return elementwise(call)
        with np.errstate(divide="ignore"):
            reciprocal = np.float32(1) / divisor.real().astype(np.float32)
        return Plain(x.real() * reciprocal)

    return call_divide


def _along(numbers: np.ndarray, rank: int) -> np.ndarray:
    """Numbers a channel, against (samples, N, C, ..)."""
    return numbers.reshape(-1, *[1] * (rank - 3))


def batch_normalization(call: Any) -> Value:
    """BatchNormalization at inference."""
    x = call.value(0)
    if call.attributes.get("training_mode") or not isinstance(x, Sum | Dequantised) or x.array.ndim < 3:
        raise call.refuse("a training mode, or an operand that is no quantised tensor with channels")
    gamma, beta, mean, variance = (call.number(i).astype(np.float64).reshape(-1) for i in range(1, 5))
    k = gamma / np.sqrt(variance + float(call.attributes.get("epsilon", 1e-5)))
    d = beta - mean * k
    rank, channels = x.array.ndim, x.array.shape[2]
    if isinstance(x, Dequantised):
        unit = x.scale.reshape(()).astype(np.float32)
        sums, stored = x.centred() * UNIT, np.broadcast_to(np.array(1 / UNIT, np.float32), (channels,))
    else:
        if x.low != -np.inf or x.high != np.inf or x.factors is None:
            raise call.refuse("a result that is no product")
        sums, unit, stored = x.sums, x.factors[0], np.broadcast_to(x.factors[1].reshape(-1), (channels,))
    gone = k == 0
    own = np.where(gone, np.where(d == 0, 1.0, np.abs(d) * 2.0**-20) / np.float64(unit), stored.astype(np.float64) * k).astype(np.float32)
    scale = unit * own
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(d / scale.astype(np.float64)).astype(np.int64)
    sums = wrap(np.where(_along(gone, rank), 0, sums.astype(np.int64)) + _along(steps, rank))
    return Sum(sums, _along(scale, rank), np.ones((), np.float32))


def reduction(call: Any) -> Value:
    """ReduceMean, ReduceSum, ReduceMax and GlobalMaxPool."""
    x, op = call.value(0), call.node.op_type
    rank = x.array.ndim - 1
    given = call.optional(1)
    axes = list(range(2, rank)) if op == "GlobalMaxPool" else call.attributes.get("axes") if given is None else call.number(1).reshape(-1).tolist()
    if not axes and call.attributes.get("noop_with_empty_axes"):
        return x
    over = tuple(sorted({int(a) % rank + 1 for a in axes or range(rank)}))
    keep = op == "GlobalMaxPool" or bool(call.attributes.get("keepdims", 1))
    if op in ("ReduceMax", "GlobalMaxPool"):
        if isinstance(x, Dequantised) and x.scale.size == 1:
            return Dequantised(x.array.max(axis=over, keepdims=keep), x.scale.reshape(()), x.zero.reshape(()))
        if not isinstance(x, Plain):
            raise call.refuse("an operand that is not dequantised")
        return replace(x, array=x.array.max(axis=over, keepdims=keep))
    if not isinstance(x, Dequantised):
        raise call.refuse("an operand that is not dequantised")
    count = int(np.prod([x.array.shape[a] for a in over]))
    if count == 1:
        return x.reshaped(x.array.sum(axis=over, keepdims=keep).shape)
    sums = wrap(x.centred().astype(np.int64).sum(axis=over, keepdims=keep))
    return Sum(sums, x.scale.reshape(()).astype(np.float32), np.array(count if op == "ReduceMean" else 1, np.float32))


def unchanged(call: Any) -> Value:
    """Cast of float32 to float32, Dropout at inference."""
    if call.node.op_type == "Cast" and call.attributes.get("to") != 1:
        raise call.refuse("a cast to another type")
    return call.value(0)


__all__ = ["batch_normalization", "divide", "reduction", "unchanged"]
