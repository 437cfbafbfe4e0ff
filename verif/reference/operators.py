"""The operators of quantised networks, by definition, on values with a samples axis in front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from verif.reference.call import Call, scalar_or_axis
from verif.reference.einsum import einsum
from verif.reference.evaluator import run_node
from verif.reference.floats.elementwise import a_channel, batch_normalization, common_sources, divide, function_of_one, mean, reduction, unchanged
from verif.reference.floats.formula_averages import bounds_of, whole_power
from verif.reference.floats.grid import gridded
from verif.reference.floats.smooth import FUNCTIONS, smooth
from verif.reference.floats.written import of_products, repeated
from verif.reference.movement.movement import MOVING, Moved, conv_transpose, movement, qlinear_concat
from verif.reference.movement.nearest import resize_nearest
from verif.reference.movement.resize import interpolate
from verif.reference.movement.selection import SELECTING, selection
from verif.reference.pools import average_pool, max_pool, qlinear_average_pool
from verif.reference.products.packed import matmul_n_bits
from verif.reference.products.products import (
    conv,
    conv_integer,
    gemm,
    given,
    matmul,
    matmul_integer,
    qgemm,
    qlinear_conv,
    qlinear_matmul,
    quantised_result,
)
from verif.reference.products.scaled import scaled
from verif.reference.products.views import of_views
from verif.reference.products.weights import bytes_of, in_blocks, in_steps, with_bias
from verif.reference.recognise.l2 import L2_DOMAIN
from verif.reference.recognise.layer import PART_DOMAIN
from verif.reference.recognise.rms import RMS_DOMAIN
from verif.reference.recognise.softmax import SCALED_DOMAIN
from verif.reference.rows.fine_softmax import fine_softmax
from verif.reference.rows.group_norm import group_normalization
from verif.reference.rows.l2_norm import l2_normalization
from verif.reference.rows.layer_norm import centred_quotient, layer_normalization, variance
from verif.reference.rows.local_response import local_response
from verif.reference.rows.log_softmax import log_softmax
from verif.reference.rows.normalise import arg_max, qlinear_softmax, softmax
from verif.reference.rows.rms_norm import mean_square, rms_normalization, root_quotient
from verif.reference.values import Dequantised, Plain, Sum, Value, sources_of


def _parameters(call: Call, value: Value) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point of QuantizeLinear or DequantizeLinear, broadcasting against the value."""
    scale = call.number(1)
    zero = call.number(2, np.zeros(scale.shape, np.uint8))
    axis = call.attributes.get("axis", 1)
    axis = axis + (0 if value.constant or axis < 0 else 1)
    rank, block = value.array.ndim, call.attributes.get("block_size", 0)
    if block:
        if not value.constant:
            raise call.refuse("an activation in blocks")
        return in_blocks(scale, block, value.array.shape, axis), in_blocks(zero, block, value.array.shape, axis)
    return scalar_or_axis(scale, rank, axis), scalar_or_axis(zero, rank, axis)


def quantize_linear(call: Call) -> Value:
    """QuantizeLinear."""
    value = call.value(0)
    scale, zero = _parameters(call, value)
    wanted = call.attributes.get("output_dtype")
    if wanted and call.optional(2) is None:
        zero = zero.astype(onnx.helper.tensor_dtype_to_np_dtype(wanted))
    if wanted and wanted != onnx.helper.np_dtype_to_tensor_dtype(zero.dtype):
        raise call.refuse(f"output_dtype {wanted} and a zero point of {zero.dtype}")
    return Plain(value.quantised(scale, zero), value.constant, behind=sources_of(value))


def dequantize_linear(call: Call) -> Value:
    """DequantizeLinear: the integers are kept."""
    value = call.value(0)
    scale, zero = _parameters(call, value)
    return Dequantised(bytes_of(value.array), scale, bytes_of(zero), value.constant, sources_of(value))


def add(call: Call) -> Value:
    """Add: a float32 sum, or a bias that joins the sums of the product before it."""
    a, b = call.value(0), call.value(1)
    if isinstance(b, Sum):
        a, b = b, a
    if isinstance(a, Sum) and _is_bias(a, b):
        return with_bias(call, a, b, trailing=a.axis_from_end - 1)
    return elementwise(call)


def _is_bias(a: Sum, b: Value) -> bool:
    """Whether a constant is one number, or one a channel, that a product takes in."""
    shape, at = b.array.shape, b.array.ndim - a.axis_from_end
    if "bias" not in a.takes or not b.constant or b.array.ndim >= a.array.ndim:
        return False
    fits = b.array.size == 1 or (at >= 0 and b.array.size == shape[at] == a.sums.shape[-a.axis_from_end])
    return fits and in_steps(a, b.real())


