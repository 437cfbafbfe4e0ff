"""Conv, QLinearConv and ConvInteger."""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import (
    constant_parameters,
    constant_weights,
    eight_bits,
    integer_operand,
    one_scale,
    quantised_operand,
    two_dimensions_at_most,
)
from compiler.front.operators.products.blockwise import BlockwiseProduct, product_of
from compiler.front.operators.products.constants import real_constant
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.weights import weights_of
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Quant, Quantisation, Real, RealConst, Shape, Value
from compiler.front.state.windows import read_window
from compiler.ir.graph import RANGES


def real_operand(step: Step, index: int, scale_index: int) -> Real:
    """Return the activation at input `index` of a QLinear operator, its scale and zero point the two inputs from `scale_index`."""
    value = step.value(index)
    step.require(integer_operand, value, found=step.describe(index))
    assert isinstance(value, Quant)
    scale, zero, _ = step.quantisation(scale_index, scale_index + 1)
    return step.builder.dequantise(value, scale, zero, step.label)


def result_target(step: Step, scale_index: int, zero_index: int) -> Quantisation:
    """Return how a QLinear operator quantises its result."""
    scale, zero, dtype = step.quantisation(scale_index, zero_index)
    if step.value(zero_index) is None:  # then the result is of the operands' type
        dtype = next((v.dtype for v in step.values.peek() if isinstance(v, Quant)), dtype)
    step.require(eight_bits, dtype, found=dtype)
    return Quantisation(step.output, dtype, scale, zero, *RANGES[dtype])


def constant_operand(step: Step, index: int, scale_index: int, axis: int) -> RealConst:
    """Return the weights at input `index` of a QLinear operator with their scales and zero points."""
    value = step.value(index)
    if not isinstance(value, Const):
        step.refuse(constant_weights, step.describe(index))
    return real_constant(step, value.array, step.constant(scale_index), step.constant(scale_index + 1), axis)


def _product(step: Step, source: Real | Quant, x_zero: int, weights: RealConst, described: str) -> Product | BlockwiseProduct:
    kernel = weights_of(step, weights, described)
    shape: Shape = source.shape
    step.require(two_dimensions_at_most, len(shape), found=f"an input of shape {shape}")
    window = read_window(step, shape, kernel.array.shape[2:])
    if kernel.array.ndim == 3:
        kernel = kernel.moved(lambda array: array[:, :, None])
    channels = kernel.array.shape[0]
    return product_of(
        kernel,
        step=step,
        tensor=source.tensor,
        view=default_view(shape),
        x_scale=source.scale if isinstance(source, Real) else None,
        x_zero=x_zero,
        out_view=(shape[0], channels, *window.out),
        shape=window.onnx_shape(shape[0], channels),
        axis_from_end=len(shape) - 1,
        window=window,
        group=step.attribute("group", 1),
    )


def conv(step: Step) -> list[Value]:
    """Conv of dequantised tensors: waits for its QuantizeLinear."""
    value = step.value(0)
    step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real)
    step.require(constant_weights, step.value(1), found=step.describe(1))
    weights, bias = step.value(1), step.value(2)
    assert isinstance(weights, RealConst)
    step.require(constant_parameters, bias, found=step.describe(2) if bias is not None else "")
    product = _product(step, value, value.zero, weights, step.describe(1))
    # The bias of Conv is (OC,): one value a channel, not a broadcast shape.
    if isinstance(bias, Const | RealConst):
        product = product.with_bias(step, column(bias, product.axis_from_end - 1))
    return [product.pending()]


def column(bias: Const | RealConst, spatial: int) -> Const | RealConst:
    """Return the bias (OC,) of a convolution as it broadcasts against its result of so many spatial dimensions."""
    shape = (-1, *[1] * spatial)
    return Const(bias.array.reshape(shape)) if isinstance(bias, Const) else bias.moved(lambda array: array.reshape(shape))


def qlinear_conv(step: Step) -> list[Value]:
    """QLinearConv: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, int32 bias."""
    source = real_operand(step, 0, 1)
    product = _product(step, source, source.zero, constant_operand(step, 3, 4, 0), step.describe(3))
    assert isinstance(product, Product), "scales are one a channel"
    bias = step.constant(8)
    if bias is not None:
        product = product.with_bias(step, column(Const(bias), product.axis_from_end - 1), integers=True)
    target = result_target(step, 6, 7)
    return [Quant(product.emit(target, (step.label,)), product.shape, target.dtype)]


def conv_integer(step: Step) -> list[Value]:
    """ConvInteger: x, w, x_zero, w_zero to int32 sums."""
    source, zero = integer_source(step, 2)
    product = _product(step, source, zero, integer_weights(step, 3, 0), step.describe(1))
    assert isinstance(product, Product), "all scales are 1"
    return [Quant(product.emit_integers(step.output, (step.label,)), product.shape, "i32", product)]


def integer_source(step: Step, zero_index: int, index: int = 0) -> tuple[Quant, int]:
    """Return the activation at input `index` and its zero point of an Integer operator."""
    value = step.value(index)
    step.require(integer_operand, value, found=step.describe(index))
    assert isinstance(value, Quant)
    zero = step.constant(zero_index)
    zero = np.zeros(1, np.int64) if zero is None else zero
    step.require(one_scale, np.ones(1), zero, found=f"{zero.size} zero points")
    return value, int(zero.flat[0])


def integer_weights(step: Step, zero_index: int, axis: int) -> RealConst:
    """Return the weights of an Integer operator, with scale 1."""
    value = step.value(1)
    if not isinstance(value, Const):
        step.refuse(constant_weights, step.describe(1))
    return real_constant(step, value.array, None, step.constant(zero_index), axis)

