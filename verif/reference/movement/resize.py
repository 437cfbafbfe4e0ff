"""Resize by interpolation, by definition: one axis after the other, in integers.

Order        First the axes that get shorter, from the last to the first, then the others, from the first to the last.

Weights      of a linear interpolation the fractions that they are, over the least denominator Q of an axis, if it is at most 2^14. Others (cubic, with
             antialias, of a region of interest, of larger denominators) over Q = 2^14: the weights of an element, exact fractions in the order of the
             input, are added up, the sums rounded half to even to multiples of 1/Q, and their differences are the weights.
Coordinates  exact fractions of the scale. A scale given as a float32 number is the fraction p/q with q <= 1024 that rounds to it, if there is one, else
             itself; sizes are the fraction of both. Those of tf_crop_and_resize are float32, in the order of ONNX's text.
Sums         S of an axis is the sum of weights times numbers, the first numbers being x - zero. Of all axes but the last one done, T =
             round_half_even(float32(S) / 2^s) are the next numbers, with the least s for which N L <= 65534 * 2^s: L is the greatest sum of the
             magnitudes of an element's weights, N is 255 for the first axis and then N L / 2^s, rounded up. Nothing rounds where Q <= 256 (s = 0).
Result       QuantizeLinear of the last S, with the scale float32(s_x * float32(2^(all s) / (product of all Q))): one rounding to float32, one to a byte.

An axis of one element, and no region of interest, repeats that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Any

import numpy as np

from verif.reference.movement.movement import Moved
from verif.reference.products.sums import wrap
from verif.reference.values import Dequantised, Plain, Sum, Value

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")
FIXED = 1 << 14


@dataclass(frozen=True)
class Line:
    """An axis that is resized: its number, length before and after, the scale as a float32 number and as a fraction, the region of interest."""

    axis: int
    length: int
    out: int
    factor: np.float32
    scale: Fraction
    region: tuple[np.float32, np.float32] | None


def _word(call: Any, name: str, default: str, known: Iterable[str]) -> str:
    word = call.attributes.get(name, default.encode()).decode()
    if word not in known:
        raise call.refuse(f"{name} {word}")
    return word


def lines_of(call: Any, shape: tuple[int, ...]) -> list[Line]:
    """Return the axes of an input of this shape (of one sample) that change, after a look at every attribute that says how."""
    mode = _word(call, "mode", "nearest", ("nearest", "linear", "cubic"))
    coordinates = _word(call, "coordinate_transformation_mode", "half_pixel", COORDINATES)
    _word(call, "nearest_mode", "round_prefer_floor", ROUNDINGS)
    policy = _word(call, "keep_aspect_ratio_policy", "stretch", POLICIES)
    antialias, exclude = (call.attributes.get(name, 0) for name in ("antialias", "exclude_outside"))
    if mode == "nearest" and (antialias or exclude):
        raise call.refuse("antialias or exclude_outside of nearest neighbours")
    named = list(call.attributes.get("axes", range(len(shape))))
    axes = [a % len(shape) for a in named]
    if len(set(axes)) < len(axes) or any(not -len(shape) <= a < len(shape) for a in named):
        raise call.refuse(f"axes {named} of {len(shape)}")
    lengths = [shape[axis] for axis in axes]
    sizes, scales = (call.number(i).reshape(-1) if call.optional(i) is not None else np.zeros(0) for i in (3, 2))
    if len(axes) not in (sizes.size, scales.size) or (sizes.size and scales.size):
        raise call.refuse(f"{sizes.size} sizes and {scales.size} scales for {len(axes)} axes")
    if sizes.size:
        wanted = [int(s) for s in sizes]
        fractions = [Fraction(w, n) for w, n in zip(wanted, lengths, strict=True)]
        factors = [np.float32(w) / np.float32(n) for w, n in zip(wanted, lengths, strict=True)]
        if policy != "stretch":
            pick = min if policy == "not_larger" else max
            fractions, factors = [pick(fractions)] * len(axes), [pick(factors)] * len(axes)
            wanted = [int(np.floor(f * np.float32(n) + np.float32(0.5))) for f, n in zip(factors, lengths, strict=True)]
    else:
        factors = [np.float32(s) for s in scales]
        wanted = [int(np.floor(np.float32(n) * f)) for n, f in zip(lengths, factors, strict=True)]
        if not all(0 < f < np.inf for f in factors):
            raise call.refuse(f"scales {factors}")
        fractions = [_plainest(f) for f in factors]
    region = None
    if coordinates == "tf_crop_and_resize":
        region = call.number(1).astype(np.float32)
        if region.size != 2 * len(axes) or not np.isfinite(region).all():
            raise call.refuse(f"a region of interest {region.tolist()} for {len(axes)} axes")
        region = region.reshape(2, -1)
    found = []
    for i, axis in enumerate(axes):
        roi = None if region is None else (region[0, i], region[1, i])
        if wanted[i] < 1:
            raise call.refuse(f"{wanted[i]} elements on axis {axis}")
        if roi is not None and factors[i] == 1 and roi != (0, 1):
            raise call.refuse(f"a region of interest on axis {axis}, whose scale is 1 (onnxruntime does not crop it)")
        if (wanted[i], factors[i]) != (lengths[i], 1):
            found.append(Line(axis, lengths[i], wanted[i], factors[i], fractions[i], roi))
    idle = [w == n and f != 1 for w, n, f in zip(wanted, lengths, factors, strict=True)]
    if any(idle) and (wanted == lengths or antialias):
        raise call.refuse("scales that change no size (onnxruntime copies)")
    return found


def _plainest(scale: np.float32) -> Fraction:
    exact = Fraction(scale.item())
    near = exact.limit_denominator(1024)
    return near if np.float32(near.numerator / near.denominator) == scale else exact


def region_coordinates(line: Line) -> np.ndarray:
    """Return the coordinates of tf_crop_and_resize, float32 (out,)."""
    assert line.region is not None, "a region of interest"
    start, end = line.region
    last = np.float32(line.length - 1)
    if line.out == 1:
        return np.array([np.float32(0.5) * (start + end) * last])
    return np.array([start * last + np.float32(i) * (end - start) * last / np.float32(line.out - 1) for i in range(line.out)], np.float32)


def _coordinate(mode: str, line: Line, i: int) -> Fraction:
    half = Fraction(1, 2)
    match mode:
        case "align_corners":
            return Fraction(i * (line.length - 1), line.out - 1) if line.out > 1 else Fraction(0)
        case "pytorch_half_pixel" if line.out == 1:
            return Fraction(0)
        case "asymmetric":
            return i / line.scale
        case "tf_half_pixel_for_nn":
            return (i + half) / line.scale
        case "half_pixel_symmetric":
            offset = Fraction(line.length, 2) * (1 - line.out / (line.scale * line.length))
            return offset + (i + half) / line.scale - half
    return (i + half) / line.scale - half


def _kernel(mode: str, a: Fraction, distance: Fraction) -> Fraction:
    x = abs(distance)
    if mode == "linear":
        return max(1 - x, Fraction(0))
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else Fraction(0)


def _weights(call: Any, line: Line, mode: str, a: Fraction) -> tuple[np.ndarray, int, np.ndarray]:
    """Return integers (out, length), their denominator, and which elements lie outside the region of the input, bool (out,)."""
    if line.region is None:
        at = [_coordinate(call.attributes.get("coordinate_transformation_mode", b"half_pixel").decode(), line, i) for i in range(line.out)]
        outside = np.zeros(line.out, bool)
    else:
        at = [Fraction(c.item()) for c in region_coordinates(line)]
        outside = np.array([not 0 <= c <= line.length - 1 for c in at])
    antialias = bool(call.attributes.get("antialias", 0))
    denominator = lcm(*(c.denominator for c in at))
    exact = mode == "linear" and not antialias and line.region is None and denominator <= FIXED
    denominator = denominator if exact else FIXED
    narrow = min(line.scale, Fraction(1)) if antialias else Fraction(1)
    reach = (1 if mode == "linear" else 2) / narrow
    matrix = np.zeros((line.out, line.length), np.int64)
    for i, c in enumerate(at):
        if outside[i]:
            continue
        taps = {k: _kernel(mode, a, (k - c) * narrow) for k in range(ceil(c - reach), floor(c + reach) + 1)}
        if call.attributes.get("exclude_outside", 0):
            taps = {k: w for k, w in taps.items() if 0 <= k < line.length}
        total = sum(taps.values())
        if not total:
            raise call.refuse("weights that sum up to 0")
        row = [Fraction(0)] * line.length
        for k, w in taps.items():
            row[min(max(k, 0), line.length - 1)] += w / total
        so_far, before = Fraction(0), 0
        for k in sorted({min(max(k, 0), line.length - 1) for k in taps}):
            so_far += row[k]
            matrix[i, k] = round(so_far * denominator) - before
            before += int(matrix[i, k])
    return matrix, denominator, outside


def _along(numbers: np.ndarray, matrix: np.ndarray, axis: int) -> np.ndarray:
    """Return the sums of weights times numbers along an axis; exact in float64."""
    return np.moveaxis(np.moveaxis(numbers.astype(np.float64), axis, -1) @ matrix.T.astype(np.float64), -1, axis).astype(np.int64)


def interpolate(call: Any) -> Value:
    """Resize, mode linear or cubic, of a dequantised value."""
    x, mode = call.value(0), call.attributes["mode"].decode()
    if not isinstance(x, Dequantised) or x.scale.size > 1:
        raise call.refuse("an operand that is not dequantised by one scale")
    shape = x.array.shape[1:]
    lines = lines_of(call, shape)
    a = Fraction(np.float32(call.attributes.get("cubic_coeff_a", -0.75)).item())
    fill = Plain(np.array([call.attributes.get("extrapolation_value", 0.0)], np.float32), True)
    for line in [line for line in lines if line.length == 1 and line.region is None]:
        x = replace(x, array=np.repeat(x.array, line.out, line.axis + 1), behind=())
        lines.remove(line)
    if not lines:
        return x
    numbers, scale, most = x.centred().astype(np.int64), Fraction(1), 255
    anywhere = np.zeros([1] * len(shape), bool)
    lines.sort(key=lambda line: (0, -line.axis) if line.out < line.length else (1, line.axis))
    for line in lines:
        matrix, denominator, outside = _weights(call, line, mode, a)
        largest = int(np.abs(matrix).sum(1).max())
        if largest > 2 * FIXED:
            raise call.refuse(f"weights that sum up to {largest / FIXED:.3g} in magnitude")
        anywhere = anywhere | outside.reshape([-1 if a == line.axis else 1 for a in range(len(shape))])
        numbers, scale = _along(numbers, matrix, line.axis + 1), scale / denominator
        if line is not lines[-1]:
            shift = 0
            while most * largest > 65534 << shift:
                shift += 1
            numbers = np.rint(numbers.astype(np.float32).astype(np.float64) / 2**shift).astype(np.int64)
            scale, most = scale * 2**shift, ceil(Fraction(most * largest, 2**shift))
    step = x.scale.reshape(()).astype(np.float32) * np.float32(scale.numerator / scale.denominator)
    result = Sum(wrap(numbers), np.array(step, np.float32), np.ones((), np.float32))
    if not anywhere.any():
        return result
    count = int(np.prod(numbers.shape[1:]))
    index = np.where(anywhere, count, np.arange(count).reshape(numbers.shape[1:]))
    return Moved((result, fill), index)  # type: ignore[return-value]


__all__ = ["Line", "interpolate", "lines_of", "region_coordinates"]
