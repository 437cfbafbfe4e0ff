"""Averages and sums of a float function that no QuantizeLinear follows, as the quantiser leaves them behind HardSwish or Div.

    x -> DQ -> HardSwish -> ReduceMean -> Q

The function takes 256 values. They are rounded to 65025 levels between the smallest and the largest, u apart, and each level is two
digits of base 255, each a table of its own:

    x -> Unary high --+
    x -> Unary low  --+- Move: one above the other - Conv, weights 255 and 1, over both - y

With b = round(smallest / u) and n elements: y = clip(round_half_even(float32(float32(n b + sum of levels) * scale)) + y_zero), scale =
float32(float32(u * float32(1/n)) / y_scale), for a sum float32(u / y_scale).
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.constraints import bias_fits, finite_requantisation, finite_values
from compiler.front.state.step import Step
from compiler.front.state.values import Pending, Quantisation, Shape, Table
from compiler.ir.graph import Conv, Move, Shape4, Unary

BASE = 255


def levels(floats: np.ndarray) -> tuple[np.ndarray, int, np.float32]:
    """Return (level of each value, 0..65024; the lowest level's number b; u): value = (level + b) * u, to within u / 2."""
    low, high = float(floats.min()), float(floats.max())
    step = np.float32((high - low) / (BASE * BASE - 1)) if high > low else np.float32(abs(high) or 1)
    numbers = np.rint(floats.astype(np.float32) / step).astype(np.int64)
    first = int(np.rint(np.float32(low) / step))
    return np.clip(numbers - first, 0, BASE * BASE - 1), first, step


def average_of_function(step: Step, value: Table, view: Shape4, over: tuple[int, ...], shape: Shape, *, mean: bool) -> Pending:
    """Return the average, or the sum, over the axes `over` (H, W or both) of `view`."""
    builder = step.builder
    step.require(finite_values, np.where(np.isfinite(value.floats), value.floats, np.nan), found=f"a number that is infinite in {step.name_of(0)}")
    level, first, unit = levels(value.floats)
    axis = 2 if 2 in over else 3
    size: list[int] = [view[i] if i in over else 1 for i in (2, 3)]
    count, channels = prod(size), view[1]
    step.require(bias_fits, np.array([count * (abs(first) + BASE * BASE)]), found=f"{count} elements")
    doubled = [2 * s if axis == i + 2 else s for i, s in enumerate(size)]
    weight = np.full((channels, 1, *doubled), BASE, np.uint8)
    weight[(slice(None),) * axis + (slice(view[axis], None),)] = 1
    both: Shape4 = tuple(2 * d if i == axis else d for i, d in enumerate(view))  # type: ignore[assignment]
    out_view: Shape4 = tuple(1 if i in over else d for i, d in enumerate(view))  # type: ignore[assignment]
    numbers = np.arange(2 * prod(view)).reshape(2, *view)

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        source = builder.view(value.tensor, view)
        digits = []
        for name, digit in (("high", level // BASE), ("low", level % BASE)):
            tensor = builder.tensor(f"{target.name}/{name}", view, "u8")
            digits.append(builder.node(f"{name} digit of {tensor}", Unary(digit.astype(np.uint8)), (source,), tensor, origin))
        stacked = builder.tensor(f"{target.name}/digits", both, "u8")
        builder.node(f"digits of {target.name}", Move(np.concatenate(list(numbers), axis=axis)), tuple(digits), stacked, origin)
        attrs = Conv(
            weight=weight, bias=np.full(channels, count * first, np.int32), x_scale=float(unit), x_zero=0,
            w_scale=np.array([1 / count if mean else 1], np.float32), w_zero=0, y_scale=target.scale, y_zero=target.zero, group=channels,
            y_low=target.low, y_high=target.high,
        )  # fmt: skip
        step.require(finite_requantisation, attrs.scale, found=f"{attrs.scale[0]}")
        out = builder.tensor(target.name, out_view, target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, (stacked,), out, origin)

    return Pending(shape, (*value.origin, step.label), emit)


__all__ = ["average_of_function", "levels"]
