"""Which ONNX operators compile, and under which constraints.

A constraint is a function from facts to a truth value; the first paragraph of its docstring *is* the message that a user
reads when it does not hold (`explain`), and the text of the generated table (`support_markdown`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.onnx_import.values import Const, HostFloat, Pending, Quant, Real, RealConst, Table

#: Opsets of the ONNX domain that are read.
FIRST_OPSET, LAST_OPSET = 13, 21

Constraint = Callable[..., bool]


def explain(constraint: Constraint) -> str:
    """Return the message of a constraint: the first paragraph of its docstring on one line."""
    return " ".join((inspect.getdoc(constraint) or "").split("\n\n")[0].split())


def listed(operator: object) -> bool:
    """The operator must be one of those that the support table lists."""
    return operator is not None


def quantised_operand(value: object) -> bool:
    """An activation operand must come from DequantizeLinear of an 8-bit tensor."""
    return isinstance(value, Real)


def integer_operand(value: object) -> bool:
    """An activation operand must be an 8-bit integer tensor."""
    return isinstance(value, Quant) and value.dtype in ("i8", "u8")


def quantisable(value: object) -> bool:
    """The input must be a float graph input, a constant, or the result of a supported operator on dequantised 8-bit tensors."""
    return isinstance(value, HostFloat | Const | RealConst | Real | Table | Pending)


def quantised_output(value: object) -> bool:
    """A graph output must be an integer tensor or come from DequantizeLinear, and it must depend on an input."""
    return isinstance(value, Quant | Real)


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
    """Scales must be float32 numbers from 2^-64 to 2^64.

    Within these bounds no intermediate float32 number of the hardware's chain is subnormal or infinite without saturating anyway.
    """
    return bool(np.all((scale >= 2.0**-64) & (scale <= 2.0**64)))


def not_blocked(block_size: int) -> bool:
    """Blocked quantisation (block_size) is not supported: use one scale a tensor or a channel."""
    return block_size == 0


def constant_weights(value: object) -> bool:
    """The weights must be constant int8 or uint8 values (behind DequantizeLinear in QDQ models)."""
    return isinstance(value, RealConst) and value.array.dtype in (np.int8, np.uint8)


def one_weight_zero(zero: np.ndarray) -> bool:
    """All output channels must have the same weight zero point."""
    return zero.size > 0 and bool(np.all(zero == zero.flat[0]))


def scales_along_outputs(count: int, axis: int, channels: int, output_axis: int) -> bool:
    """Weight scales must be one for the tensor or one an output channel."""
    return count == 1 or (count == channels and axis == output_axis)


def positive_weight_scale(scale: np.ndarray) -> bool:
    """Weight scales must be positive float32 numbers."""
    return bool(np.all((scale > 0) & np.isfinite(scale)))


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


def untransposed(trans_a: int) -> bool:
    """The activation operand must not be transposed (transA = 0)."""
    return trans_a == 0


def positive_alpha(alpha: float) -> bool:
    """Gemm's alpha must be positive."""
    return alpha > 0


def matrix_weights(rank: int) -> bool:
    """The right side must be a two-dimensional constant."""
    return rank == 2


def broadcast_shapes(a: Sequence[int], b: Sequence[int]) -> bool:
    """The operands' shapes must broadcast, each axis in whole runs of equal or single elements that make batch, channels, rows and columns."""
    return len(a) == len(b)


def finite_constant(numbers: np.ndarray) -> bool:
    """A constant operand must be of finite float32 numbers, or quantised to 8 bits."""
    return bool(np.isfinite(numbers).all())


def computed_divisor(value: object) -> bool:
    """A divisor must be a constant, or a function of the one 8-bit tensor that the dividend depends on."""
    return isinstance(value, Const | RealConst)


def sum_of_two(op: str, count: int) -> bool:
    """Sum takes two operands: the float32 result of two of three would need a quantisation of its own."""
    return op != "Sum" or count == 2


def equal_sides(slope: np.ndarray) -> bool:
    """The slopes of PRelu must be all at most 1 or all at least 1."""
    return bool(np.all(slope <= 1) or np.all(slope >= 1))


def reducible_axes(fits: bool) -> bool:
    """The reduced axes must lie together so that each of batch, channels, rows and columns is wholly reduced or wholly kept."""
    return fits


