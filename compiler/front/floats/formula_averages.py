"""Averages over rows and columns of float operations that nothing has quantised: the end of a residual network quantised at its products alone.

    Relu(Add(dq a, dq b)) -> GlobalAveragePool -> Q

The result s of the operations lies between bounds that those of their operands give. It is rounded to multiples of u = float32((high - low) / (255 * 254)),
in two digits, each an Expression node of its own:

    h = saturate(round_half_even(s / w) + z),            w = float32(255 u),    z = -round_half_even(low / w)
    l = saturate(round_half_even((s - (h - z) w) / u) + 128)
    y = clip(round_half_even(float32(sum of 255 (h - z) + l - 128) * scale) + y_zero),      scale = float32(float32(u * float32(1/n)) / y_scale)

all steps in float32. The sum is a convolution over both digits, one above the other, with weights 255 and 1.
"""

from __future__ import annotations

import numpy as np

from compiler.constraints import bias_fits, finite_requantisation, usable_scale
from compiler.front.floats.expressions import Formula, Operation, expression, formula_of
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quantisation, Real, RealConst, Shape, Table
from compiler.ir.graph import Conv, Move

BASE = 255


def bounds(formula: Formula) -> tuple[float, float]:
    """Return (least, greatest) that the operations can give, in float64, from the bounds of their operands."""
    if isinstance(formula, Operation):
        (a, b), (c, d) = bounds(formula.a), bounds(formula.b)
        match formula.kind:
            case "ADD":
                return a + c, b + d
            case "SUB":
                return a - d, b - c
            case "MUL":
                ends = (a * c, a * d, b * c, b * d)
                return min(ends), max(ends)
            case "MIN":
                return min(a, c), min(b, d)
        return max(a, c), max(b, d)
    if isinstance(formula, Real | Table):
        numbers = formula.values()
    else:
        assert isinstance(formula, Const | RealConst)
        numbers = formula.real() if isinstance(formula, RealConst) else formula.array.astype(np.float32)
    return float(numbers.min()), float(numbers.max())


def average_of_formula(step: Step, value: Pending, axes: tuple[int, ...], shape: Shape, *, mean: bool) -> Pending | None:
    """Return the average, or the sum, of float operations over rows and columns; None for other results and other axes."""
    formula = formula_of(value)
    if not isinstance(formula, Operation) or len(value.shape) != 4 or axes != (2, 3):
        return None
    n, channels, rows, columns = value.shape
    low, high = bounds(formula)
    unit = np.float32((high - low) / (BASE * (BASE - 1))) if high > low else np.float32(abs(high) or 1)
    wide = np.float32(BASE) * unit
    step.require(usable_scale, unit, found=f"{unit}")
    zero = -int(np.rint(np.float32(low) / wide))
    count = rows * columns
    step.require(bias_fits, np.array([count * BASE * (BASE + 1)]), found=f"{count} elements")
    weight = np.full((channels, 1, 2 * rows, columns), BASE, np.uint8)
    weight[:, :, rows:] = 1
    numbers = np.arange(2 * n * channels * count).reshape(2, n, channels, rows, columns)

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        builder = step.builder
        first = Quantisation(f"{target.name}/high", "u8", float(wide), min(max(zero, 0), 255), 0, 255)
        upper = expression(step, formula).emit(first, origin)
        rest = Operation("SUB", formula, Real(upper, value.shape, "u8", first.scale, first.zero))
        lower = expression(step, rest).emit(Quantisation(f"{target.name}/low", "u8", float(unit), 128, 0, 255), origin)
        digits = tuple(builder.view(name, value.shape) for name in (upper, lower))  # type: ignore[arg-type]
        stacked = builder.tensor(f"{target.name}/digits", (n, channels, 2 * rows, columns), "u8")
        builder.node(f"digits of {target.name}", Move(np.concatenate(list(numbers), axis=2)), digits, stacked, origin)
        attrs = Conv(
            weight=weight, bias=np.full(channels, -count * (BASE * first.zero + 128), np.int32), x_scale=float(unit), x_zero=0,
            w_scale=np.array([1 / count if mean else 1], np.float32), w_zero=0, y_scale=target.scale, y_zero=target.zero, group=channels,
            y_low=target.low, y_high=target.high,
        )  # fmt: skip
        step.require(finite_requantisation, attrs.scale, found=f"{attrs.scale[0]}")
        out = builder.tensor(target.name, (n, channels, 1, 1), target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, (stacked,), out, origin)

    return Pending(shape, (*value.origin, step.label), emit)


__all__ = ["average_of_formula", "bounds"]
