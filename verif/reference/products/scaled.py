"""A product times a positive constant, or over one, before it is quantised: float32(float32(constant * s_a) * s_b) is its scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verif.reference.values import Sum, Value


def scaled(other: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return Mul or Div, given its definition for all other operands."""

    def operator(call: Any) -> Value:
        a, b = call.value(0), call.value(1)
        if call.node.op_type == "Mul" and isinstance(b, Sum):
            a, b = b, a
        if not isinstance(a, Sum) or "number" not in a.takes or a.factors is None or not b.constant or np.unique(b.real()).size != 1:
            return other(call)
        number = b.real().astype(np.float32).flat[0]
        if not 2.0**-64 <= number <= 2.0**64 or np.broadcast_shapes(b.array.shape, a.array.shape[1:]) != a.array.shape[1:]:
            return other(call)
        first, second = (number if call.node.op_type == "Mul" else np.float32(1) / number) * a.factors[0], a.factors[1]
        scale = np.broadcast_to(first * second, a.scale.size).reshape(a.scale.shape)
        return replace(a, scale=scale, factors=(first, second), takes=a.takes if "numbers" in a.takes else a.takes - {"number"})

    return operator


__all__ = ["scaled"]