def inference_only(training: int, outputs: int) -> bool:
    """Only the inference form is supported, with one output."""
    return not training and outputs == 1


def one_value_a_channel(fits: bool) -> bool:
    """BatchNormalization must have one value a channel, channels being the second axis."""
    return fits


def float_only(value: object, to: int) -> bool:
    """Cast must leave float32 numbers as they are."""
    return to == 1 and isinstance(value, Real | Table | Pending | HostFloat | RealConst)


def small_weights(fits: bool) -> bool:
    """Linear interpolation must repeat itself after few positions: products of both axes' integer weights up to 255, at most 64 phases."""
    return fits


def one_source(sources: Sequence[str]) -> bool:
    """An element-wise function must depend on one 8-bit tensor and constant scalars only."""
    return len(set(sources)) == 1


def finite_values(values: np.ndarray) -> bool:
    """An element-wise function must give no NaN for any value of its input."""
    return not bool(np.isnan(values).any())


def movable_operand(value: object) -> bool:
    """What is moved must be an 8-bit integer tensor, a quantised or constant operand, or a float that a QuantizeLinear follows."""
    return isinstance(value, Const | RealConst | HostFloat | Real | Table | Pending) or integer_operand(value)


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


def nearest_only(mode: str) -> bool:
    """Resize must take the nearest neighbour or interpolate linearly (mode nearest or linear)."""
    return mode == "nearest"


def reflection_fits(fits: bool) -> bool:
    """Padding by reflection must be smaller than the dimension."""
    return fits


def countable_row(elements: int) -> bool:
    """The axes that Softmax and LayerNormalization reduce must have at most 32768 elements.

    The int32 sums of so many squares of 255, and of as many exponentials of two digits to the base 255, do not overflow.
    """
    return elements <= 1 << 15


def first_result_only(outputs: int) -> bool:
    """LayerNormalization must return its first result only."""
    return outputs == 1


def usable_epsilon(steps: float) -> bool:
    """The epsilon of a LayerNormalization must be between 2^-64 and 2^64 times the square of its input's scale."""
    return 2.0**-64 <= steps <= 2.0**64


def usable_factors(values: np.ndarray) -> bool:
    """Scale and bias of a LayerNormalization must be float32 numbers of at most 2^64."""
    return bool(np.all(np.abs(values) <= 2.0**64))


def same_elements(found: int, expected: int) -> bool:
    """The target shape must have as many elements as the input."""
    return found == expected


@dataclass(frozen=True)
class Operator:
    """A supported operator: where it goes in the IR and the constraints it is held to."""

    result: str
    constraints: tuple[Constraint, ...]


_WINDOW = (two_dimensions_at_most, padding_not_negative, output_not_empty)
_VOLUME = (three_dimensions_at_most, padding_not_negative, output_not_empty)
_WEIGHTS = (
    constant_weights, one_weight_zero, scales_along_outputs, positive_weight_scale, constant_bias, channel_bias,
    bias_fits, finite_requantisation,
)  # fmt: skip
_QLINEAR = (integer_operand, constant_parameters, one_scale, usable_scale, eight_bits)
_TABLE = (one_source, finite_values)
_CLAMP = ("Relu", "Clip")
#: Float functions of one 8-bit tensor, evaluated at compile time for its 256 values.
TABLE_FUNCTIONS = (
    "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Mish", "Neg", "Reciprocal", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh",
    "ThresholdedRelu", "Pow", "Asinh", "Atan", "Cosh", "Shrink", "Sinh", "Tan",
)  # fmt: skip
#: Functions of two and more operands: a table where they depend on one 8-bit tensor alone.
COMBINATIONS = ("Div", "Max", "Min", "Mul", "Sub", "Sum")
REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceSum")
_COMBINED = (quantised_operand, broadcast_shapes, finite_constant, usable_scale, *_TABLE)
_MOVED = (movable_operand, elements_left, finite_values)
_MOVES = ("DepthToSpace", "Expand", "Gather", "GatherElements", "Slice", "SpaceToDepth", "Split", "Tile")
_SELECTIONS = ("CenterCropPad", "Compress", "GatherND", "ReverseSequence", "ScatterElements", "ScatterND", "Trilu")
_SHAPES = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")

