"""The operators of quantised networks, by definition, on values with a samples axis in front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from verif.reference.elementwise import batch_normalization, divide, function_of_one, reduction, unchanged
from verif.reference.matrices import tensor_product
from verif.reference.movement import MOVING, Moved, conv_transpose, movement, qlinear_concat, resize_nearest
from verif.reference.normalise import centred_quotient, layer_normalization, qlinear_softmax, softmax, variance
from verif.reference.recognise import PART_DOMAIN
from verif.reference.resize import resize_linear
from verif.reference.selection import SELECTING, selection
from verif.reference.sums import products, volume_products, window_maxima, window_of, window_sizes, window_sums, wrap
from verif.reference.values import Dequantised, Plain, Sum, Value


@dataclass(frozen=True, eq=False)
class Call:
    """One node with the values of its inputs (None where left out)."""

    node: onnx.NodeProto
    opset: int
    inputs: list[Value | None]
    attributes: dict[str, Any]

    def value(self, index: int) -> Value:
        """Return input `index`, which must be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise self.refuse(f"input {index} left out")
        return value

    def optional(self, index: int) -> Value | None:
        """Return input `index`; None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def number(self, index: int, default: np.ndarray | None = None) -> np.ndarray:
        """Return a constant parameter; `default` where it is left out."""
        value = self.optional(index)
        if value is None and default is not None:
            return default
        if not isinstance(value, Plain) or not value.constant:
            raise self.refuse(f"input {index} that is no constant")
        return value.array

    def refuse(self, found: str) -> ValueError:
        """Return the error for an operand that the definition of quantised networks does not cover."""
        name = self.node.name or self.node.output[0]
        return ValueError(
            f"node {name} ({self.node.op_type}): found {found}; expected a quantised network; compare with onnxruntime alone"
        )


def _scalar_or_axis(array: np.ndarray, rank: int, axis: int) -> np.ndarray:
    shape = [1] * rank
    if array.size > 1:
        shape[axis] = array.size
    return array.reshape(shape)


def _parameters(call: Call, value: Value) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point of QuantizeLinear or DequantizeLinear, broadcasting against the value."""
    scale = call.number(1)
    zero = call.number(2, np.zeros(scale.shape, np.uint8))
    axis = call.attributes.get("axis", 1)
    axis = axis + (0 if value.constant or axis < 0 else 1)
    rank = value.array.ndim
    return _scalar_or_axis(scale, rank, axis), _scalar_or_axis(zero, rank, axis)


def quantize_linear(call: Call) -> Value:
    """QuantizeLinear."""
    value = call.value(0)
    scale, zero = _parameters(call, value)
    if call.optional(2) is None and call.attributes.get("output_dtype") == onnx.TensorProto.INT8:
        zero = zero.astype(np.int8)
    return Plain(value.quantised(scale, zero), value.constant)


def dequantize_linear(call: Call) -> Value:
    """DequantizeLinear: the integers are kept."""
    value = call.value(0)
    scale, zero = _parameters(call, value)
    return Dequantised(value.array, scale, zero, value.constant)


def _bias_sums(bias: Value, scale: np.ndarray, beta: float) -> np.ndarray:
    """Return a bias in steps of the sums, int64 (OC,): the integers when it was dequantised with the scale of the sums."""
    if isinstance(bias, Dequantised) and bias.array.dtype == np.int32:
        own = np.broadcast_to(bias.scale.reshape(-1).astype(np.float64) * beta, scale.shape)
        if np.all(np.abs(own - scale) <= 1e-5 * scale) and not np.any(bias.zero):
            return np.broadcast_to(bias.array.reshape(-1), scale.shape).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):  # a scale that underflowed to zero makes every sum of the channel zero
        steps = np.nan_to_num(np.rint(beta * bias.real().reshape(-1).astype(np.float64) / scale.astype(np.float64)))
    return np.clip(np.broadcast_to(steps, scale.shape), -(2**31), 2**31 - 1).astype(np.int64)


