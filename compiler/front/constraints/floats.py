"""Float operations with nothing quantised in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.front.state.values import Const, Real, RealConst
from compiler.ir.expression import MOST_DIGITS


def broadcast_shapes(a: Sequence[int], b: Sequence[int]) -> bool:
    """The operands' shapes must broadcast."""
    return len(a) == len(b)


def finite_constant(numbers: np.ndarray) -> bool:
    """A constant operand must be of finite float32 numbers, or quantised to 8 bits."""
    return bool(np.isfinite(numbers).all())


def computed_divisor(value: object) -> bool:
    """A divisor must be a constant, come from DequantizeLinear of an 8-bit tensor, or be a function of the one that the dividend depends on."""
    return isinstance(value, Const | RealConst | Real)


def usable_quotient(*scales: float) -> bool:
    """The scales of a dividend and of a computed divisor must be float32 numbers from 2^-32 to 2^32."""
    return all(2.0**-32 <= scale <= 2.0**32 for scale in scales)


def most_digits_of_constant(count: int) -> bool:
    """A float constant of more than 256 numbers that is neither one nor one a channel must be at most 8 tables of 255 numbers and digits of others."""
    return count <= MOST_DIGITS


def moved_together(fits: bool) -> bool:
    """Float operations on several results that Transpose, Concat or Split have moved must find them moved in the same way."""
    return fits


def unmoved_floats(fits: bool) -> bool:
    """Float results behind ConvTranspose, or that Transpose, Concat or Split have moved, must be quantised before they leave the network: put QuantizeLinear
    and DequantizeLinear in front of the output."""
    return fits


def most_copies(count: int) -> bool:
    """A result that nothing quantises must be repeated at most 16 times in front of float operations."""
    return count <= 16


def bounded_repetition(fits: bool) -> bool:
    """A result that nothing quantises and that is repeated beside a larger one must be of sums, products, functions and results of Conv, Gemm or MatMul: else
    put QuantizeLinear and DequantizeLinear behind it."""
    return fits


def bounded_window(fits: bool) -> bool:
    """What nothing has quantised in front of AveragePool must be sums, products, functions and results of Conv, Gemm or MatMul, no quotient by a computed
    number."""
    return fits


def known_condition(fits: bool) -> bool:
    """What Where decides by must be a constant, or a function of one 8-bit tensor."""
    return fits


def bounded_operand(fits: bool) -> bool:
    """What nothing has quantised in front of Softmax must be sums, products, functions and results of Conv, Gemm or MatMul of at most 2^40."""
    return fits


def usable_addend(numbers: np.ndarray) -> bool:
    """A constant in a sum of three and more must be of numbers that are 0 or from 2^-64 to 2^64 in magnitude."""
    size = np.abs(numbers)
    return bool(np.all((size == 0) | ((size >= 2.0**-64) & (size <= 2.0**64))))


def most_operands(count: int) -> bool:
    """Float operations with nothing quantised in between must have at most 64 operands: tensors, products and constants together."""
    return count <= 64


def usable_function(numbers: np.ndarray) -> bool:
    """A float function of a tensor that meets another tensor must give numbers that are 0 or from 2^-64 to 2^64 in magnitude."""
    return usable_addend(numbers)


def usable_sums(scales: np.ndarray) -> bool:
    """The scales of a product that is an operand of float operations must be at most 2^64."""
    return bool(np.all(np.abs(scales) <= 2.0**64))


def whole_product(fits: bool) -> bool:
    """A product that is an operand of float operations, with nothing quantised in between, must have the shape of the result."""
    return fits


def equal_sides(slope: np.ndarray) -> bool:
    """The slopes of PRelu must be all at most 1 or all at least 1."""
    return bool(np.all(slope <= 1) or np.all(slope >= 1))
