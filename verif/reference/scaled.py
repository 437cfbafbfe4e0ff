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
        if not isinstance(a, Sum) or a.factors is None or not b.constant or np.unique(b.real()).size != 1 or b.real().flat[0] <= 0:
            return other(call)
        number = b.real().astype(np.float32).flat[0]
        first, second = a.factors
        scale = (number if call.node.op_type == "Mul" else np.float32(1) / number) * first * second
        return replace(a, scale=np.broadcast_to(scale, a.scale.size).reshape(a.scale.shape), axis_from_end=0, factors=None)

    return operator


__all__ = ["scaled"]
