"""Rule: Averages and sums over rows and columns of floats that no QuantizeLinear follows, as a quantiser leaves them behind HardSwish or a residual Add.

    x -> DQ -> HardSwish -> ReduceMean -> Q
    Relu(Add(dq a, dq b)) -> GlobalAveragePool -> Q

The floats are rounded to multiples of a unit u between their least and greatest number, in two digits of base 255, each 8 bits:

    digits high --+
    digits low  --+- Move: one above the other - Conv, weights 255 and 1, over both - y

y = clip(round_half_even(float32(float32(sum of multiples) * scale)) + y_zero), scale = float32(float32(u * float32(1/n)) / y_scale) for n elements, for
a sum float32(u / y_scale). A function of one tensor has 65025 multiples, from round(least / u) on, each digit a table of its own. Operations s on
several tensors: `compiler.front.floats.reductions.window_averages`.
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.front.constraints import bias_fits, finite_requantisation, finite_values
from compiler.front.floats.reductions.digits import BASE
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Quantisation, Shape, Table
from compiler.ir.network import Conv, Move, Shape4, Unary


def levels(floats: np.ndarray) -> tuple[np.ndarray, int, np.float32]:
    """Return (level of each value, 0..65024; the lowest level's number b; u): value = (level + b) * u, to within u / 2."""
    low, high = float(floats.min()), float(floats.max())
    step = np.float32((high - low) / (BASE * BASE - 1)) if high > low else np.float32(abs(high) or 1)
    numbers = np.rint(floats.astype(np.float32) / step).astype(np.int64)
    first = int(np.rint(np.float32(low) / step))
    return np.clip(numbers - first, 0, BASE * BASE - 1), first, step


def _summed(node: OnnxNode, digits: tuple[str, ...], view: Shape4, over: tuple[int, ...], first: int, unit: np.float32, target: Quantisation,
            origin: tuple[str, ...], *, mean: bool) -> str:  # fmt: skip
    """Add the sum, or average, over axes of `view` (H, W or both) of the high and low digits; `first`: what each pair of them is less than its number."""
    builder, channels = node.builder, view[1]
    axis = 2 if 2 in over else 3
    size: list[int] = [view[i] if i in over else 1 for i in (2, 3)]
    weight = np.full((channels, 1, *(2 * s if axis == i + 2 else s for i, s in enumerate(size))), BASE, np.uint8)
    weight[(slice(None),) * axis + (slice(view[axis], None),)] = 1
    numbers = np.arange(2 * prod(view)).reshape(2, *view)
    stacked = builder.tensor(f"{target.name}/digits", tuple(2 * d if i == axis else d for i, d in enumerate(view)), "u8")  # type: ignore[arg-type]
    builder.node(f"digits of {target.name}", Move(np.concatenate(list(numbers), axis=axis)), digits, stacked, origin)
    attrs = Conv(
        weight=weight, bias=np.full(channels, prod(size) * first, np.int32), x_scale=float(unit), x_zero=0,
        w_scale=np.array([1 / prod(size) if mean else 1], np.float32), w_zero=0, y_scale=target.scale, y_zero=target.zero, group=channels,
        y_low=target.low, y_high=target.high,
    )  # fmt: skip
    node.require(finite_requantisation, attrs.scale, found=f"{attrs.scale[0]}")
    out_view: Shape4 = tuple(1 if i in over else d for i, d in enumerate(view))  # type: ignore[assignment]
    out = builder.tensor(target.name, out_view, target.dtype, target.scale, target.zero)
    return builder.node(node.label, attrs, (stacked,), out, origin)


def average_of_function(node: OnnxNode, value: Table, view: Shape4, over: tuple[int, ...], shape: Shape, *, mean: bool) -> Pending:
    """Return the average, or the sum, over the axes `over` (H, W or both) of `view`."""
    builder = node.builder
    node.require(finite_values, np.where(np.isfinite(value.floats), value.floats, np.nan), found=f"a number that is infinite in {node.name_of(0)}")
    level, first, unit = levels(value.floats)
    count = prod(view[i] for i in over)
    node.require(bias_fits, np.array([count * (abs(first) + BASE * BASE)]), found=f"{count} elements")

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        source = builder.view(value.tensor, view)
        digits = []
        for name, digit in (("high", level // BASE), ("low", level % BASE)):
            tensor = builder.tensor(f"{target.name}/{name}", view, "u8")
            digits.append(builder.node(f"{name} digit of {tensor}", Unary(digit.astype(np.uint8)), (source,), tensor, origin))
        return _summed(node, tuple(digits), view, over, first, unit, target, origin, mean=mean)

    return Pending(shape, (*value.origin, node.label), emit)


__all__ = ["average_of_function", "levels"]