def qlinear_combination(call: Call) -> Value:
    """com.microsoft QLinearAdd and QLinearMul."""
    function = np.add if call.node.op_type == "QLinearAdd" else np.multiply
    a, b = given(call, 0), given(call, 3)
    common = common_sources(replace(call, inputs=[a, b]))
    return quantised_result(call, Plain(function(*(_raised(v, max(_rank(a), _rank(b))) for v in (a, b))), behind=common), 6)


def _rank(value: Value) -> int:
    return value.array.ndim - (0 if value.constant else 1)


def _raised(value: Value, rank: int) -> np.ndarray:
    """The float32 numbers with `rank` axes behind that of the samples."""
    array = value.real()
    return array if value.constant else array.reshape(array.shape[0], *[1] * (rank + 1 - array.ndim), *array.shape[1:])


def qlinear_function(call: Call) -> Value:
    """com.microsoft QLinearSigmoid and QLinearLeakyRelu."""
    name = call.node.op_type.removeprefix("QLinear")
    node = onnx.helper.make_node(name, ["x"], ["y"], **({"alpha": call.attributes.get("alpha", 0.01)} if name == "LeakyRelu" else {}))
    x = given(call, 0)
    return quantised_result(call, Plain(evaluate(node, call.opset, [x.real()])[0], behind=sources_of(x)), 3)


def clamp(call: Call) -> Value:
    """Relu and Clip."""
    x = call.value(0)
    if not isinstance(x, Sum | Moved):
        return elementwise(call)
    if call.node.op_type == "Relu":
        return x.clamped(0.0, np.inf)
    low, high = (float(call.number(i, np.array(d)).reshape(-1)[0]) for i, d in ((1, -np.inf), (2, np.inf)))
    return x.clamped(low, high)


def extreme(call: Call) -> Value:
    """Max and Min: of what waits for its quantisation and numbers a clamp, as quantisation keeps order."""
    operands = [call.value(index) for index in range(len(call.inputs))]
    waiting = [v for v in operands if isinstance(v, Sum | Moved)]
    numbers = [v.real().astype(np.float32) for v in operands if v.constant]
    uniform = all(array.size and (array == array.flat[0]).all() for array in numbers)
    if len(waiting) != 1 or len(numbers) + 1 < len(operands) or not uniform:
        return elementwise(call)
    (x,), bounds = waiting, [float(array.flat[0]) for array in numbers]
    whole = x.clamped(max(bounds), np.inf) if call.node.op_type == "Max" else x.clamped(-np.inf, min(bounds))
    shape = np.broadcast_shapes(x.array.shape[1:], *(array.shape for array in numbers))
    if np.prod(shape) != np.prod(x.array.shape[1:]):
        raise call.refuse("a number that is repeated")
    return whole if shape == x.array.shape[1:] else whole.reshaped((x.array.shape[0], *shape))  # type: ignore[return-value]


def elementwise(call: Call) -> Value:
    """Any element-wise float operator, by onnx.reference; a smooth function of what is no function of one 8-bit tensor by `verif.reference.floats.smooth`."""
    present = [v for v in call.inputs if v is not None]
    made = any(of_products(v) for v in present)
    if call.node.op_type in FUNCTIONS and not present[0].constant and not isinstance(present[0], Dequantised) and not common_sources(call):
        return Plain(smooth(call, present[0].real()), bounds=bounds_of(call), of_products=made)
    if call.node.op_type in ("Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum") and made:
        size = int(np.prod(np.broadcast_shapes(*(v.array.shape if v.constant else v.array.shape[1:] for v in present))))
        call = replace(call, inputs=[repeated(call, v, size) for v in call.inputs])
        present = [v for v in call.inputs if v is not None]
        made = any(of_products(v) for v in present)
    if call.node.op_type == "Pow" and made and (power := whole_power(call)) is not None:
        return replace(power, of_products=True)
    rank = max(map(_rank, present))
    arrays = [None if v is None else _raised(v, rank) for v in call.inputs]
    (result,) = evaluate(call.entire(), call.opset, arrays)
    return Plain(result, all(v.constant for v in present), *function_of_one(call, evaluate), common_sources(call), bounds_of(call), of_products=made)


