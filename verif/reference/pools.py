"""Pools, by definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verif.reference.call import Call
from verif.reference.floats.elementwise import reduction
from verif.reference.floats.formula_averages import average_of_windows
from verif.reference.products.products import (
    given,
    quantised_result,
)
from verif.reference.products.sums import window_maxima, window_of, window_sizes, window_sums
from verif.reference.values import Dequantised, Plain, Sum, Value


def _images(array: np.ndarray) -> np.ndarray:
    """Return (S, N, C, ..) as (S*N, C, H, W)."""
    shape = array.shape
    return array.reshape(shape[0] * shape[1], shape[2], *([1] * (5 - len(shape))), *shape[3:])


def _spatial(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return (S*N, C, H, W) with the leading and spatial rank of `shape`."""
    size = array.shape[2:] if len(shape) == 5 else array.shape[3:]
    return array.reshape(*shape[:3], *size)


def max_pool(call: Call) -> Value:
    """MaxPool, which dequantisation does not disturb."""
    x = call.value(0)
    array = x.array
    if isinstance(x, Sum) and x.divisor.size > 1:
        raise call.refuse("an average that no QuantizeLinear follows")
    window = window_of(call.attributes, array.shape[3:], call.attributes["kernel_shape"], ceil=bool(call.attributes.get("ceil_mode")))
    if isinstance(x, Sum):  # scales are one a channel: the largest number is of the largest sum, or of the least where the scale is negative
        sign = np.where(x.scale < 0, -1, 1)
        largest = _spatial(window_maxima(_images(x.sums.astype(np.int64) * sign), window), array.shape)
        return replace(x, sums=(largest * sign).astype(np.int32), takes=frozenset())
    result = _spatial(window_maxima(_images(array), window), array.shape)
    return Dequantised(result, x.scale, x.zero) if isinstance(x, Dequantised) else Plain(result)


def _average(call: Call, x: Dequantised, *, everything: bool) -> Sum:
    shape = x.array.shape
    size = shape[3:] if len(shape) == 5 else (1, *shape[3:])
    kernel = shape[3:] if everything else call.attributes["kernel_shape"]
    attributes = {} if everything else call.attributes
    window = window_of(attributes, shape[3:], kernel, ceil=bool(attributes.get("ceil_mode")))
    count = window_sizes((size[0], size[1]), window, count_padding=bool(attributes.get("count_include_pad")))
    sums = _spatial(window_sums(_images(x.centred()), window), shape)
    divisor = count if len(shape) == 5 else count[0]
    return Sum(sums, x.scale.reshape(()).astype(np.float32), divisor.astype(np.float32))


def _average_of_sum(call: Call, x: Sum) -> Sum:
    """AveragePool of a sum that is not rounded yet: its windows' sums, times float32(1 / elements)."""
    shape = x.sums.shape
    window = window_of(call.attributes, shape[3:], call.attributes["kernel_shape"], ceil=bool(call.attributes.get("ceil_mode")))
    size = shape[3:] if len(shape) == 5 else (1, *shape[3:])
    count = np.unique(window_sizes((size[0], size[1]), window, count_padding=bool(call.attributes.get("count_include_pad"))))
    if count.size > 1:
        raise call.refuse("windows of different size over a sum that no QuantizeLinear follows")
    scale = x.scale.reshape(()) * (np.float32(1) / np.float32(count[0] * x.divisor.reshape(())))
    return Sum(_spatial(window_sums(_images(x.sums), window), shape), np.asarray(scale, np.float32), np.ones((), np.float32))


def _average_of_floats(call: Call, x: Value) -> Value | None:
    """AveragePool of float numbers that nothing has quantised."""
    shape = x.array.shape
    window = window_of(call.attributes, shape[3:], call.attributes["kernel_shape"], ceil=bool(call.attributes.get("ceil_mode")))
    size = shape[3:] if len(shape) == 5 else (1, *shape[3:])
    count = window_sizes((size[0], size[1]), window, count_padding=bool(call.attributes.get("count_include_pad")))
    return average_of_windows(x, count if len(shape) == 5 else count[0], lambda images: _spatial(window_sums(_images(images), window), shape))


def average_pool(call: Call) -> Value:
    """AveragePool and GlobalAveragePool of dequantised values."""
    x = call.value(0)
    if isinstance(x, Plain | Sum) and call.node.op_type == "GlobalAveragePool":
        return reduction(call)
    if isinstance(x, Sum) and x.scale.size == x.divisor.size == 1 and (x.low, x.high) == (-np.inf, np.inf):
        return _average_of_sum(call, x)
    if not isinstance(x, Dequantised):
        whole = _average_of_floats(call, x)
        if whole is None:
            raise call.refuse("an operand that is not dequantised, whose bounds are not known")
        return whole
    return _average(call, x, everything=call.node.op_type == "GlobalAveragePool")


def qlinear_average_pool(call: Call) -> Value:
    """com.microsoft QLinearAveragePool and QLinearGlobalAveragePool."""
    if call.attributes.get("channels_last"):
        raise call.refuse("channels_last")
    return quantised_result(call, _average(call, given(call, 0), everything=call.node.op_type == "QLinearGlobalAveragePool"), 3)


__all__ = ["average_pool", "max_pool", "qlinear_average_pool"]
