"""Quantisation: types, scales and zero points of operands and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from compiler.front.state.values import Const, Formula, HostFloat, Quant, Real, RealConst, Table, Unquantised

BOOL = 9

_CODES = {2: "u8", 3: "i8", 6: "i32"}


def type_of_zero(output: object, zero: object) -> bool:
    """The output_dtype must be the type of the zero point, where both are given."""
    return output == zero


def quantised_operand(value: object) -> bool:
    """An activation operand must come from DequantizeLinear of an 8-bit tensor."""
    return isinstance(value, Real)


def integer_operand(value: object) -> bool:
    """An activation operand must be an 8-bit integer tensor."""
    return isinstance(value, Quant) and value.dtype in ("i8", "u8")


def quantisable(value: object) -> bool:
    """The input must be a float graph input, a constant, or the result of a supported operator on dequantised 8-bit tensors."""
    return isinstance(value, HostFloat | Formula)


def quantised_output(value: object) -> TypeGuard[Quant | Real | Table]:
    """A graph output must be an integer tensor, a dequantised one, a function of one, or a float result of products, averages, normalisations or operations
    on them, and it must depend on an input.
    """
    return isinstance(value, Quant | Real | Table)


def eight_bits(dtype: object) -> bool:
    """Quantised activations and weights must be int8 or uint8."""
    return dtype in ("i8", "u8")


def constant_parameters(*values: object) -> bool:
    """Scales, zero points and other parameters must be constants."""
    return all(isinstance(v, Const | RealConst | None) for v in values)


def one_scale(scale: np.ndarray, zero: np.ndarray) -> bool:
    """An activation must have one scale and one zero point for the whole tensor."""
    return scale.size == 1 and zero.size == 1


def usable_scale(scale: np.ndarray) -> bool:
    """Scales must be float32 numbers from 2^-48 to 2^48.

    Within these bounds no intermediate float32 number of the hardware's chain is subnormal or infinite without saturating anyway, and no sum of squares
    that ONNX defines in float32.
    """
    return bool(np.all((scale >= 2.0**-48) & (scale <= 2.0**48)))


def not_blocked(block_size: int) -> bool:
    """Activations must not be quantised in blocks (block_size): use one scale for the tensor."""
    return block_size == 0


def constant_integers(known: bool) -> bool:
    """Quantised constants must be integers of 2 to 32 bits: int2, uint2, int4, uint4, int8, uint8, int16, uint16 or int32."""
    return known


def difference_in_int32(difference: np.ndarray) -> bool:
    """A constant integer less its zero point must fit int32, in which onnxruntime subtracts."""
    return bool(np.all((difference >= -(1 << 31)) & (difference < 1 << 31)))


def fitting_scales(fits: bool) -> bool:
    """Scales and zero points of a constant must be one, one for each slice along the axis, or one for each block of block_size slices."""
    return fits


def float_only(value: object, to: int) -> bool:
    """Cast must make float32 numbers of float32 numbers, of an 8-bit tensor or of the sums of an Integer operator, bool of an 8-bit tensor or of a function of
    one, or leave the type as it is."""
    if to == BOOL:
        return isinstance(value, Real | Table) or (isinstance(value, Quant) and value.dtype in ("i8", "u8"))
    eight = isinstance(value, Quant) and (value.dtype in ("i8", "u8") or value.sums is not None)
    if isinstance(value, Quant) and to in _CODES:
        return value.dtype == _CODES[to]
    return to == 1 and (eight or isinstance(value, Real | Table | Unquantised | HostFloat | RealConst))


def one_source(sources: Sequence[str]) -> bool:
    """An element-wise function must depend on one 8-bit tensor and constant scalars only."""
    return len(set(sources)) == 1


def moderate_alpha(alpha: float) -> bool:
    """Celu's alpha must be 2^-20 to 1024 in magnitude: onnxruntime takes 1 from float32 exp(x / alpha), and alpha times what that loses shows beyond."""
    return 2.0**-20 <= abs(alpha) <= 1024


def finite_values(values: np.ndarray) -> bool:
    """An element-wise function must give no NaN for any value of its input."""
    return not bool(np.isnan(values).any())


def movable_operand(value: object) -> bool:
    """What is moved must be an 8-bit integer tensor, a quantised or constant operand, or a float that a QuantizeLinear follows."""
    return isinstance(value, HostFloat | Formula) or integer_operand(value)


def elements_left(elements: int) -> bool:
    """A result must have at least one element."""
    return elements > 0
