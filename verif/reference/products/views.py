"""Constants that meet a product in another shape than its own (Reshape and the like between them): they meet it where they stand in its own shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verif.reference.values import Dequantised, Plain, Sum, Value


def _plain(array: np.ndarray) -> np.ndarray:
    """An array without the axes along which it repeats itself."""
    for axis in range(array.ndim):
        if array.shape[axis] > 1 and (array == array.take([0], axis)).all():
            array = array.take([0], axis)
    return array


def _elsewhere(constant: Any, shape: tuple[int, ...], own: tuple[int, ...]) -> Value:
    """A constant beside results of one sample of `shape`, which are those of `own` in the same order."""

    def there(array: np.ndarray) -> np.ndarray:
        return _plain(np.broadcast_to(array, shape).reshape(own))

    if isinstance(constant, Dequantised):
        parts = [there(np.broadcast_to(a, constant.array.shape)) for a in (constant.array, constant.scale, constant.zero)]
        array = np.broadcast_to(parts[0], np.broadcast_shapes(*(p.shape for p in parts)))
        return Dequantised(array, parts[1], parts[2], True)
    return Plain(there(constant.real()), True)


def of_views(operator: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Add, Mul or Div, given it for products in their own shape."""

    def through(call: Any) -> Value:
        at = next((i for i in (0, 1) if isinstance(call.value(i), Sum)), None)
        if at is None or len(call.inputs) != 2:
            return operator(call)
        x, constant = call.value(at), call.value(1 - at)
        shape = x.array.shape[1:]
        if x.before is None or x.before[1] is not x.sums or not constant.constant or (x.low, x.high) != (-np.inf, np.inf):
            return operator(call)
        if constant.array.ndim > len(shape) or np.broadcast_shapes(shape, constant.array.shape) != shape:
            return operator(call)
        own = x.before[0]
        inputs = [own, _elsewhere(constant, shape, own.array.shape[1:])]
        result = operator(replace(call, inputs=inputs if at == 0 else inputs[::-1]))
        return result.reshaped(x.array.shape) if isinstance(result, Sum) else result

    return through


__all__ = ["of_views"]
