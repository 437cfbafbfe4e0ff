"""Products: weights, biases, windows, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.front.state.values import Const, Real, RealConst


def kernel_of_weights(given: Sequence[int], kernel: Sequence[int]) -> bool:
    """The kernel_shape must be that of the weights, or be left out."""
    return list(given) == list(kernel)


def constant_weights(value: object) -> bool:
    """The weights must be constant int8 or uint8 values (behind DequantizeLinear in QDQ models)."""
    return isinstance(value, RealConst) and value.array.dtype in (np.int8, np.uint8)


def usable_weight_scale(scale: np.ndarray) -> bool:
    """Weight scales must be finite float32 numbers that are not negative."""
    return bool(np.all((scale >= 0) & np.isfinite(scale)))


def constant_bias(value: object) -> bool:
    """The bias must be a constant."""
    return isinstance(value, Const | RealConst | None)


def bias_fits(steps: np.ndarray) -> bool:
    """A bias must fit into int32 in steps of x_scale * w_scale."""
    return bool(np.all(np.abs(steps) < 2.0**31))


def channel_bias(shape: Sequence[int], channels: int, axis_from_end: int) -> bool:
    """The bias must have one value for all or one an output channel."""
    size = int(np.prod(shape)) if shape else 1
    at = len(shape) - axis_from_end
    return size == 1 or (size == channels and 0 <= at < len(shape) and shape[at] == channels)


def finite_requantisation(scales: np.ndarray) -> bool:
    """The requantisation scale x_scale * w_scale / y_scale must be a finite float32 number.

    A subnormal one, of a channel that training has switched off, is as good as zero: 2^31 times it is less than a half.
    """
    return bool(np.isfinite(scales).all())


def two_dimensions_at_most(rank: int) -> bool:
    """Convolution and pooling windows must have one or two spatial dimensions."""
    return rank in (3, 4)


def three_dimensions_at_most(rank: int) -> bool:
    """Convolution windows must have one, two or three spatial dimensions."""
    return rank in (3, 4, 5)


def padding_not_negative(pads: Sequence[int]) -> bool:
    """Padding must not be negative."""
    return min(pads, default=0) >= 0


def windows_touch_input(divisors: np.ndarray) -> bool:
    """Every pooling window must touch the input."""
    return bool((divisors > 0).all())


def output_not_empty(sizes: Sequence[int]) -> bool:
    """The window must fit into the padded input."""
    return min(sizes, default=1) >= 1


def usable_alpha(alpha: float) -> bool:
    """Gemm's alpha must be a finite number other than 0."""
    return alpha != 0 and bool(np.isfinite(alpha))


def batched_weights(fits: bool) -> bool:
    """Constant matrices must be one, or as many as there are in the other operand."""
    return fits


def matrix_weights(rank: int) -> bool:
    """The right side must be a two-dimensional constant."""
    return rank == 2


def quantised_activation(value: object) -> bool:
    """The activation of MatMulNBits must come from DequantizeLinear of an 8-bit tensor: put QuantizeLinear and DequantizeLinear in front of it, with the
    scale of its range."""
    return isinstance(value, Real)


def packed_weights(bits: int, fits: bool) -> bool:
    """The weights of MatMulNBits must be constants of 2, 4 or 8 bits, (N, blocks, bytes), with a scale and at most one whole zero point a block."""
    return bits in (2, 4, 8) and fits


def equal_windows(divisors: np.ndarray) -> bool:
    """Windows over a sum that nothing has quantised must average as many elements each (count_include_pad, or no padding)."""
    return bool(np.all(np.asarray(divisors) == np.asarray(divisors).flat[0]))


def one_value_a_channel(fits: bool) -> bool:
    """BatchNormalization must have one value a channel, channels being the second axis."""
    return fits


#: ONNX's numbers of types.


def product_of_two(fits: bool) -> bool:
    """Einsum must multiply two operands, or sum or transpose one; an index once in an operand, what is summed in both of them."""
    return fits
