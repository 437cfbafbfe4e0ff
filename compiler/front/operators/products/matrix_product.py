"""Gemm, MatMul, QGemm, QLinearMatMul and MatMulInteger: by a constant, 1x1 convolutions of (rows, K, 1, 1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.constraints import constant_weights, matrix_weights, quantised_operand, usable_alpha
from compiler.front.operators.products.blockwise import BlockwiseProduct, product_of
from compiler.front.operators.products.computed_product import ComputedProduct, transposed
from compiler.front.operators.products.constant_product import batched, constant_first, constant_vector_first
from compiler.front.operators.products.convolution import (
    constant_operand,
    integer_source,
    integer_weights,
    real_operand,
    result_target,
)
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.weights import weights_of
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Quant, Real, RealConst, Value


def _product(
    node: OnnxNode, source: Real | Quant, x_zero: int, weights: RealConst, described: str, *, trans_b: bool = False, alpha: float = 1.0
) -> Product | BlockwiseProduct:
    node.require(matrix_weights, weights.array.ndim, found=f"shape {weights.shape}")
    rows = weights_of(node, weights if trans_b else weights.moved(np.transpose), described)
    channels, depth = rows.array.shape
    *leading, _ = source.shape
    count = int(np.prod(leading))
    return product_of(
        rows.moved(lambda array: array.reshape(-1, depth, 1, 1)),
        node=node,
        tensor=source.tensor,
        view=(count, depth, 1, 1),
        x_scale=source.scale if isinstance(source, Real) else None,
        x_zero=x_zero,
        out_view=(count, channels, 1, 1),
        shape=(*leading, channels),
        axis_from_end=1,
        alpha=alpha,
    )


def constant_product(node: OnnxNode, source: Real, rows: RealConst, described: str) -> Product | BlockwiseProduct:
    """Return x (.., K) times the transpose of constant weights (N, K)."""
    return _product(node, source, source.zero, rows, described, trans_b=True)


def _plain(product: Product | BlockwiseProduct) -> Product:
    """The product of an operator whose scales are one a channel at most."""
    assert isinstance(product, Product)
    return product


def _real_source(node: OnnxNode) -> tuple[Real, RealConst]:
    value, weights = node.value(0), node.value(1)
    node.require(quantised_operand, value, found=node.describe(0))
    node.require(constant_weights, weights, found=node.describe(1))
    assert isinstance(value, Real)
    assert isinstance(weights, RealConst)
    return value, weights


def _gemm_attributes(node: OnnxNode) -> tuple[bool, float, float]:
    """transB, alpha and beta."""
    alpha = node.attribute("alpha", 1.0)
    node.require(usable_alpha, alpha, found=f"alpha = {alpha}")
    return bool(node.attribute("transB", 0)), float(np.float32(alpha)), float(node.attribute("beta", 1.0))


def _rows(node: OnnxNode, value: Real, index: int = 0) -> Real:
    """Return the first operand of a Gemm as rows: its transpose where transA says so."""
    return transposed(node, value, index) if node.attribute("transA", 0) else value


def gemm(node: OnnxNode) -> list[Value]:
    """Gemm: alpha * A @ B + beta * C."""
    if isinstance(node.value(1), Real):
        return [_computed_gemm(node).pending()]
    trans_b, alpha, beta = _gemm_attributes(node)
    source, weights = _real_source(node)
    source = _rows(node, source)
    product = _product(node, source, source.zero, weights, node.describe(1), trans_b=trans_b, alpha=alpha)
    bias = node.value(2)
    return [product.with_bias(node, bias, beta).pending()]  # type: ignore[arg-type]


def _computed_gemm(node: OnnxNode) -> ComputedProduct:
    """Gemm of two computed matrices."""
    operands = []
    for index, attribute in ((0, "transA"), (1, "transB")):
        value = node.value(index)
        node.require(quantised_operand, value, found=node.describe(index))
        assert isinstance(value, Real)
        operands.append(transposed(node, value, index) if node.attribute(attribute, 0) else value)
    _, alpha, beta = _gemm_attributes(node)
    first, second = operands
    product = ComputedProduct(node, first, second, first.zero, second.zero, alpha)
    bias = node.value(2)
    return product if bias is None else product.with_bias(node, bias, beta)  # type: ignore[arg-type]


def matmul(node: OnnxNode) -> list[Value]:
    """MatMul by a constant matrix or of two tensors; an Add of a constant that follows becomes the bias."""
    first, second = node.value(0), node.value(1)
    if isinstance(first, Real) and isinstance(second, Real):
        return [ComputedProduct(node, first, second, first.zero, second.zero).pending()]
    if isinstance(first, RealConst):
        return constant_vector_first(node, first, second) if len(first.shape) == 1 else constant_first(node, first, second)
    source, weights = _real_source(node)
    if len(weights.shape) == 1:  # a column
        column = weights.moved(lambda array: array.reshape(-1, 1))
        product = _product(node, source, source.zero, column, node.describe(1)).pending()
        return [replace(product, shape=product.shape[:-1])]
    if len(weights.shape) != 2:
        return batched(node, source, weights)
    return [_product(node, source, source.zero, weights, node.describe(1)).pending()]


def qgemm(node: OnnxNode) -> list[Value]:
    """com.microsoft QGemm: a, a_scale, a_zero, b, b_scale, b_zero, int32 c, y_scale, y_zero. Without y_scale the result is float."""
    trans_b, alpha, _ = _gemm_attributes(node)
    source = _rows(node, real_operand(node, 0, 1))
    weights = constant_operand(node, 3, 4, 0 if trans_b else 1)
    product = _plain(_product(node, source, source.zero, weights, node.describe(3), trans_b=trans_b, alpha=alpha))
    bias = node.constant(6)
    if bias is not None:
        product = product.with_bias(node, Const(bias), integers=True)
    if node.value(7) is None:
        return [product.pending()]
    target = result_target(node, 7, 8)
    return [Quant(product.emit(target, (node.label,)), product.shape, target.dtype)]


def qlinear_matmul(node: OnnxNode) -> list[Value]:
    """QLinearMatMul: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    source = real_operand(node, 0, 1)
    target = result_target(node, 6, 7)
    if isinstance(node.value(3), Quant):
        other = real_operand(node, 3, 4)
        computed = ComputedProduct(node, source, other, source.zero, other.zero)
        return [Quant(computed.emit(target, (node.label,)), computed.shape, target.dtype)]
    product = _product(node, source, source.zero, constant_operand(node, 3, 4, 1), node.describe(3))
    return [Quant(product.emit(target, (node.label,)), product.shape, target.dtype)]


def matmul_integer(node: OnnxNode) -> list[Value]:
    """MatMulInteger: a, b, a_zero, b_zero to int32 sums."""
    source, zero = integer_source(node, 2)
    if isinstance(node.value(1), Quant):
        other, other_zero = integer_source(node, 3, 1)
        computed = ComputedProduct(node, source, other, zero, other_zero)
        return [Quant(computed.emit_integers(node.output, (node.label,)), computed.shape, "i32", computed)]
    product = _plain(_product(node, source, zero, integer_weights(node, 3, 1), node.describe(1)))
    return [Quant(product.emit_integers(node.output, (node.label,)), product.shape, "i32", product)]