def _convolve(call: Call, x: Dequantised, w: Dequantised, bias: Value | None) -> Sum:
    """Return the sums of a convolution, front axis included."""
    image = x.centred()
    if image.ndim == 6:
        return _convolve_volume(call, x, w, bias)
    shape = image.shape
    rows = image.reshape(shape[0] * shape[1], shape[2], *([1] * (4 - len(shape[1:]))), *shape[3:])
    kernel = w.centred()
    window = window_of(call.attributes, shape[3:], kernel.shape[2:])
    taps = kernel.reshape(*kernel.shape[:2], *([1] * (4 - kernel.ndim)), *kernel.shape[2:])
    sums = products(rows, taps, window, call.attributes.get("group", 1))
    scale = (x.scale.reshape(()) * w.scale.reshape(-1)).astype(np.float32)
    scale = np.broadcast_to(scale, (kernel.shape[0],))
    if bias is not None:
        sums = sums + _bias_sums(bias, scale, 1.0)[:, None, None]
    out = window.out if len(shape) == 5 else window.out[1:]
    rank = len(shape) - 1
    array = wrap(sums).reshape(shape[0], shape[1], kernel.shape[0], *out)
    factors = x.scale.reshape(()).astype(np.float32), w.scale.reshape(-1)
    return Sum(array, scale.reshape(-1, *[1] * (rank - 2)), np.ones((), np.float32), axis_from_end=rank - 1 if bias is None else 0, factors=factors)


def _convolve_volume(call: Call, x: Dequantised, w: Dequantised, bias: Value | None) -> Sum:
    """Return the sums of a convolution of volumes (N, C, D, H, W), front axis included."""
    image, kernel = x.centred(), w.centred()
    sums = volume_products(image.reshape(-1, *image.shape[2:]), kernel, call.attributes)
    scale = np.broadcast_to((x.scale.reshape(()) * w.scale.reshape(-1)).astype(np.float32), (kernel.shape[0],))
    if bias is not None:
        sums = sums + _bias_sums(bias, scale, 1.0)[:, None, None, None]
    array = wrap(sums).reshape(*image.shape[:2], *sums.shape[1:])
    factors = x.scale.reshape(()).astype(np.float32), w.scale.reshape(-1)
    return Sum(array, scale.reshape(-1, 1, 1, 1), np.ones((), np.float32), axis_from_end=4 if bias is None else 0, factors=factors)


def _matrix(x: Dequantised, w: Dequantised, bias: Value | None, *, trans_b: bool, alpha: float = 1.0, beta: float = 1.0) -> Sum:
    """Return the sums of x (.., K) times w (K, OC), or (OC, K) when `trans_b`."""
    kernel = w.centred() if trans_b else w.centred().T
    rows = x.centred().reshape(-1, kernel.shape[1], 1, 1)
    window = window_of({}, (1, 1), (1, 1))
    sums = products(rows, kernel[:, :, None, None], window, 1)[:, :, 0, 0]
    scale = (np.float32(alpha) * x.scale.reshape(()) * w.scale.reshape(-1)).astype(np.float32)
    scale = np.broadcast_to(scale, (kernel.shape[0],))
    if bias is not None:
        sums = sums + _bias_sums(bias, scale, beta)
    array = wrap(sums).reshape(*x.array.shape[:-1], kernel.shape[0])
    factors = np.float32(alpha) * x.scale.reshape(()).astype(np.float32), w.scale.reshape(-1)
    return Sum(array, scale, np.ones((), np.float32), axis_from_end=1 if bias is None else 0, factors=factors)


def _operands(call: Call, *, computed: bool = False) -> tuple[Dequantised, Dequantised]:
    """Return activation and weights; `computed`: which may be an activation too."""
    x, w = call.value(0), call.value(1)
    if not isinstance(x, Dequantised) or not isinstance(w, Dequantised) or x.constant or not (w.constant or computed):
        raise call.refuse("operands other than a dequantised activation and dequantised constant weights")
    return x, w


def _with_bias(result: Sum, bias: Value | None, beta: float = 1.0) -> Sum:
    """Add a float bias, one value a column, in steps of the sums."""
    return result if bias is None else Sum(wrap(result.sums + _bias_sums(bias, result.scale, beta)), result.scale, result.divisor)


def conv(call: Call) -> Value:
    """Conv of dequantised operands."""
    return _convolve(call, *_operands(call), call.optional(2))


