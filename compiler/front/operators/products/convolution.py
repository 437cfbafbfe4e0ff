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
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Quant, Quantisation, Real, RealConst, Shape, Value
from compiler.front.state.windows import read_window
from compiler.ir.network import RANGES


def real_operand(node: OnnxNode, index: int, scale_index: int) -> Real:
    """Return the activation at input `index` of a QLinear operator, its scale and zero point the two inputs from `scale_index`."""
    value = node.value(index)
    node.require(integer_operand, value, found=node.describe(index))
    assert isinstance(value, Quant)
    scale, zero, _ = node.quantisation(scale_index, scale_index + 1)
    return node.builder.dequantise(value, scale, zero, node.label)


def result_target(node: OnnxNode, scale_index: int, zero_index: int) -> Quantisation:
    """Return how a QLinear operator quantises its result."""
    scale, zero, dtype = node.quantisation(scale_index, zero_index)
    if node.value(zero_index) is None:  # then the result is of the operands' type
        dtype = next((v.dtype for v in node.values.peek() if isinstance(v, Quant)), dtype)
    node.require(eight_bits, dtype, found=dtype)
    return Quantisation(node.output, dtype, scale, zero, *RANGES[dtype])


def constant_operand(node: OnnxNode, index: int, scale_index: int, axis: int) -> RealConst:
    """Return the weights at input `index` of a QLinear operator with their scales and zero points."""
    value = node.value(index)
    if not isinstance(value, Const):
        node.refuse(constant_weights, node.describe(index))
    return real_constant(node, value.array, node.constant(scale_index), node.constant(scale_index + 1), axis)


def _product(node: OnnxNode, source: Real | Quant, x_zero: int, weights: RealConst, described: str) -> Product | BlockwiseProduct:
    kernel = weights_of(node, weights, described)
    shape: Shape = source.shape
    node.require(two_dimensions_at_most, len(shape), found=f"an input of shape {shape}")
    window = read_window(node, shape, kernel.array.shape[2:])
    if kernel.array.ndim == 3:
        kernel = kernel.moved(lambda array: array[:, :, None])
    channels = kernel.array.shape[0]
    return product_of(
        kernel,
        node=node,
        tensor=source.tensor,
        view=default_view(shape),
        x_scale=source.scale if isinstance(source, Real) else None,
        x_zero=x_zero,
        out_view=(shape[0], channels, *window.out),
        shape=window.onnx_shape(shape[0], channels),
        axis_from_end=len(shape) - 1,
        window=window,
        group=node.attribute("group", 1),
    )


def conv(node: OnnxNode) -> list[Value]:
    """Conv of dequantised tensors: waits for its QuantizeLinear."""
    value = node.value(0)
    node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real)
    node.require(constant_weights, node.value(1), found=node.describe(1))
    weights, bias = node.value(1), node.value(2)
    assert isinstance(weights, RealConst)
    node.require(constant_parameters, bias, found=node.describe(2) if bias is not None else "")
    product = _product(node, value, value.zero, weights, node.describe(1))
    # The bias of Conv is (OC,): one value a channel, not a broadcast shape.
    if isinstance(bias, Const | RealConst):
        product = product.with_bias(node, column(bias, product.axis_from_end - 1))
    return [product.pending()]


def column(bias: Const | RealConst, spatial: int) -> Const | RealConst:
    """Return the bias (OC,) of a convolution as it broadcasts against its result of so many spatial dimensions."""
    shape = (-1, *[1] * spatial)
    return Const(bias.array.reshape(shape)) if isinstance(bias, Const) else bias.moved(lambda array: array.reshape(shape))


def qlinear_conv(node: OnnxNode) -> list[Value]:
    """QLinearConv: x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, int32 bias."""
    source = real_operand(node, 0, 1)
    product = _product(node, source, source.zero, constant_operand(node, 3, 4, 0), node.describe(3))
    assert isinstance(product, Product), "scales are one a channel"
    bias = node.constant(8)
    if bias is not None:
        product = product.with_bias(node, column(Const(bias), product.axis_from_end - 1), integers=True)
    target = result_target(node, 6, 7)
    return [Quant(product.emit(target, (node.label,)), product.shape, target.dtype)]


def conv_integer(node: OnnxNode) -> list[Value]:
    """ConvInteger: x, w, x_zero, w_zero to int32 sums."""
    source, zero = integer_source(node, 2)
    product = _product(node, source, zero, integer_weights(node, 3, 0), node.describe(1))
    assert isinstance(product, Product), "all scales are 1"
    return [Quant(product.emit_integers(node.output, (node.label,)), product.shape, "i32", product)]


def integer_source(node: OnnxNode, zero_index: int, index: int = 0) -> tuple[Quant, int]:
    """Return the activation at input `index` and its zero point of an Integer operator."""
    value = node.value(index)
    node.require(integer_operand, value, found=node.describe(index))
    assert isinstance(value, Quant)
    zero = node.constant(zero_index)
    zero = np.zeros(1, np.int64) if zero is None else zero
    node.require(one_scale, np.ones(1), zero, found=f"{zero.size} zero points")
    return value, int(zero.flat[0])


def integer_weights(node: OnnxNode, zero_index: int, axis: int) -> RealConst:
    """Return the weights of an Integer operator, with scale 1."""
    value = node.value(1)
    if not isinstance(value, Const):
        node.refuse(constant_weights, node.describe(1))
    return real_constant(node, value.array, None, node.constant(zero_index), axis)

