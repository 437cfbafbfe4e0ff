"""What a Resize node says: all of its attributes and inputs, and for each axis the sizes before and after and the scale between them.

A scale given as a float32 number stands for the fraction p/q with q up to LARGEST_DENOMINATOR that rounds to it, where there is one, and for itself
otherwise; where sizes are given it is their quotient.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from compiler.front.constraints import (
    changed_by_scale,
    cropped_by_scale,
    elements_left,
    fits_dimensions,
    of_interpolation,
    positive_scale,
)
from compiler.front.state.onnx_node import OnnxNode

LARGEST_DENOMINATOR = 1024
CROP = "tf_crop_and_resize"

_HALF = np.float32(0.5)


@dataclass(frozen=True)
class Axis:
    """One axis: elements before and after, scale as float32 and as the fraction it stands for, start and end of the region of interest."""

    size: int
    out: int
    scale: np.float32
    ratio: Fraction
    roi: tuple[np.float32, np.float32] = (np.float32(0), np.float32(1))

    @property
    def kept(self) -> bool:
        """Whether the axis stays as it is."""
        return self.size == self.out and self.scale == 1


@dataclass(frozen=True)
class Resizing:
    """Attributes of a Resize, and every axis of its input."""

    mode: str
    coordinates: str
    rounding: str
    antialias: bool
    exclude_outside: bool
    cubic_a: float
    extrapolation: float
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        return tuple(axis.out for axis in self.axes)

    @property
    def crops(self) -> bool:
        """Whether coordinates may lie outside, where the result is `extrapolation`."""
        return self.coordinates == CROP


def _fraction(scale: np.float32) -> Fraction:
    near = Fraction(float(scale)).limit_denominator(LARGEST_DENOMINATOR)
    return near if np.float32(float(near)) == scale else Fraction(float(scale))


def _sizes(node: OnnxNode, lengths: list[int]) -> list[tuple[int, np.float32, Fraction]]:
    """Size after, scale and fraction of each of the axes that are resized."""
    scales, sizes = node.constant(2), node.constant(3)
    policy = node.attribute("keep_aspect_ratio_policy", b"stretch").decode()
    count = [a.size for a in (scales, sizes) if a is not None and a.size]
    node.require(fits_dimensions, count == [len(lengths)], found=f"{' and '.join(map(str, count)) or 'no'} scales or sizes for {len(lengths)} axes")
    if sizes is not None and sizes.size:
        wanted = [int(v) for v in sizes.reshape(-1)]
        node.require(elements_left, min(wanted), found=f"sizes {tuple(wanted)}")
        ratios = [Fraction(w, d) for w, d in zip(wanted, lengths, strict=True)]
        factors = [np.float32(w) / np.float32(d) for w, d in zip(wanted, lengths, strict=True)]
        if policy == "stretch":
            return list(zip(wanted, factors, ratios, strict=True))
        least = min if policy == "not_larger" else max
        one = least(factors)
        return [(int(np.floor(one * np.float32(d) + _HALF)), one, least(ratios)) for d in lengths]
    assert scales is not None
    factors = [np.float32(s) for s in scales.reshape(-1)]
    node.require(positive_scale, np.array(factors), found=f"scales {tuple(map(float, factors))}")
    return [(int(np.floor(np.float32(d) * s)), s, _fraction(s)) for d, s in zip(lengths, factors, strict=True)]


def read_resize(node: OnnxNode, shape: tuple[int, ...]) -> Resizing:
    """Return what the node says of an input of this shape; refuses what ONNX does not define, and what it does not mean."""

    mode, coordinates, rounding = (
        node.attribute(name, default).decode()
        for name, default in (("mode", b"nearest"), ("coordinate_transformation_mode", b"half_pixel"), ("nearest_mode", b"round_prefer_floor"))
    )
    antialias, exclude = bool(node.attribute("antialias", 0)), bool(node.attribute("exclude_outside", 0))
    node.require(of_interpolation, mode, antialias, exclude, found=f"mode {mode}, antialias {int(antialias)}, exclude_outside {int(exclude)}")
    named = [int(a) for a in node.attribute("axes", range(len(shape)))]
    listed = [a % len(shape) for a in named if -len(shape) <= a < len(shape)]
    node.require(fits_dimensions, len(set(listed)) == len(named), found=f"axes {named} of {len(shape)}")
    roi = node.constant(1) if coordinates == CROP else np.array([0, 1], np.float32).repeat(len(listed))
    node.require(fits_dimensions, roi is not None and roi.size == 2 * len(listed), found=f"a roi of {0 if roi is None else roi.size} numbers")
    assert roi is not None
    axes = [Axis(d, d, np.float32(1), Fraction(1)) for d in shape]
    bounds = roi.astype(np.float32).reshape(2, -1).T
    for a, (out, scale, ratio), (start, end) in zip(listed, _sizes(node, [shape[a] for a in listed]), bounds, strict=True):
        node.require(elements_left, out, found=f"{out} elements on axis {a}")
        node.require(cropped_by_scale, scale, start, end, found=f"a roi from {start} to {end} on axis {a}")
        axes[a] = Axis(shape[a], out, scale, ratio, (start, end))
    idle = [axis.size == axis.out and axis.scale != 1 for axis in axes]
    copied = any(idle) and (antialias or all(axis.size == axis.out for axis in axes))
    node.require(changed_by_scale, copied, found=f"scales {tuple(float(axis.scale) for axis in axes)} of {shape}")
    return Resizing(
        mode, coordinates, rounding, antialias, exclude, float(node.attribute("cubic_coeff_a", -0.75)), float(node.attribute("extrapolation_value", 0.0)),
        tuple(axes),
    )  # fmt: skip


__all__ = ["CROP", "Axis", "Resizing", "read_resize"]
