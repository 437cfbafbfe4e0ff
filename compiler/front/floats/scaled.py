"""A product times a positive constant, or over one, before anything quantises it: the constant joins the scale of the operand.

    MatMul(dq a, dq b) -> Div by 8 -> Q         scale float32(float32(float32(1/8) * s_a) * s_b)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.floats.tables import scalar_of
from compiler.front.state.step import Step
from compiler.front.state.values import Pending


def scaled(step: Step) -> Pending | None:
    """Return the product; None where the node is none of these."""
    if step.op not in ("Mul", "Div") or len(step.values) != 2:
        return None
    first, second = step.values
    if step.op == "Mul" and isinstance(second, Pending):
        first, second = second, first
    number = scalar_of(second)
    if not isinstance(first, Pending) or first.scaled is None or number is None or second is None or not 2.0**-64 <= number <= 2.0**64:
        return None
    if np.broadcast_shapes(first.shape, second.shape) != first.shape:  # type: ignore[arg-type]
        return None
    factor = np.float32(number) if step.op == "Mul" else np.float32(1) / np.float32(number)
    return replace(first, emit=first.scaled(float(factor)), bias=None, scaled=None, origin=(*first.origin, step.label))


__all__ = ["scaled"]