#: (domain, operator) -> what is supported of it.
OPERATORS: dict[tuple[str, str], Operator] = {
    ("", "QuantizeLinear"): Operator(
        "edge, requantisation", (quantisable, constant_parameters, one_scale, usable_scale, eight_bits, not_blocked, finite_values)
    ),
    ("", "DequantizeLinear"): Operator("edge, weights", (constant_parameters, one_scale, usable_scale, eight_bits, not_blocked)),
    ("", "Conv"): Operator("Conv", (quantised_operand, *_VOLUME, *_WEIGHTS)),
    ("", "Gemm"): Operator("Conv, MatMul", (quantised_operand, untransposed, positive_alpha, *_WEIGHTS)),
    ("", "MatMul"): Operator("Conv, MatMul", (quantised_operand, matrix_weights, *_WEIGHTS)),
    ("", "QLinearConv"): Operator("Conv", (*_QLINEAR, *_VOLUME, *_WEIGHTS)),
    ("", "QLinearMatMul"): Operator("Conv, MatMul", (*_QLINEAR, matrix_weights, *_WEIGHTS)),
    ("", "ConvInteger"): Operator("Conv (int32)", (integer_operand, constant_parameters, one_scale, *_WINDOW, *_WEIGHTS)),
    ("", "MatMulInteger"): Operator("Conv, MatMul (int32)", (integer_operand, constant_parameters, one_scale, matrix_weights, *_WEIGHTS)),
    ("com.microsoft", "QGemm"): Operator("Conv", (*_QLINEAR, untransposed, positive_alpha, *_WEIGHTS)),
    ("", "MaxPool"): Operator("MaxPool", (quantised_operand, *_WINDOW, no_indices, row_major, windows_touch_input)),
    ("", "AveragePool"): Operator("AveragePool", (quantised_operand, *_WINDOW, windows_touch_input)),
    ("", "GlobalAveragePool"): Operator("GlobalAveragePool", (quantised_operand, two_dimensions_at_most)),
    ("com.microsoft", "QLinearAveragePool"): Operator("AveragePool", (*_QLINEAR, *_WINDOW, channels_first, windows_touch_input)),
    ("com.microsoft", "QLinearGlobalAveragePool"): Operator(
        "GlobalAveragePool", (*_QLINEAR, two_dimensions_at_most, channels_first)
    ),
    ("", "Add"): Operator("Add, Binary, bias, Unary", (*_COMBINED, constant_bias, channel_bias, bias_fits, finite_requantisation)),
    **{("", name): Operator("Binary, Unary", _COMBINED) for name in COMBINATIONS},
    ("", "Div"): Operator("Binary, Unary", (*_COMBINED, computed_divisor)),
    ("", "Sum"): Operator("Add, Binary, Unary", (*_COMBINED, sum_of_two)),
    ("", "PRelu"): Operator("Binary, Unary", (*_COMBINED, constant_parameters, equal_sides)),
    ("com.microsoft", "QLinearAdd"): Operator("Add, Binary", (*_QLINEAR, broadcast_shapes, constant_weights)),
    ("com.microsoft", "QLinearMul"): Operator("Binary", (*_QLINEAR, broadcast_shapes, constant_weights)),
    **{("com.microsoft", name): Operator("Unary", _QLINEAR) for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("", "BatchNormalization"): Operator(
        "Conv, factors of the producer", (quantised_operand, constant_parameters, inference_only, one_value_a_channel, bias_fits, finite_requantisation)
    ),
    **{("", name): Operator("Reduction", (quantised_operand, constant_parameters, reducible_axes)) for name in REDUCTIONS},
    ("", "ReduceMean"): Operator("GlobalAveragePool, Reduction", (quantised_operand, constant_parameters, reducible_axes)),
    ("", "ReduceMax"): Operator("MaxPool", (quantised_operand, constant_parameters, reducible_axes)),
    ("", "GlobalMaxPool"): Operator("MaxPool", (quantised_operand,)),
    ("", "Cast"): Operator("nothing", (float_only,)),
    ("", "Dropout"): Operator("nothing", (inference_only,)),
    **{("", name): Operator("clamp of the producer, Unary", _TABLE) for name in _CLAMP},
    **{("", name): Operator("Unary", _TABLE) for name in TABLE_FUNCTIONS},
    **{("", name): Operator("Reshape or nothing", (constant_parameters, same_elements)) for name in _SHAPES},
    ("", "Transpose"): Operator("Move", (movable_operand, elements_left)),
    ("", "Concat"): Operator("Move, Unary", _MOVED),
    ("com.microsoft", "QLinearConcat"): Operator("Move, Unary", (*_QLINEAR, *_MOVED)),
    **{("", name): Operator("Move", (*_MOVED, constant_parameters, fits_dimensions)) for name in _MOVES},
    **{("", name): Operator("Move", (*_MOVED, constant_parameters, fits_dimensions, overwrites)) for name in _SELECTIONS},
    ("", "Resize"): Operator("Move, Conv", (*_MOVED, constant_parameters, nearest_only, known_mode, quantised_operand, two_dimensions_at_most, small_weights)),
    ("", "ConvTranspose"): Operator("Conv, Move", (quantised_operand, two_dimensions_at_most, output_not_empty, *_WEIGHTS)),
    ("", "Pad"): Operator("Move", (*_MOVED, constant_parameters, known_mode, reflection_fits)),
    ("", "Softmax"): Operator("Softmax", (quantised_operand, countable_row)),
    ("com.microsoft", "QLinearSoftmax"): Operator("Softmax", (*_QLINEAR, countable_row)),
    ("", "LayerNormalization"): Operator(
        "LayerNormalization", (quantised_operand, countable_row, constant_parameters, usable_factors, usable_epsilon, first_result_only)
    ),
    ("", "Shape"): Operator("constant", ()),
}
#: ONNX Runtime writes these in its own domain for older opsets; the meaning is the same.
for _name in ("QuantizeLinear", "DequantizeLinear"):
    OPERATORS["com.microsoft", _name] = OPERATORS["", _name]

#: What an operator becomes -> who does it: an engine kind, `load and store` for pure movement, the host at the network's edges, or the compiler.
ENGINES = {
    "Add": "vector",
    "AveragePool": "vector, matrix",
    "Binary": "vector",
    "CentredQuotient": "vector",
    "Conv": "matrix, vector",
    "GlobalAveragePool": "vector, matrix",
    "LayerNormalization": "matrix, vector",
    "MatMul": "matrix, vector",
    "MaxPool": "vector",
    "Move": "vector, load and store",
    "Reduction": "vector, matrix",
    "Reshape": "load and store",
    "Softmax": "matrix, vector",
    "Unary": "vector",
    "Variance": "vector",
    "bias": "with its producer",
    "clamp of the producer": "with its producer",
    "constant": "compiler",
    "edge": "host",
    "factors of the producer": "with its producer",
    "nothing": "none needed",
    "requantisation": "vector",
    "weights": "compiler",
}


def engines(result: str) -> str:
    """Return who does what an operator becomes; raises KeyError for a word that `ENGINES` lacks.

    >>> engines("Conv (int32)"), engines("Reshape or nothing")
    ('matrix, vector', 'load and store, none needed')
    """
    words = re.split(r", | or ", re.sub(r" \(.*?\)", "", result))
    found = [engine for word in words for engine in ENGINES[word].split(", ")]
    return ", ".join(dict.fromkeys(found))


@dataclass(frozen=True)
class SupportRow:
    """A line of the support table: ONNX operator with its domain, what it becomes, who does that, and the conditions as sentences."""

    operator: str
    becomes: str
    engine: str
    conditions: tuple[str, ...]


def support_rows() -> list[SupportRow]:
    """Return the support table, sorted by name."""
    rows = []
    for domain, name in sorted(OPERATORS, key=lambda k: (k[1], k[0])):
        entry = OPERATORS[domain, name]
        conditions = tuple(explain(c) for c in entry.constraints)
        rows.append(SupportRow(f"{domain + '.' if domain else ''}{name}", entry.result, engines(entry.result), conditions))
    return rows


def support_markdown() -> str:
    """Return the support table as Markdown."""
    lines = [
        f"ONNX opset {FIRST_OPSET} to {LAST_OPSET}; older and newer ones are converted by onnx where it can. Any operator is folded when all its inputs",
        "are constants.",
        "",
        "| Operator | Becomes | Engine | Conditions |",
        "|---|---|---|---|",
    ]
    for row in support_rows():
        lines.append(f"| {row.operator} | {row.becomes} | {row.engine} | {'<br>'.join(row.conditions) or 'none'} |")
    return "\n".join(lines) + "\n"
