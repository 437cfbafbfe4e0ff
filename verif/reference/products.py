"""Convolutions and matrix products: exact integer sums, and how QLinear and Integer operators name their operands."""

from __future__ import annotations

import numpy as np

from verif.reference.call import Call, scalar_or_axis
from verif.reference.matrices import constant_matrices, tensor_product
from verif.reference.sums import products, volume_products, window_of, wrap
from verif.reference.values import Dequantised, Plain, Sum, Value, sources_of


def bias_sums(bias: Value, scale: np.ndarray, beta: float) -> np.ndarray:
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
        sums = sums + bias_sums(bias, scale, 1.0)[:, None, None]
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
        sums = sums + bias_sums(bias, scale, 1.0)[:, None, None, None]
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
        sums = sums + bias_sums(bias, scale, beta)
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
    return result if bias is None else Sum(wrap(result.sums + bias_sums(bias, result.scale, beta)), result.scale, result.divisor)


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
    front, back = call.value(0), call.value(1)
    if all(isinstance(v, Dequantised) for v in (front, back)) and (front.constant or (back.constant and back.array.ndim > 2)):
        return constant_matrices(call, front, back)  # type: ignore[arg-type]
    x, w = _operands(call, computed=True)
    return _matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w)


def given(call: Call, index: int, *, axis: int | None = None) -> Dequantised:
    """Return the operand of a QLinear operator at `index`, scale and zero point in the next two inputs."""
    value = call.value(index)
    scale, zero = call.number(index + 1), call.number(index + 2, np.zeros(1, value.array.dtype))
    rank = value.array.ndim
    if axis is None:
        axis = 0
    return Dequantised(value.array, scalar_or_axis(scale, rank, axis), scalar_or_axis(zero, rank, axis), value.constant, sources_of(value))


def quantised_result(call: Call, result: Sum | Plain, index: int) -> Value:
    """Quantise the result of a QLinear operator with the scale and zero point at `index` and after it."""
    scale, zero = call.number(index), call.number(index + 1, np.zeros((), np.uint8))
    return Plain(result.quantised(scale.reshape(()), zero.reshape(())), behind=sources_of(result))


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
    sums = _convolve(call, given(call, 0), given(call, 3, axis=0), None)
    return quantised_result(call, _with_integers(sums, _integer_bias(call, 8)), 6)


def qlinear_matmul(call: Call) -> Value:
    """QLinearMatMul."""
    x, w = given(call, 0), given(call, 3, axis=1)
    return quantised_result(call, _matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w), 6)


def qgemm(call: Call) -> Value:
    """com.microsoft QGemm; without a result scale the result is float."""
    trans_b = bool(call.attributes.get("transB"))
    weights = given(call, 3, axis=0 if trans_b else 1)
    sums = _matrix(given(call, 0), weights, None, trans_b=trans_b, alpha=call.attributes.get("alpha", 1.0))
    sums = _with_integers(sums, _integer_bias(call, 6))
    return sums if call.optional(7) is None else quantised_result(call, sums, 7)


def _integer_operands(call: Call, axis: int) -> tuple[Dequantised, Dequantised]:
    one = np.ones(1, np.float32)
    x, w = call.value(0), call.value(1)
    zeros = call.number(2, np.zeros(1, np.int32)), call.number(3, np.zeros(1, np.int32))
    return Dequantised(x.array, one, zeros[0].reshape(-1)), Dequantised(w.array, one, scalar_or_axis(zeros[1], w.array.ndim, axis), w.constant)


def conv_integer(call: Call) -> Value:
    """ConvInteger: the int32 sums."""
    return Plain(_convolve(call, *_integer_operands(call, 0), None).sums)


def matmul_integer(call: Call) -> Value:
    """MatMulInteger: the int32 sums."""
    x, w = _integer_operands(call, 1)
    return Plain((_matrix(x, w, None, trans_b=False) if w.constant else tensor_product(x, w)).sums)
