"""Functions of one 8-bit tensor whose numbers are multiples of one of them, as operands of products, pools and normalisations.

The unit u is the least magnitude, but 0, of the function's 256 numbers. Where all are float32(k * u), with k from l to l + 255 for an l of at most 0,
the operand is the dequantised integers k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verif.reference.values import Dequantised, Plain, Value, sources_of


def _integers(value: Any) -> Any:
    if not isinstance(value, Plain) or value.constant or value.codes is None:
        return value
    codes = value.codes().astype(np.float32)
    if not np.isfinite(codes).all() or not codes.any():
        return value
    unit = np.abs(codes[codes != 0]).min()
    steps = np.rint(codes.astype(np.float64) / np.float64(unit))
    lowest = min(steps.min(), 0)
    if lowest < -255 or steps.max() - lowest > 255 or not np.array_equal(steps.astype(np.float32) * unit, codes):
        return value
    array = (np.rint(value.array.astype(np.float64) / np.float64(unit)) - lowest).astype(np.uint8)
    return Dequantised(array, np.array(unit, np.float32), np.array(-lowest, np.uint8), behind=sources_of(value))


def gridded(operator: Callable[[Any], Value | list[Value]]) -> Callable[[Any], Value | list[Value]]:
    """Return an operator whose operands may be such functions."""
    return lambda call: operator(replace(call, inputs=[_integers(v) for v in call.inputs]))


__all__ = ["gridded"]
