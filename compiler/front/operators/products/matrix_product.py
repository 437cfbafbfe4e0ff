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
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Quant, Real, RealConst, Value


def _product(
    step: Step, source: Real | Quant, x_zero: int, weights: RealConst, described: str, *, trans_b: bool = False, alpha: float = 1.0
) -> Product | BlockwiseProduct:
    step.require(matrix_weights, weights.array.ndim, found=f"shape {weights.shape}")
    rows = weights_of(step, weights if trans_b else weights.moved(np.transpose), described)
    channels, depth = rows.array.shape
    *leading, _ = source.shape
    count = int(np.prod(leading))
    return product_of(
        rows.moved(lambda array: array.reshape(-1, depth, 1, 1)),
        step=step,
        tensor=source.tensor,
        view=(count, depth, 1, 1),
        x_scale=source.scale if isinstance(source, Real) else None,
        x_zero=x_zero,
        out_view=(count, channels, 1, 1),
        shape=(*leading, channels),
        axis_from_end=1,
        alpha=alpha,
    )


def _plain(product: Product | BlockwiseProduct) -> Product:
    """The product of an operator whose scales are one a channel at most."""
    assert isinstance(product, Product)
    return product


def _real_source(step: Step) -> tuple[Real, RealConst]:
    value, weights = step.value(0), step.value(1)
    step.require(quantised_operand, value, found=step.describe(0))
    step.require(constant_weights, weights, found=step.describe(1))
    assert isinstance(value, Real)
    assert isinstance(weights, RealConst)
    return value, weights


def _gemm_attributes(step: Step) -> tuple[bool, float, float]:
    """transB, alpha and beta."""
    alpha = step.attribute("alpha", 1.0)
    step.require(usable_alpha, alpha, found=f"alpha = {alpha}")
    return bool(step.attribute("transB", 0)), float(np.float32(alpha)), float(step.attribute("beta", 1.0))


def _rows(step: Step, value: Real, index: int = 0) -> Real:
    """Return the first operand of a Gemm as rows: its transpose where transA says so."""
    return transposed(step, value, index) if step.attribute("transA", 0) else value


def gemm(step: Step) -> list[Value]:
    """Gemm: alpha * A @ B + beta * C."""
    if isinstance(step.value(1), Real):
        return [_computed_gemm(step).pending()]
    trans_b, alpha, beta = _gemm_attributes(step)
    source, weights = _real_source(step)
    source = _rows(step, source)
    product = _product(step, source, source.zero, weights, step.describe(1), trans_b=trans_b, alpha=alpha)
    bias = step.value(2)
    return [product.with_bias(step, bias, beta).pending()]  # type: ignore[arg-type]


def _computed_gemm(step: Step) -> ComputedProduct:
    """Gemm of two computed matrices."""
    operands = []
    for index, attribute in ((0, "transA"), (1, "transB")):
        value = step.value(index)
        step.require(quantised_operand, value, found=step.describe(index))
        assert isinstance(value, Real)
        operands.append(transposed(step, value, index) if step.attribute(attribute, 0) else value)
    _, alpha, beta = _gemm_attributes(step)
    first, second = operands
    product = ComputedProduct(step, first, second, first.zero, second.zero, alpha)
    bias = step.value(2)
    return product if bias is None else product.with_bias(step, bias, beta)  # type: ignore[arg-type]


def matmul(step: Step) -> list[Value]:
    """MatMul by a constant matrix or of two tensors; an Add of a constant that follows becomes the bias."""
    first, second = step.value(0), step.value(1)
    if isinstance(first, Real) and isinstance(second, Real):
        return [ComputedProduct(step, first, second, first.zero, second.zero).pending()]
    if isinstance(first, RealConst):
        return constant_vector_first(step, first, second) if len(first.shape) == 1 else constant_first(step, first, second)
    source, weights = _real_source(step)
    if len(weights.shape) == 1:  # a column
        column = weights.moved(lambda array: array.reshape(-1, 1))
        product = _product(step, source, source.zero, column, step.describe(1)).pending()
        return [replace(product, shape=product.shape[:-1])]
    if len(weights.shape) != 2:
        return batched(step, source, weights)
    return [_product(step, source, source.zero, weights, step.describe(1)).pending()]


def qgemm(step: Step) -> list[Value]:
    """com.microsoft QGemm: a, a_scale, a_zero, b, b_scale, b_zero, int32 c, y_scale, y_zero. Without y_scale the result is float."""
    trans_b, alpha, _ = _gemm_attributes(step)
    source = _rows(step, real_operand(step, 0, 1))
    weights = constant_operand(step, 3, 4, 0 if trans_b else 1)
    product = _plain(_product(step, source, source.zero, weights, step.describe(3), trans_b=trans_b, alpha=alpha))
    bias = step.constant(6)
    if bias is not None:
        product = product.with_bias(step, Const(bias), integers=True)
    if step.value(7) is None:
        return [product.pending()]
    target = result_target(step, 7, 8)
    return [Quant(product.emit(target, (step.label,)), product.shape, target.dtype)]


def qlinear_matmul(step: Step) -> list[Value]:
    """QLinearMatMul: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    source = real_operand(step, 0, 1)
    target = result_target(step, 6, 7)
    if isinstance(step.value(3), Quant):
        other = real_operand(step, 3, 4)
        computed = ComputedProduct(step, source, other, source.zero, other.zero)
        return [Quant(computed.emit(target, (step.label,)), computed.shape, target.dtype)]
    product = _product(step, source, source.zero, constant_operand(step, 3, 4, 1), step.describe(3))
    return [Quant(product.emit(target, (step.label,)), product.shape, target.dtype)]


def matmul_integer(step: Step) -> list[Value]:
    """MatMulInteger: a, b, a_zero, b_zero to int32 sums."""
    source, zero = integer_source(step, 2)
    if isinstance(step.value(1), Quant):
        other, other_zero = integer_source(step, 3, 1)
        computed = ComputedProduct(step, source, other, zero, other_zero)
        return [Quant(computed.emit_integers(step.output, (step.label,)), computed.shape, "i32", computed)]
    product = _plain(_product(step, source, zero, integer_weights(step, 3, 1), step.describe(1)))
    return [Quant(product.emit_integers(step.output, (step.label,)), product.shape, "i32", product)]
