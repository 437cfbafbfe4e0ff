"""Random products of two computed matrices, drawn onto a network that `verif.random.networks` builds.

    gram        x times its transpose over the last two axes, or the transpose times x
    attend      x times a matrix made of x: a table of x and its transpose, their product, times x
    spread      x times one matrix for all: leading dimensions that broadcast
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verif.random.network_builder import Activation

Drawn = Callable[[Any, Activation], Activation]


def _product(draw: Any, a: Activation, b: Activation) -> Activation:
    """MatMul in QDQ form, or QLinearMatMul."""
    builder = draw.b
    result = builder.node("MatMul", [builder.dequantised(a), builder.dequantised(b)])
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    if draw.chance(0.7) or a.dtype != b.dtype:
        return builder.quantised(result, shape)
    real = builder.values[result].real()
    builder.nodes.pop()
    return builder.qlinear("QLinearMatMul", real, [a.name, a.scale_name, a.zero_name, b.name, b.scale_name, b.zero_name], [], like=a)


def _transposed(draw: Any, x: Activation) -> Activation:
    """The last two axes of x exchanged, on the integers or between DequantizeLinear and QuantizeLinear."""
    b, rank = draw.b, len(x.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
    if draw.chance(0.5):
        return Activation(b.node("Transpose", [x.name], perm=order), shape, x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)
    moved = b.node("Transpose", [b.dequantised(x)], perm=order)
    return Activation(b.node("QuantizeLinear", [moved, x.scale_name, x.zero_name]), shape, x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)


def gram(draw: Any, x: Activation) -> Activation:
    """x x^T or x^T x."""
    pair = (x, _transposed(draw, x))
    return _product(draw, *(pair if draw.chance(0.5) else pair[::-1]))


def attend(draw: Any, x: Activation) -> Activation:
    """f(x x^T) x, as attention without its linear layers."""
    b = draw.b
    weights = _product(draw, x, _transposed(draw, x))
    table = b.quantised(b.node(str(draw.rng.choice(["Sigmoid", "Tanh", "Relu"])), [b.dequantised(weights)]), weights.shape)
    return _product(draw, table, x)


def spread(draw: Any, x: Activation) -> Activation:
    """x times the transpose of its first matrix."""
    b = draw.b
    first = x
    for axis in range(len(x.shape) - 2):
        bounds = [b.constant("bound", np.array([v], np.int64)) for v in (0, 1, axis)]
        name = b.node("Slice", [first.name, *bounds])
        shape = tuple(1 if i == axis else d for i, d in enumerate(first.shape))
        first = Activation(name, shape, x.scale_name, x.zero_name, x.scale, x.zero, x.dtype)
    return _product(draw, x, _transposed(draw, first))


PRODUCTS: dict[str, Drawn] = {"gram": gram, "attend": attend, "spread": spread}

__all__ = ["PRODUCTS"]