def gemm(call: Call) -> Value:
    """Gemm of dequantised operands."""
    a = call.attributes
    x, w = _operands(call, computed=True)
    if not w.constant:
        sums = tensor_product(x, w, trans_a=bool(a.get("transA")), trans_b=bool(a.get("transB")), alpha=a.get("alpha", 1.0))
        return _with_bias(sums, call.optional(2), a.get("beta", 1.0))
    return _matrix(x, w, call.optional(2), trans_b=bool(a.get("transB")), alpha=a.get("alpha", 1.0), beta=a.get("beta", 1.0))


def matmul(call: Call) -> Value:
    """MatMul of dequantised operands."""
    x, w = _operands(call, computed=True)
    return _matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w)


def _given(call: Call, index: int, *, axis: int | None = None) -> Dequantised:
    """Return the operand of a QLinear operator at `index`, scale and zero point in the next two inputs."""
    value = call.value(index)
    scale, zero = call.number(index + 1), call.number(index + 2, np.zeros(1, value.array.dtype))
    rank = value.array.ndim
    if axis is None:
        axis = 0
    return Dequantised(value.array, _scalar_or_axis(scale, rank, axis), _scalar_or_axis(zero, rank, axis), value.constant)


def _result(call: Call, result: Sum | Plain, index: int) -> Value:
    """Quantise the result of a QLinear operator with the scale and zero point at `index` and after it."""
    scale, zero = call.number(index), call.number(index + 1, np.zeros((), np.uint8))
    return Plain(result.quantised(scale.reshape(()), zero.reshape(())))


def _integer_bias(call: Call, index: int) -> Value | None:
    value = call.optional(index)
    return None if value is None else Plain(value.array, True)


def _with_integers(result: Sum, bias: Value | None) -> Sum:
    if bias is None:
        return result
    column = bias.array.reshape(-1, *[1] * (result.axis_from_end - 1)).astype(np.int64)
    return Sum(wrap(result.sums + column), result.scale, result.divisor)


def qlinear_conv(call: Call) -> Value:
    """QLinearConv."""
    sums = _convolve(call, _given(call, 0), _given(call, 3, axis=0), None)
    return _result(call, _with_integers(sums, _integer_bias(call, 8)), 6)


def qlinear_matmul(call: Call) -> Value:
    """QLinearMatMul."""
    x, w = _given(call, 0), _given(call, 3, axis=1)
    return _result(call, _matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w), 6)


def qgemm(call: Call) -> Value:
    """com.microsoft QGemm; without a result scale the result is float."""
    trans_b = bool(call.attributes.get("transB"))
    weights = _given(call, 3, axis=0 if trans_b else 1)
    sums = _matrix(_given(call, 0), weights, None, trans_b=trans_b, alpha=call.attributes.get("alpha", 1.0))
    sums = _with_integers(sums, _integer_bias(call, 6))
    return sums if call.optional(7) is None else _result(call, sums, 7)


def _integer_operands(call: Call, axis: int) -> tuple[Dequantised, Dequantised]:
    one = np.ones(1, np.float32)
    x, w = call.value(0), call.value(1)
    zeros = call.number(2, np.zeros(1, np.int32)), call.number(3, np.zeros(1, np.int32))
    return Dequantised(x.array, one, zeros[0].reshape(-1)), Dequantised(w.array, one, _scalar_or_axis(zeros[1], w.array.ndim, axis), w.constant)


def conv_integer(call: Call) -> Value:
    """ConvInteger: the int32 sums."""
    return Plain(_convolve(call, *_integer_operands(call, 0), None).sums)


def matmul_integer(call: Call) -> Value:
    """MatMulInteger: the int32 sums."""
    x, w = _integer_operands(call, 1)
    return Plain((_matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w)).sums)


def _images(array: np.ndarray) -> np.ndarray:
    """Return (S, N, C, ..) as (S*N, C, H, W)."""
    shape = array.shape
    return array.reshape(shape[0] * shape[1], shape[2], *([1] * (5 - len(shape))), *shape[3:])