def evaluate(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """Return the outputs of one node, by onnx.reference."""
    return run_node(node, opset, {n: a for n, a in zip(node.input, arrays, strict=True) if n and a is not None})


def reshape(call: Call) -> Value:
    """Flatten, Identity, Reshape, Squeeze, Unsqueeze: evaluated on one sample to find the shape."""
    x = call.value(0)
    front = 0 if x.constant else 1
    one = np.zeros(x.array.shape[front:], np.int8)
    (shaped,) = evaluate(call.entire(), call.opset, [one, *[call.number(i) for i in range(1, len(call.inputs))]])
    return x.reshaped((*x.array.shape[:front], *shaped.shape))


def transpose(call: Call) -> Value:
    """Transpose."""
    x = call.value(0)
    front = 0 if x.constant else 1
    rank = x.array.ndim - front
    permutation = [p + front for p in call.attributes.get("perm", range(rank - 1, -1, -1))]
    order = [0, *permutation] if front else permutation

    def moved(array: np.ndarray) -> np.ndarray:
        return array.transpose(order) if array.ndim == len(order) else array

    if isinstance(x, Dequantised):
        return Dequantised(moved(x.array), moved(x.scale), moved(x.zero), x.constant)
    if isinstance(x, Sum | Moved):
        return movement(evaluate)(call)[0]
    return replace(x, array=moved(x.array), behind=())


def shape_of(call: Call) -> Value:
    """Shape of one sample."""
    x = call.value(0)
    shape = x.array.shape[0 if x.constant else 1 :]
    return Plain(np.array(shape[call.attributes.get("start", 0) : call.attributes.get("end")], np.int64), True)


def resize(call: Call) -> Value | list[Value]:
    """Resize: an interpolation, or a movement."""
    return resize_nearest(call) if call.attributes.get("mode", b"nearest") == b"nearest" else interpolate(call)


OPERATORS: dict[tuple[str, str], Callable[[Call], Value | list[Value]]] = {
    ("", "QuantizeLinear"): quantize_linear,
    ("", "DequantizeLinear"): dequantize_linear,
    ("com.microsoft", "QuantizeLinear"): quantize_linear,
    ("com.microsoft", "DequantizeLinear"): dequantize_linear,
    ("", "Conv"): gridded(conv),
    ("", "Gemm"): gridded(gemm),
    ("", "MatMul"): gridded(matmul),
    ("", "QLinearConv"): qlinear_conv,
    ("", "QLinearMatMul"): qlinear_matmul,
    ("com.microsoft", "QGemm"): qgemm,
    ("com.microsoft", "MatMulNBits"): matmul_n_bits,
    ("", "ConvInteger"): conv_integer,
    ("", "MatMulInteger"): matmul_integer,
    ("", "MaxPool"): max_pool,
    ("", "AveragePool"): gridded(average_pool),
    ("", "GlobalAveragePool"): average_pool,
    ("com.microsoft", "QLinearAveragePool"): qlinear_average_pool,
    ("com.microsoft", "QLinearGlobalAveragePool"): qlinear_average_pool,
    ("", "Add"): of_views(a_channel(add)),
    **{("com.microsoft", name): qlinear_combination for name in ("QLinearAdd", "QLinearMul")},
    **{("com.microsoft", name): qlinear_function for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("", "Div"): of_views(a_channel(scaled(divide(elementwise)))),
    ("", "Mul"): of_views(a_channel(scaled(elementwise))),
    ("", "Mean"): mean(elementwise),
    ("", "BatchNormalization"): gridded(batch_normalization),
    **{("", name): reduction for name in ("GlobalMaxPool", "ReduceL1", "ReduceMax", "ReduceMean", "ReduceSum")},
    **{("", name): unchanged(elementwise) for name in ("Cast", "Dropout")},
    **{("", name): extreme for name in ("Max", "Min")},
    ("", "Relu"): clamp,
    ("", "Clip"): clamp,
    **{("", name): reshape for name in ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")},
    ("", "Einsum"): einsum(reduction, transpose),
    ("", "Transpose"): transpose,
    **{("", name): movement(evaluate) for name in MOVING},
    **{("", name): selection(evaluate) for name in SELECTING},
    ("", "Resize"): resize,
    ("com.microsoft", "QLinearConcat"): qlinear_concat,
    ("", "ConvTranspose"): gridded(conv_transpose),
    ("", "Softmax"): gridded(softmax(fine_softmax)),
    ("", "LogSoftmax"): gridded(log_softmax),
    (SCALED_DOMAIN, "Softmax"): softmax(fine_softmax),
    (SCALED_DOMAIN, "LogSoftmax"): log_softmax,
    ("", "ArgMax"): arg_max,
    ("", "LpNormalization"): l2_normalization,
    (L2_DOMAIN, "LpNormalization"): l2_normalization,
    ("", "LRN"): local_response,
    ("", "RMSNormalization"): rms_normalization,
    (RMS_DOMAIN, "RMSNormalization"): rms_normalization,
    (RMS_DOMAIN, "ReduceMean"): mean_square,
    (RMS_DOMAIN, "Div"): root_quotient,
    **{("", name): group_normalization for name in ("GroupNormalization", "InstanceNormalization")},
    ("com.microsoft", "QLinearSoftmax"): qlinear_softmax,
    ("", "LayerNormalization"): gridded(layer_normalization),
    (PART_DOMAIN, "LayerNormalization"): layer_normalization,
    (PART_DOMAIN, "ReduceMean"): variance,
    (PART_DOMAIN, "Div"): centred_quotient,
    ("", "Shape"): shape_of,
}
