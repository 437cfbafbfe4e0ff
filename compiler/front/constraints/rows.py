"""Reductions, normalisations, interpolation."""

from __future__ import annotations

import numpy as np

from compiler.ir.normalise import MOST_SUMMED, POWERS
from compiler.ir.rowwise import MOST_COMPARED


def reducible_axes(fits: bool) -> bool:
    """The reduced axes must lie together so that each of batch, channels, rows and columns is wholly reduced or wholly kept."""
    return fits


def small_weights(fits: bool) -> bool:
    """The weights of an interpolated element must sum up to at most twice 1 in magnitude (cubic_coeff_a from -2), and to 1."""
    return fits


def quadratic_norm(p: int) -> bool:
    """LpNormalization must be by the norm of squares (p = 2)."""
    return p == 2


def least_norm(least: float, added: float) -> bool:
    """The bound of an L2 norm must be at most one step of the input's scale, a number added to it 2^-24 steps."""
    return least <= 1 and added <= 2.0**-24


def of_interpolation(mode: str, antialias: bool, exclude_outside: bool) -> bool:
    """Resize's antialias and exclude_outside must be of an interpolation (mode linear or cubic)."""
    return mode in ("linear", "cubic") or not (antialias or exclude_outside)


def positive_scale(scales: np.ndarray) -> bool:
    """Scales of Resize must be positive numbers."""
    return bool(np.all((scales > 0) & np.isfinite(scales)))


def changed_by_scale(copied: bool) -> bool:
    """Where Resize changes no size, or with antialias not that of an axis, scales must be 1: ONNX interpolates then too, onnxruntime copies."""
    return not copied


def cropped_by_scale(scale: float, start: float, end: float) -> bool:
    """What Resize crops (roi, tf_crop_and_resize) it must scale: onnxruntime crops no axis whose scale is 1, ONNX does; Slice says it plainly."""
    return bool(np.isfinite(start) and np.isfinite(end)) and (scale != 1 or (start, end) == (0, 1))


def reflection_fits(fits: bool) -> bool:
    """Padding by reflection must be smaller than the dimension."""
    return fits


def countable_row(elements: int) -> bool:
    """The axes that Softmax, LayerNormalization, RMSNormalization and LRN reduce must have at most 32768 elements.

    The int32 sums of so many squares of 255, and of as many exponentials of two digits to the base 255, do not overflow.
    """
    return elements <= 1 << 15


def comparable_channels(elements: int) -> bool:
    """ArgMax must compare at most 65025 elements, whose numbers are two digits to the base 255."""
    return elements <= MOST_COMPARED


def countable_group(numbers: int) -> bool:
    """What a GroupNormalization or InstanceNormalization averages must be at most 65536 numbers: 255 times as many are an exact float32."""
    return numbers <= MOST_SUMMED


def equal_groups(groups: int, channels: int) -> bool:
    """The channels of a GroupNormalization must be groups of equal size."""
    return groups >= 1 and channels % groups == 0


def usable_epsilon(steps: float) -> bool:
    """The epsilon of a normalisation must be between 2^-64 and 2^64 times the square of its input's scale."""
    return 2.0**-64 <= steps <= 2.0**64


def reachable_power(beta: float) -> bool:
    """The exponent beta of an LRN must be 0.5, 0.75 or 1."""
    return beta in POWERS


def usable_denominator(bias: float, factor: float) -> bool:
    """The bias of an LRN must be between 2^-64 and 2^64, its alpha times the square of its input's scale between 0 and 2^64."""
    return 2.0**-64 <= bias <= 2.0**64 and 0 <= factor <= 2.0**64


def usable_factors(values: np.ndarray) -> bool:
    """Scale and bias of a normalisation must be float32 numbers of at most 2^64."""
    return bool(np.all(np.abs(values) <= 2.0**64))
