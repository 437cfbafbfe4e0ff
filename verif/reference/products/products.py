"""Convolutions and matrix products: exact integer sums, and how QLinear and Integer operators name their operands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verif.reference.call import Call, scalar_or_axis
from verif.reference.products.matrices import constant_matrices, tensor_product
from verif.reference.products.sums import products, volume_products, window_of, wrap
from verif.reference.products.weights import product, with_bias
from verif.reference.values import Dequantised, Plain, Sum, Value, sources_of


def _convolve(call: Call, x: Dequantised, w: Dequantised, bias: Value | None) -> Sum | Plain:
    """Return the sums of a convolution, front axis included."""
    image = x.centred()
    shape = image.shape
    rank = len(shape) - 1
    if image.ndim == 6:
        rows = image.reshape(-1, *shape[2:])

        def sums_of(kernel: np.ndarray) -> np.ndarray:
            sums = volume_products(rows, kernel, call.attributes)
            return sums.reshape(*shape[:2], *sums.shape[1:])
    else:
        rows = image.reshape(shape[0] * shape[1], shape[2], *([1] * (4 - len(shape[1:]))), *shape[3:])
        window = window_of(call.attributes, shape[3:], w.array.shape[2:])
        out = window.out if len(shape) == 5 else window.out[1:]

        def sums_of(kernel: np.ndarray) -> np.ndarray:
            taps = kernel.reshape(*kernel.shape[:2], *([1] * (4 - kernel.ndim)), *kernel.shape[2:])
            sums = products(rows, taps, window, call.attributes.get("group", 1))
            return sums.reshape(shape[0], shape[1], kernel.shape[0], *out)

    return with_bias(call, product(x, w, sums_of, outputs_first=lambda array: array, trailing=rank - 2), bias, trailing=rank - 2)


def matrix(
    call: Call, x: Dequantised, w: Dequantised, bias: Value | None = None, *, trans_b: bool = False, alpha: float = 1.0, beta: float = 1.0
) -> Sum | Plain:
    """Return the sums of x (.., K) times w (K, OC), or (OC, K) when `trans_b`."""

    def sums_of(kernel: np.ndarray) -> np.ndarray:
        rows = x.centred().reshape(-1, kernel.shape[1], 1, 1)
        sums = products(rows, kernel[:, :, None, None], window_of({}, (1, 1), (1, 1)), 1)
        return sums.reshape(*x.array.shape[:-1], kernel.shape[0])

    result = product(x, w, sums_of, outputs_first=lambda array: array if trans_b else array.T, trailing=0, alpha=alpha)
    return with_bias(call, result, bias, beta)


def _operands(call: Call, *, computed: bool = False) -> tuple[Dequantised, Dequantised]:
    """Return activation and weights; `computed`: which may be an activation too."""
    x, w = call.value(0), call.value(1)
    if not isinstance(x, Dequantised) or not isinstance(w, Dequantised) or x.constant or not (w.constant or computed):
        raise call.refuse("operands other than a dequantised activation and dequantised constant weights")
    return x, w


def conv(call: Call) -> Value:
    """Conv of dequantised operands."""
    return _convolve(call, *_operands(call), call.optional(2))


def _transposed(x: Dequantised) -> Dequantised:
    """The transpose of each sample."""
    return replace(x, array=x.array.swapaxes(-1, -2), behind=())


def gemm(call: Call) -> Value:
    """Gemm of dequantised operands; beta times a third operand that is computed is added to the product in float32."""
    a = call.attributes
    x, w = _operands(call, computed=True)
    third, beta = call.optional(2), a.get("beta", 1.0)
    bias = third if third is None or third.constant else None
    if not w.constant:
        sums = tensor_product(x, w, trans_a=bool(a.get("transA")), trans_b=bool(a.get("transB")), alpha=a.get("alpha", 1.0))
        result = with_bias(call, sums, bias, beta)
    else:
        x = _transposed(x) if a.get("transA") else x
        result = matrix(call, x, w, bias, trans_b=bool(a.get("transB")), alpha=a.get("alpha", 1.0), beta=beta)
    if third is bias:
        return result
    addend = np.float32(beta) * third.real().astype(np.float32)  # type: ignore[union-attr]
    return Plain(result.real().astype(np.float32) + addend.reshape(addend.shape[0], *[1] * (3 - addend.ndim), *addend.shape[1:]))


def matmul(call: Call) -> Value:
    """MatMul of dequantised operands."""
    front, back = call.value(0), call.value(1)
    if all(isinstance(v, Dequantised) for v in (front, back)) and (front.constant or (back.constant and back.array.ndim != 2)):
        return constant_matrices(call, front, back)  # type: ignore[arg-type]
    x, w = _operands(call, computed=True)
    return matrix(call, x, w) if w.constant else tensor_product(x, w)


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
    scale, zero = call.number(index), call.number(index + 1, np.zeros((), call.value(0).array.dtype))
    return Plain(result.quantised(scale.reshape(()), zero.reshape(())), behind=sources_of(result))


def _integer_bias(call: Call, index: int) -> Value | None:
    value = call.optional(index)
    return None if value is None else Plain(value.array, True)


def _with_integers(call: Call, result: Sum | Plain, bias: Value | None) -> Sum | Plain:
    if bias is None:
        return result
    if isinstance(result, Plain):
        raise call.refuse("an int32 bias of weights with scales in blocks")
    column = bias.array.reshape(-1, *[1] * (result.axis_from_end - 1)).astype(np.int64)
    return replace(result, sums=wrap(result.sums + column), takes=result.takes - {"bias"})


def qlinear_conv(call: Call) -> Value:
    """QLinearConv."""
    sums = _convolve(call, given(call, 0), given(call, 3, axis=0), None)
    return quantised_result(call, _with_integers(call, sums, _integer_bias(call, 8)), 6)


def qlinear_matmul(call: Call) -> Value:
    """QLinearMatMul."""
    x, w = given(call, 0), given(call, 3, axis=1)
    return quantised_result(call, matrix(call, x, w) if w.constant else tensor_product(x, w), 6)


def qgemm(call: Call) -> Value:
    """com.microsoft QGemm; without a result scale the result is float."""
    trans_b = bool(call.attributes.get("transB"))
    weights = given(call, 3, axis=0 if trans_b else 1)
    x = given(call, 0)
    sums = matrix(call, _transposed(x) if call.attributes.get("transA") else x, weights, trans_b=trans_b, alpha=call.attributes.get("alpha", 1.0))
    sums = _with_integers(call, sums, _integer_bias(call, 6))
    return sums if call.optional(7) is None else quantised_result(call, sums, 7)


def _integer_operands(call: Call, axis: int) -> tuple[Dequantised, Dequantised]:
    one = np.ones(1, np.float32)
    x, w = call.value(0), call.value(1)
    zeros = call.number(2, np.zeros(1, np.int32)), call.number(3, np.zeros(1, np.int32))
    return Dequantised(x.array, one, zeros[0].reshape(-1)), Dequantised(w.array, one, scalar_or_axis(zeros[1], w.array.ndim, axis), w.constant)


def conv_integer(call: Call) -> Value:
    """ConvInteger: the int32 sums."""
    result = _convolve(call, *_integer_operands(call, 0), None)
    assert isinstance(result, Sum), "all scales are 1"
    return Plain(result.sums, product=replace(result, takes=result.takes | {"numbers"}))


def matmul_integer(call: Call) -> Value:
    """MatMulInteger: the int32 sums."""
    x, w = _integer_operands(call, 1)
    result = matrix(call, x, w) if w.constant else tensor_product(x, w)
    assert isinstance(result, Sum), "all scales are 1"
    return Plain(result.sums, product=replace(result, takes=result.takes | {"numbers"}))
