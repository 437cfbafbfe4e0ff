"""MatMul by constants that are no single matrix behind the activation: a batch of matrices, or a matrix in front.

    x (.., G, M, K) @ w (G, K, N)      a convolution in G groups, of rows (.. M) with G K channels: movements before and after it
    w (M, K) @ x (.., K, N)            the transpose of x' @ w', x' (.., N, K)
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from compiler.front.constraints import batched_weights, quantised_operand
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.blockwise import BlockwiseProduct, product_of
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.weights import weights_of
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Real, RealConst, Shape, Value


def _stack(weights: RealConst) -> RealConst:
    """Return matrices (groups.., K, N) as rows (G N, K)."""
    k, n = weights.shape[-2:]
    return weights.moved(lambda array: array.reshape(-1, k, n).swapaxes(1, 2).reshape(-1, k))


def _rows(node: OnnxNode, source: Real, rows: RealConst, groups: int, described: str) -> Product | BlockwiseProduct:
    """The product of (.., groups K) with rows (groups N, K) in `groups` groups."""
    weights = weights_of(node, rows, described)
    *leading, _ = source.shape
    (out, depth), count = rows.shape, int(prod(leading))
    return product_of(
        weights.moved(lambda array: array.reshape(-1, depth, 1, 1)), node=node, tensor=source.tensor, view=(count, groups * depth, 1, 1),
        x_scale=source.scale, x_zero=source.zero, out_view=(count, out, 1, 1), shape=(*leading, out), axis_from_end=1, group=groups,
    )


def _permuted(node: OnnxNode, value: Value, shape: Shape, order: list[int], name: str) -> Value:
    """Return a value seen as `shape` with its dimensions in another order."""
    return moved(node, [value], numbered([value])[0].reshape(shape).transpose(order), name=name)


def batched(node: OnnxNode, source: Real, weights: RealConst) -> list[Value]:
    """x times a batch of constant matrices; a vector is a row, whose dimension the result has not."""
    if len(source.shape) == 1:
        (row,) = batched(node, replace(source, shape=(1, *source.shape)), weights)
        assert isinstance(row, Pending)
        return [replace(row, shape=(*row.shape[:-2], row.shape[-1]), of=None)]
    shape = weights.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    groups, (m, k) = shape[:-2], source.shape[-2:]
    leading = source.shape[: len(source.shape) - len(shape)]
    fits = source.shape[len(leading) : -2] == groups
    node.require(batched_weights, fits, found=f"shape {weights.shape} for an operand of shape {source.shape}")
    rows = _stack(weights.moved(lambda array: array.reshape(shape)))
    count, g, at = prod(leading), prod(groups), len(leading)
    grouped = _permuted(node, source, (count, g, m, k), [0, 2, 1, 3], f"{node.output}/rows")
    assert isinstance(grouped, Real), "movement keeps the quantisation"
    flat = replace(grouped, shape=(count, m, g * k))
    product = _rows(node, flat, rows, g, node.describe(1)).pending()
    n = shape[-1]
    result = _permuted(node, product, (count, m, g, n), [0, 2, 1, 3], f"{node.output}/matrices")
    assert at + len(groups) + 2 == len(source.shape)
    assert isinstance(result, Pending)
    ones = (1,) * (len(weights.shape) - len(source.shape))  # of weights with more dimensions
    return [replace(result, shape=(*ones, *leading, *groups, m, n), of=result.of if not ones else None)]


def constant_first(node: OnnxNode, weights: RealConst, source: Value | None) -> list[Value]:
    """A constant matrix times x."""
    node.require(quantised_operand, source, found=node.describe(1))
    assert isinstance(source, Real)
    node.require(batched_weights, len(weights.shape) == 2, found=f"shape {weights.shape} in front")
    rank = len(source.shape)
    order = [*range(rank - 2), rank - 1, rank - 2] if rank > 1 else [0]
    turned = _permuted(node, source, source.shape, order, f"{node.name_of(1)}/transposed")
    assert isinstance(turned, Real), "movement keeps the quantisation"
    product = _rows(node, turned, weights, 1, node.describe(0)).pending()
    return [_permuted(node, product, product.shape, order, f"{node.output}/transposed") if rank > 1 else replace(product, of=None)]


def constant_vector_first(node: OnnxNode, weights: RealConst, source: Value | None) -> list[Value]:
    """A constant vector times x: a row, whose dimension the result has not."""
    (product,) = constant_first(node, weights.moved(lambda array: array.reshape(1, -1)), source)
    assert isinstance(product, Pending)
    at = len(product.shape) - 2 if len(product.shape) > 1 else 0
    return [replace(product, shape=(*product.shape[:at], *product.shape[at + 1 :]), of=None)]


__all__ = ["batched", "constant_first", "constant_vector_first"]
