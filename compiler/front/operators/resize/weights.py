"""Interpolation along one axis as integer weights: each element of the result is a sum of weights times elements of the input, over a denominator.

Linear weights are those of the coordinates as fractions, over the least denominator of all, where that is at most LARGEST_DENOMINATOR: exact. All others
are multiples of 1 / LARGEST_DENOMINATOR: of the float64 weights in the order of the input the sums so far are rounded, half to even, and each weight is
what its sum exceeds the one before by. So the weights of an element sum up to 1.

What lies outside has the weights of the element at the edge, or (exclude_outside) none, and the others sum up to 1. With antialias the filter is as much
wider as the axis shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from compiler.front.constraints import small_weights
from compiler.front.operators.resize.coordinates import cropped, fractions
from compiler.front.operators.resize.reading import Axis, Resizing
from compiler.front.state.onnx_node import OnnxNode

LARGEST_DENOMINATOR = 1 << 14
#: Half the width of each filter, in elements of the input.
REACH = {"linear": 1, "cubic": 2}


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights int32 (out, size) over `denominator`; the elements whose coordinates lie `outside`, bool (out,)."""

    matrix: np.ndarray
    denominator: int
    outside: np.ndarray

    @property
    def largest(self) -> int:
        """Greatest sum of an element's weights in magnitude."""
        return int(np.abs(self.matrix.astype(np.int64)).sum(1).max())


def _filter(mode: str, a: float, x: np.ndarray) -> np.ndarray:
    """The filter's float64 values at these distances."""
    x = np.abs(x)
    if mode == "linear":
        return np.maximum(1 - x, 0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _at(resizing: Resizing, axis: Axis) -> list[tuple[int, float]]:
    """Each coordinate as a whole number and a part from 0 to 1."""
    if resizing.crops:
        at = cropped(axis.out, axis.size, *axis.roi).astype(np.float64)
        return [(int(np.floor(v)), float(v - np.floor(v))) for v in at]
    parts = ((*divmod(v.numerator, v.denominator), v.denominator) for v in fractions(resizing.coordinates, axis.ratio, axis.out, axis.size))
    return [(whole, rest / denominator) for whole, rest, denominator in parts]


def _exact(resizing: Resizing, axis: Axis) -> Weights | None:
    """Linear weights of fractions; None where they have no small denominator in common."""
    at = fractions(resizing.coordinates, axis.ratio, axis.out, axis.size)
    denominator = lcm(*(v.denominator for v in at))
    if denominator > LARGEST_DENOMINATOR:
        return None
    matrix = np.zeros((axis.out, axis.size), np.int32)
    for y, v in enumerate(at):
        whole, rest = divmod(v.numerator * (denominator // v.denominator), denominator)
        matrix[y, min(max(whole, 0), axis.size - 1)] += denominator - rest
        matrix[y, min(max(whole + 1, 0), axis.size - 1)] += rest
    return Weights(matrix, denominator, np.zeros(axis.out, bool))


def weights_of(node: OnnxNode, resizing: Resizing, axis: Axis) -> Weights:
    """Return the weights of an axis."""
    if resizing.mode == "linear" and not resizing.antialias and not resizing.crops:
        exact = _exact(resizing, axis)
        if exact is not None:
            return exact
    shrink = min(1.0, float(axis.ratio)) if resizing.antialias else 1.0
    reach = int(np.ceil(REACH[resizing.mode] / shrink))
    places = _at(resizing, axis)
    rows = np.zeros((axis.out, axis.size))
    outside = np.zeros(axis.out, bool)
    for y, (whole, part) in enumerate(places):
        taps = np.arange(-reach, reach + 2)
        values = _filter(resizing.mode, resizing.cubic_a, (taps - part) * shrink)
        inside = (whole + taps >= 0) & (whole + taps < axis.size)
        values = np.where(inside, values, 0) if resizing.exclude_outside else values
        total = values.sum()
        outside[y] = resizing.crops and not 0 <= whole + part <= axis.size - 1
        node.require(small_weights, outside[y] or abs(total) > 1e-3, found=f"weights that sum up to {total:.3g}")
        np.add.at(rows[y], np.clip(whole + taps, 0, axis.size - 1), 0 if outside[y] else values / total)
    matrix = np.diff(np.rint(np.cumsum(rows, 1) * LARGEST_DENOMINATOR), axis=1, prepend=0)
    largest = np.abs(matrix).sum(1).max()
    found = f"weights of {largest / LARGEST_DENOMINATOR:.3g} with cubic_coeff_a {resizing.cubic_a:.3g}"
    node.require(small_weights, largest <= 2 * LARGEST_DENOMINATOR, found=found)
    return Weights(matrix.astype(np.int32), LARGEST_DENOMINATOR, outside)


__all__ = ["LARGEST_DENOMINATOR", "Weights", "weights_of"]
