"""The constraints that operators are held to.

A constraint is a function from facts to a truth value; the first paragraph of its docstring *is* the message that a user
reads when it does not hold (`explain`), and the text of the generated table (`compiler.front.support.support_markdown`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TypeGuard

import numpy as np

from compiler.front.state.values import Const, Formula, HostFloat, Quant, Real, RealConst, Table, Unquantised
from compiler.ir.expression import MOST_DIGITS
from compiler.ir.normalise import MOST_SUMMED, POWERS
from compiler.ir.rowwise import MOST_COMPARED

Constraint = Callable[..., bool]
#: Number of the type bool.
BOOL = 9


def explain(constraint: Constraint) -> str:
    """Return the message of a constraint: the first paragraph of its docstring on one line."""
    return " ".join((inspect.getdoc(constraint) or "").split("\n\n")[0].split())


def listed(operator: object) -> bool:
    """The operator must be one of those that the support table lists."""
    return operator is not None


def computable(result: object) -> bool:
    """Operators on constants must give what ONNX's reference can compute, of at most 2^24 elements or as many as they take."""
    return result is not None


def by_schema(misuse: object) -> bool:
    """A node must have the attributes, inputs and outputs that its operator has in this opset."""
    return misuse is None


def honoured(*_: object) -> bool:
    """What is not computed must be left out, an attribute may be at its default."""
    return False


def computed_outputs(results: int, named: int) -> bool:
    """A node must have no more outputs than are computed."""
    return named <= results


def kernel_of_weights(given: Sequence[int], kernel: Sequence[int]) -> bool:
    """The kernel_shape must be that of the weights, or be left out."""
    return list(given) == list(kernel)


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


def fitting_scales(fits: bool) -> bool:
    """Scales and zero points of a constant must be one, one for each slice along the axis, or one for each block of block_size slices."""
    return fits


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


def no_indices(outputs: int) -> bool:
    """MaxPool must not return indices."""
    return outputs == 1


def channels_first(channels_last: int) -> bool:
    """The layout must be channels first (channels_last = 0)."""
    return channels_last == 0


def row_major(order: int) -> bool:
    """MaxPool's storage_order must be 0."""
    return order == 0


def usable_alpha(alpha: float) -> bool:
    """Gemm's alpha must be a finite number other than 0."""
    return alpha != 0 and bool(np.isfinite(alpha))


def batched_weights(fits: bool) -> bool:
    """Constant matrices must be one, or as many as there are in the other operand."""
    return fits


def matrix_weights(rank: int) -> bool:
    """The right side must be a two-dimensional constant."""
    return rank == 2


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


def quantised_activation(value: object) -> bool:
    """The activation of MatMulNBits must come from DequantizeLinear of an 8-bit tensor: put QuantizeLinear and DequantizeLinear in front of it, with the
    scale of its range."""
    return isinstance(value, Real)


def packed_weights(bits: int, fits: bool) -> bool:
    """The weights of MatMulNBits must be constants of 2, 4 or 8 bits, (N, blocks, bytes), with a scale and at most one whole zero point a block."""
    return bits in (2, 4, 8) and fits


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


def reducible_axes(fits: bool) -> bool:
    """The reduced axes must lie together so that each of batch, channels, rows and columns is wholly reduced or wholly kept."""
    return fits


def inference_only(training: int, outputs: int) -> bool:
    """Only the inference form is supported, with one output."""
    return not training and outputs == 1


def equal_windows(divisors: np.ndarray) -> bool:
    """Windows over a sum that nothing has quantised must average as many elements each (count_include_pad, or no padding)."""
    return bool(np.all(np.asarray(divisors) == np.asarray(divisors).flat[0]))


def one_value_a_channel(fits: bool) -> bool:
    """BatchNormalization must have one value a channel, channels being the second axis."""
    return fits


#: ONNX's numbers of types.
_CODES = {2: "u8", 3: "i8", 6: "i32"}


def float_only(value: object, to: int) -> bool:
    """Cast must make float32 numbers of float32 numbers, of an 8-bit tensor or of the sums of an Integer operator, bool of an 8-bit tensor or of a function of
    one, or leave the type as it is."""
    if to == BOOL:
        return isinstance(value, Real | Table) or (isinstance(value, Quant) and value.dtype in ("i8", "u8"))
    eight = isinstance(value, Quant) and (value.dtype in ("i8", "u8") or value.sums is not None)
    if isinstance(value, Quant) and to in _CODES:
        return value.dtype == _CODES[to]
    return to == 1 and (eight or isinstance(value, Real | Table | Unquantised | HostFloat | RealConst))


def small_weights(fits: bool) -> bool:
    """The weights of an interpolated element must sum up to at most twice 1 in magnitude (cubic_coeff_a from -2), and to 1."""
    return fits


def quadratic_norm(p: int) -> bool:
    """LpNormalization must be by the norm of squares (p = 2)."""
    return p == 2


def least_norm(least: float, added: float) -> bool:
    """The bound of an L2 norm must be at most one step of the input's scale, a number added to it 2^-24 steps."""
    return least <= 1 and added <= 2.0**-24


def product_of_two(fits: bool) -> bool:
    """Einsum must multiply two operands, or sum or transpose one; an index once in an operand, what is summed in both of them."""
    return fits


def one_source(sources: Sequence[str]) -> bool:
    """An element-wise function must depend on one 8-bit tensor and constant scalars only."""
    return len(set(sources)) == 1


def finite_values(values: np.ndarray) -> bool:
    """An element-wise function must give no NaN for any value of its input."""
    return not bool(np.isnan(values).any())


def movable_operand(value: object) -> bool:
    """What is moved must be an 8-bit integer tensor, a quantised or constant operand, or a float that a QuantizeLinear follows."""
    return isinstance(value, HostFloat | Formula) or integer_operand(value)


def elements_left(elements: int) -> bool:
    """A result must have at least one element."""
    return elements > 0


def fits_dimensions(fits: bool) -> bool:
    """Parts, indices and sizes must fit the dimensions of the input."""
    return fits


def overwrites(reduction: str) -> bool:
    """Updates must replace elements, not be combined with them (reduction none)."""
    return reduction == "none"


def known_mode(mode: str, modes: Sequence[str]) -> bool:
    """The mode must be one that ONNX defines."""
    return mode in modes


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


def first_result_only(outputs: int) -> bool:
    """LayerNormalization must return its first result only."""
    return outputs == 1


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


def same_elements(found: int, expected: int) -> bool:
    """The target shape must have as many elements as the input."""
    return found == expected
