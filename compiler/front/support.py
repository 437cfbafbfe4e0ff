"""Which ONNX operators compile, and under which constraints (`compiler.front.constraints`)."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.front.constraints import (
    Constraint,
    batched_weights,
    bias_fits,
    bounded_operand,
    bounded_repetition,
    bounded_window,
    broadcast_shapes,
    by_schema,
    changed_by_scale,
    channel_bias,
    channels_first,
    comparable_channels,
    computable,
    computed_divisor,
    computed_outputs,
    constant_bias,
    constant_integers,
    constant_parameters,
    constant_weights,
    countable_group,
    countable_row,
    cropped_by_scale,
    difference_in_int32,
    eight_bits,
    elements_left,
    equal_groups,
    equal_sides,
    equal_windows,
    finite_constant,
    finite_requantisation,
    finite_values,
    first_result_only,
    fits_dimensions,
    fitting_scales,
    float_only,
    honoured,
    inference_only,
    integer_operand,
    kernel_of_weights,
    known_condition,
    known_mode,
    least_norm,
    listed,
    matrix_weights,
    moderate_alpha,
    most_copies,
    most_digits_of_constant,
    most_operands,
    movable_operand,
    moved_together,
    no_indices,
    not_blocked,
    of_interpolation,
    one_scale,
    one_source,
    one_value_a_channel,
    output_not_empty,
    overwrites,
    packed_weights,
    padding_not_negative,
    positive_scale,
    product_of_two,
    quadratic_norm,
    quantisable,
    quantised_activation,
    quantised_operand,
    reachable_power,
    reducible_axes,
    reflection_fits,
    row_major,
    same_elements,
    small_weights,
    three_dimensions_at_most,
    two_dimensions_at_most,
    type_of_zero,
    unmoved_floats,
    usable_addend,
    usable_alpha,
    usable_denominator,
    usable_epsilon,
    usable_factors,
    usable_function,
    usable_quotient,
    usable_scale,
    usable_sums,
    usable_weight_scale,
    whole_product,
    windows_touch_input,
)

#: Opsets of the ONNX domain that are read.
FIRST_OPSET, LAST_OPSET = 13, 21


@dataclass(frozen=True)
class Operator:
    """A supported operator: where it goes in the IR and the constraints it is held to."""

    result: str
    constraints: tuple[Constraint, ...]


_WINDOW = (two_dimensions_at_most, padding_not_negative, output_not_empty)
_VOLUME = (three_dimensions_at_most, padding_not_negative, output_not_empty)
_WEIGHTS = (
    constant_weights, usable_weight_scale, constant_bias, channel_bias,
    finite_constant, finite_requantisation,
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
COMBINATIONS = ("Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")
#: Comparisons and logic of one 8-bit tensor and numbers, which a Where decides by.
DECISIONS = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Xor")
REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceSum")
_COMBINED = (quantised_operand, broadcast_shapes, finite_constant, usable_scale, *_TABLE)
_SUMMED = (*_COMBINED, most_digits_of_constant, usable_addend)
_MIXED = (most_operands, bounded_repetition, most_copies, moved_together, unmoved_floats, usable_function, usable_sums, whole_product)
_MOVED = (movable_operand, elements_left, finite_values)
_MOVES = ("DepthToSpace", "Expand", "Gather", "GatherElements", "Slice", "SpaceToDepth", "Split", "Tile")
_SELECTIONS = ("CenterCropPad", "Compress", "GatherND", "ReverseSequence", "ScatterElements", "ScatterND", "Trilu")
_SHAPES = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")

#: What every node is held to.
EVERYWHERE: tuple[Constraint, ...] = (listed, by_schema, computable, honoured, computed_outputs)
#: (domain, operator) -> what is supported of it.
OPERATORS: dict[tuple[str, str], Operator] = {
    ("", "QuantizeLinear"): Operator(
        "edge, requantisation",
        (quantisable, constant_parameters, type_of_zero, one_scale, usable_scale, eight_bits, constant_integers, fitting_scales, not_blocked,
         finite_values),
    ),
    ("", "DequantizeLinear"): Operator(
        "edge, weights", (constant_parameters, one_scale, usable_scale, eight_bits, constant_integers, difference_in_int32, fitting_scales, not_blocked)
    ),
    ("", "Conv"): Operator("Conv, BlockwiseConv", (quantised_operand, *_VOLUME, kernel_of_weights, *_WEIGHTS)),
    ("", "Gemm"): Operator("Conv, BlockwiseConv, MatMul", (quantised_operand, usable_alpha, *_WEIGHTS)),
    ("", "MatMul"): Operator("Conv, BlockwiseConv, MatMul, Move", (quantised_operand, batched_weights, *_WEIGHTS)),
    ("", "QLinearConv"): Operator("Conv", (*_QLINEAR, *_VOLUME, kernel_of_weights, *_WEIGHTS)),
    ("", "QLinearMatMul"): Operator("Conv, MatMul", (*_QLINEAR, matrix_weights, *_WEIGHTS)),
    ("", "ConvInteger"): Operator("Conv (int32)", (integer_operand, constant_parameters, one_scale, *_WINDOW, kernel_of_weights, *_WEIGHTS)),
    ("", "MatMulInteger"): Operator("Conv, MatMul (int32)", (integer_operand, constant_parameters, one_scale, matrix_weights, *_WEIGHTS)),
    ("com.microsoft", "MatMulNBits"): Operator(
        "Conv, BlockwiseConv", (quantised_activation, constant_parameters, packed_weights, usable_weight_scale, channel_bias, finite_constant,
                                finite_requantisation),
    ),
    ("com.microsoft", "QGemm"): Operator("Conv", (*_QLINEAR, usable_alpha, *_WEIGHTS)),
    ("", "MaxPool"): Operator("MaxPool", (quantised_operand, *_WINDOW, no_indices, row_major, windows_touch_input)),
    ("", "AveragePool"): Operator("AveragePool, Conv, Expression", (quantised_operand, *_WINDOW, windows_touch_input, equal_windows, bounded_window)),
    ("", "GlobalAveragePool"): Operator("GlobalAveragePool", (quantised_operand, two_dimensions_at_most)),
    ("com.microsoft", "QLinearAveragePool"): Operator("AveragePool", (*_QLINEAR, *_WINDOW, channels_first, windows_touch_input)),
    ("com.microsoft", "QLinearGlobalAveragePool"): Operator(
        "GlobalAveragePool", (*_QLINEAR, two_dimensions_at_most, channels_first)
    ),
    ("", "Add"): Operator("Add, Binary, Sum, Expression, bias, Unary", (*_SUMMED, *_MIXED, constant_bias, channel_bias, bias_fits, finite_requantisation)),
    **{("", name): Operator("Binary, Expression, Unary", (*_SUMMED, *_MIXED)) for name in COMBINATIONS},
    ("", "Div"): Operator("Binary, Quotient, Unary", (*_COMBINED, computed_divisor, usable_quotient)),
    **{("", name): Operator("Add, Binary, Sum, Expression, Unary", (*_SUMMED, *_MIXED)) for name in ("Sub", "Sum")},
    ("", "Mean"): Operator("Sum, Unary", _SUMMED),
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
    **{("", name): Operator("Unary", _TABLE) for name in (*TABLE_FUNCTIONS, *DECISIONS)},
    ("", "Celu"): Operator("Unary", (*_TABLE, moderate_alpha)),
    ("", "Where"): Operator("Expression, Unary", (quantised_operand, known_condition, *_SUMMED[1:], *_MIXED)),
    **{("", name): Operator("Reshape or nothing", (constant_parameters, same_elements)) for name in _SHAPES},
    ("", "Einsum"): Operator("Binary, Conv, MatMul, Move, Reduction", (product_of_two, *_COMBINED, *_WEIGHTS)),
    ("", "Transpose"): Operator("Move", (movable_operand, elements_left)),
    ("", "Concat"): Operator("Move, Unary", _MOVED),
    ("com.microsoft", "QLinearConcat"): Operator("Move, Unary", (*_QLINEAR, *_MOVED)),
    **{("", name): Operator("Move", (*_MOVED, constant_parameters, fits_dimensions)) for name in _MOVES},
    **{("", name): Operator("Move", (*_MOVED, constant_parameters, fits_dimensions, overwrites)) for name in _SELECTIONS},
    ("", "Resize"): Operator(
        "Move, Conv, Interpolation",
        (*_MOVED, constant_parameters, of_interpolation, positive_scale, changed_by_scale, cropped_by_scale, fits_dimensions,
         quantised_operand, small_weights, finite_requantisation),
    ),
    ("", "ConvTranspose"): Operator("Conv, BlockwiseConv, Move", (quantised_operand, two_dimensions_at_most, output_not_empty, kernel_of_weights, *_WEIGHTS)),
    ("", "Pad"): Operator("Move", (*_MOVED, constant_parameters, known_mode, reflection_fits)),
    ("", "LogSoftmax"): Operator("LogSoftmax", (quantised_operand, countable_row)),
    ("", "Softmax"): Operator("Softmax, FineSoftmax", (quantised_operand, bounded_operand, countable_row)),
    ("", "ArgMax"): Operator("ArgMax", (quantised_operand, comparable_channels)),
    ("", "RMSNormalization"): Operator(
        "RMSNormalization", (quantised_operand, countable_row, constant_parameters, usable_factors, usable_epsilon)
    ),
    ("", "LpNormalization"): Operator("RMSNormalization", (quantised_operand, quadratic_norm, least_norm, countable_row)),
    ("", "LRN"): Operator("LRN", (quantised_operand, countable_row, reachable_power, usable_denominator)),
    ("", "InstanceNormalization"): Operator(
        "GroupNormalization", (quantised_operand, countable_group, constant_parameters, usable_factors, usable_epsilon)
    ),
    ("", "GroupNormalization"): Operator(
        "GroupNormalization", (quantised_operand, equal_groups, countable_group, constant_parameters, usable_factors, usable_epsilon)
    ),
    ("com.microsoft", "QLinearSoftmax"): Operator("Softmax", (*_QLINEAR, countable_row)),
    ("", "LayerNormalization"): Operator(
        "LayerNormalization", (quantised_operand, countable_row, constant_parameters, usable_factors, usable_epsilon, first_result_only)
    ),
    ("", "Shape"): Operator("constant", ()),
}
#: ONNX Runtime writes these in its own domain for older opsets; the meaning is the same.
for _name in ("QuantizeLinear", "DequantizeLinear"):
    OPERATORS["com.microsoft", _name] = OPERATORS["", _name]