def _spatial(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return (S*N, C, H, W) with the leading and spatial rank of `shape`."""
    size = array.shape[2:] if len(shape) == 5 else array.shape[3:]
    return array.reshape(*shape[:3], *size)


def max_pool(call: Call) -> Value:
    """MaxPool, which dequantisation does not disturb."""
    x = call.value(0)
    array = x.array
    if isinstance(x, Sum) and x.divisor.size > 1:
        raise call.refuse("an average that no QuantizeLinear follows")
    window = window_of(call.attributes, array.shape[3:], call.attributes["kernel_shape"], ceil=bool(call.attributes.get("ceil_mode")))
    result = _spatial(window_maxima(_images(array), window), array.shape)
    if isinstance(x, Sum):
        return replace(x, sums=result, axis_from_end=0)  # scales are positive and one a channel: the largest sum is the largest number
    return Dequantised(result, x.scale, x.zero) if isinstance(x, Dequantised) else Plain(result)


def _average(call: Call, x: Dequantised, *, everything: bool) -> Sum:
    shape = x.array.shape
    size = shape[3:] if len(shape) == 5 else (1, *shape[3:])
    kernel = shape[3:] if everything else call.attributes["kernel_shape"]
    attributes = {} if everything else call.attributes
    window = window_of(attributes, shape[3:], kernel, ceil=bool(attributes.get("ceil_mode")))
    count = window_sizes((size[0], size[1]), window, count_padding=bool(attributes.get("count_include_pad")))
    sums = _spatial(window_sums(_images(x.centred()), window), shape)
    divisor = count if len(shape) == 5 else count[0]
    return Sum(sums, x.scale.reshape(()).astype(np.float32), divisor.astype(np.float32))


def average_pool(call: Call) -> Value:
    """AveragePool and GlobalAveragePool of dequantised values."""
    x = call.value(0)
    if isinstance(x, Plain) and call.node.op_type == "GlobalAveragePool":
        return reduction(call)
    if not isinstance(x, Dequantised):
        raise call.refuse("an operand that is not dequantised")
    return _average(call, x, everything=call.node.op_type == "GlobalAveragePool")


def qlinear_average_pool(call: Call) -> Value:
    """com.microsoft QLinearAveragePool and QLinearGlobalAveragePool."""
    if call.attributes.get("channels_last"):
        raise call.refuse("channels_last")
    return _result(call, _average(call, _given(call, 0), everything=call.node.op_type == "QLinearGlobalAveragePool"), 3)


def add(call: Call) -> Value:
    """Add: a float32 sum, or a bias that joins the sums of the product before it."""
    a, b = call.value(0), call.value(1)
    if isinstance(b, Sum):
        a, b = b, a
    if isinstance(a, Sum):
        if not a.axis_from_end or not b.constant:
            raise call.refuse("a sum that no QuantizeLinear follows")
        channels = a.sums.shape[-a.axis_from_end]
        scale = np.broadcast_to(a.scale.reshape(-1), (channels,))
        column = _bias_sums(b, scale, 1.0).reshape(-1, *[1] * (a.axis_from_end - 1))
        return Sum(wrap(a.sums + column), a.scale, a.divisor)
    return elementwise(call)


def qlinear_combination(call: Call) -> Value:
    """com.microsoft QLinearAdd and QLinearMul."""
    function = np.add if call.node.op_type == "QLinearAdd" else np.multiply
    a, b = _given(call, 0), _given(call, 3)
    return _result(call, Plain(function(*(_raised(v, max(_rank(a), _rank(b))) for v in (a, b)))), 6)


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
    return _result(call, Plain(evaluate(node, call.opset, [_given(call, 0).real()])[0]), 3)


def clamp(call: Call) -> Value:
    """Relu and Clip."""
    x = call.value(0)
    if not isinstance(x, Sum | Moved):
        return elementwise(call)
    if call.node.op_type == "Relu":
        return x.clamped(0.0, np.inf)
    low, high = (float(call.number(i, np.array(d)).reshape(-1)[0]) for i, d in ((1, -np.inf), (2, np.inf)))
    return x.clamped(low, high)


def elementwise(call: Call) -> Value:
    """Any element-wise float operator, by onnx.reference."""
    present = [v for v in call.inputs if v is not None]
    if any(isinstance(v, Sum) for v in present):
        raise call.refuse("a sum that no QuantizeLinear follows")
    arrays = [None if v is None else v.real() for v in call.inputs]
    rank = max(a.ndim for a, v in zip(arrays, call.inputs, strict=True) if a is not None and v is not None)
    for i, (array, value) in enumerate(zip(arrays, call.inputs, strict=True)):
        if array is not None and value is not None and not value.constant:
            arrays[i] = array.reshape(array.shape[0], *[1] * (rank - array.ndim), *array.shape[1:])
    (result,) = evaluate(call.node, call.opset, arrays)
    return Plain(result, all(v.constant for v in present), *function_of_one(call, evaluate))


def evaluate(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """Return the outputs of one node, by onnx.reference."""
    feed = {n: a for n, a in zip(node.input, arrays, strict=True) if n and a is not None}
    make = onnx.helper.make_tensor_value_info
    inputs = [make(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feed.items()]
    outputs = [onnx.helper.make_value_info(o, onnx.TypeProto()) for o in node.output if o]
    graph = onnx.helper.make_graph([node], "node", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        return [np.asarray(v) for v in ReferenceEvaluator(model).run(None, feed)]


def reshape(call: Call) -> Value:
    """Flatten, Identity, Reshape, Squeeze, Unsqueeze: evaluated on one sample to find the shape."""
    x = call.value(0)
    front = 0 if x.constant else 1
    one = np.zeros(x.array.shape[front:], np.int8)
    (shaped,) = evaluate(call.node, call.opset, [one, *[call.number(i) for i in range(1, len(call.inputs))]])
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
    return replace(x, array=moved(x.array))


def shape_of(call: Call) -> Value:
    """Shape of one sample."""
    x = call.value(0)
    shape = x.array.shape[0 if x.constant else 1 :]
    return Plain(np.array(shape[call.attributes.get("start", 0) : call.attributes.get("end")], np.int64), True)


def resize(call: Call) -> Value | list[Value]:
    """Resize: linear interpolation, or a movement."""
    return resize_linear(call) if call.attributes.get("mode", b"nearest") == b"linear" else resize_nearest(call)


OPERATORS: dict[tuple[str, str], Callable[[Call], Value | list[Value]]] = {
    ("", "QuantizeLinear"): quantize_linear,
    ("", "DequantizeLinear"): dequantize_linear,
    ("com.microsoft", "QuantizeLinear"): quantize_linear,
    ("com.microsoft", "DequantizeLinear"): dequantize_linear,
    ("", "Conv"): conv,
    ("", "Gemm"): gemm,
    ("", "MatMul"): matmul,
    ("", "QLinearConv"): qlinear_conv,
    ("", "QLinearMatMul"): qlinear_matmul,
    ("com.microsoft", "QGemm"): qgemm,
    ("", "ConvInteger"): conv_integer,
    ("", "MatMulInteger"): matmul_integer,
    ("", "MaxPool"): max_pool,
    ("", "AveragePool"): average_pool,
    ("", "GlobalAveragePool"): average_pool,
    ("com.microsoft", "QLinearAveragePool"): qlinear_average_pool,
    ("com.microsoft", "QLinearGlobalAveragePool"): qlinear_average_pool,
    ("", "Add"): add,
    **{("com.microsoft", name): qlinear_combination for name in ("QLinearAdd", "QLinearMul")},
    **{("com.microsoft", name): qlinear_function for name in ("QLinearLeakyRelu", "QLinearSigmoid")},
    ("", "Div"): divide(elementwise),
    ("", "BatchNormalization"): batch_normalization,
    **{("", name): reduction for name in ("GlobalMaxPool", "ReduceMax", "ReduceMean", "ReduceSum")},
    **{("", name): unchanged for name in ("Cast", "Dropout")},
    ("", "Relu"): clamp,
    ("", "Clip"): clamp,
    **{("", name): reshape for name in ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")},
    ("", "Transpose"): transpose,
    **{("", name): movement(evaluate) for name in MOVING},
    **{("", name): selection(evaluate) for name in SELECTING},
    ("", "Resize"): resize,
    ("com.microsoft", "QLinearConcat"): qlinear_concat,
    ("", "ConvTranspose"): conv_transpose(_bias_sums),
    ("", "Softmax"): softmax,
    ("com.microsoft", "QLinearSoftmax"): qlinear_softmax,
    ("", "LayerNormalization"): layer_normalization,
    (PART_DOMAIN, "ReduceMean"): variance,
    (PART_DOMAIN, "Div"): centred_quotient,
    ("", "Shape"): shape_of,
}
