"""Resize by linear interpolation: convolutions with integer weights, one for each phase of the output, and a movement that interleaves them.

On each axis an output's coordinate in the input is (A y + B) / D in integers, so outputs P = D / gcd(A, D) apart have the same fraction, and
their inputs lie A P / D apart: each such phase is a convolution with two weights, w and D - w, over D. Both axes together have the weights'
products over Dy Dx. Pixels beyond the edge repeat those at the edge, and are put there by a movement first.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from compiler.constraints import known_mode, quantised_operand, small_weights, two_dimensions_at_most
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.movement.resize_dense import Axis, interpolated
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.transposed_convolution import Interleaved
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Real, Value
from compiler.front.state.windows import Window

#: Coordinate of output y for a scale of p / q, as (A, B, D): (A y + B) / D.
COORDINATES = {
    "half_pixel": lambda p, q, _: (2 * q, q - p, 2 * p),
    "pytorch_half_pixel": lambda p, q, out: (2 * q, q - p, 2 * p) if out > 1 else (0, 0, 1),
    "align_corners": lambda p, q, out: (q, 0, p),
    "asymmetric": lambda p, q, _: (q, 0, p),
}
#: A convolution for each phase where the products of both axes' weights are up to the first, and there are no more phases than the second.
#: What has more is `compiler.front.operators.movement.resize_dense`.
LARGEST_WEIGHT = 255
MOST_PHASES = 32
#: Scales that are given as float32 numbers are fractions with denominators up to this.
LARGEST_DENOMINATOR = 64


def _axis(step: Step, mode: str, size: int, out: int, scale: np.float32, *, from_sizes: bool) -> Axis:
    if size == out and scale == 1:
        return Axis(size, out, 1, 0, 1)
    if mode == "align_corners":
        ratio = Fraction(out - 1, size - 1) if size > 1 and out > 1 else Fraction(1)
        a, b, d = COORDINATES[mode](ratio.numerator, ratio.denominator, out) if size > 1 and out > 1 else (0, 0, 1)
    else:
        ratio = Fraction(out, size) if from_sizes else Fraction(float(scale)).limit_denominator(LARGEST_DENOMINATOR)
        step.require(small_weights, abs(float(ratio) - float(scale)) <= 1e-6 * float(scale), found=f"a scale of {scale}")
        a, b, d = COORDINATES[mode](ratio.numerator, ratio.denominator, out)
    least = lcm(*(Fraction(a * y + b, d).denominator for y in range(out)))
    return Axis(size, out, a * least // d if out > 1 else 0, b * least // d, least)


def resize_linear(step: Step, sizes: list[tuple[int, np.float32]]) -> list[Value]:
    """Resize, mode linear, of the last two axes (one for rank 3): `sizes` are size and scale of each axis of the result."""
    value = step.value(0)
    step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real)
    rank = len(value.shape)
    mode = step.attribute("coordinate_transformation_mode", b"half_pixel").decode()
    step.require(known_mode, mode, COORDINATES, found=f"coordinate_transformation_mode {mode}")
    resized = [(d, np.float32(1)) != pair for d, pair in zip(value.shape, sizes, strict=True)]
    step.require(two_dimensions_at_most, 5 if any(resized[:2]) else rank, found=f"a change of {value.shape} to {tuple(s for s, _ in sizes)}")
    given = step.constant(3) if len(step.values) > 3 else None
    from_sizes = given is not None and given.size > 0
    value, sizes = _widened(step, value, sizes)
    spatial = [_axis(step, mode, d, out, scale, from_sizes=from_sizes) for d, (out, scale) in zip(value.shape[2:], sizes[2:], strict=True)]
    axes = [Axis(1, 1, 1, 0, 1)] * (2 - len(spatial)) + spatial
    parts = [a.phases() for a in axes]
    largest = max(max(w) for _, w in parts[0]) * max(max(w) for _, w in parts[1])
    fits = largest <= LARGEST_WEIGHT and len(parts[0]) * len(parts[1]) <= MOST_PHASES and all(a.stride > 0 or a.out == 1 for a in axes)
    if not fits:
        return [interpolated(step, value, axes, tuple(out for out, _ in sizes))]
    source = _with_edges(step, value, axes)
    channels = value.shape[1]
    whole = axes[0].d * axes[1].d
    products, places = [], []
    view = default_view(source.shape)
    for y, rows in parts[0]:
        for x, columns in parts[1]:
            weight = np.broadcast_to(np.outer(rows, columns).astype(np.uint8), (channels, 1, len(rows), len(columns)))
            strides = (max(axes[0].stride, 1), max(axes[1].stride, 1))
            window = Window((len(rows), len(columns)), strides, (1, 1), (0, 0, 0, 0), (y.out, x.out), rank)
            out = (view[0], channels, y.out, x.out)
            products.append(Product(
                step=step, tensor=source.tensor, view=view, x_scale=value.scale, x_zero=value.zero, weight=np.ascontiguousarray(weight),
                w_scale=np.array([1 / whole], np.float32), w_zero=0, out_view=out, shape=window.onnx_shape(*out[:2]), axis_from_end=rank - 1,
                window=window, group=channels,
            ))  # fmt: skip
            places.append((y, x))
    out_view = (view[0], channels, axes[0].out, axes[1].out)
    shape = tuple(out for out, _ in sizes)
    return [Interleaved(tuple(products), tuple(places), (axes[0].period, axes[1].period), out_view, shape).pending()]


def _widened(step: Step, value: Real, sizes: list[tuple[int, np.float32]]) -> tuple[Real, list[tuple[int, np.float32]]]:
    """Repeat the only pixel of an axis, which all its outputs are; return the value and the sizes, with scales of 1 there."""
    alone = [d == 1 and out > 1 for d, (out, _) in zip(value.shape, sizes, strict=True)]
    if not any(alone):
        return value, sizes
    shape = tuple(out if one else d for d, (out, _), one in zip(value.shape, sizes, alone, strict=True))
    result = moved(step, [value], np.broadcast_to(numbered([value])[0], shape), name=f"{step.output}/repeated")
    assert isinstance(result, Real), "movement keeps the quantisation"
    return result, [(out, np.float32(1)) if one else (out, scale) for (out, scale), one in zip(sizes, alone, strict=True)]


def _with_edges(step: Step, value: Real, axes: list[Axis]) -> Real:
    """The input with its edge pixels repeated as often as the outputs need them."""
    (numbers,) = numbered([value])
    view = numbers.reshape(default_view(value.shape))
    padded = np.pad(view, ((0, 0), (0, 0), axes[0].edges, axes[1].edges), mode="edge")
    if padded.size == view.size:
        return value
    shape = (*value.shape[:2], *padded.shape[-(len(value.shape) - 2) :])
    result = moved(step, [value], padded.reshape(shape), name=f"{step.output}/edges")
    assert isinstance(result, Real), "movement keeps the quantisation"
    return result


__all__ = ["resize_linear"]
