"""Averages of windows as products with weights of one, where they are operands of float operations or leave the network:
float32(float32(int32 sum) * s_x) / elements, both operations rounded to float32."""

from __future__ import annotations

import numpy as np

from compiler.front.floats.formula import number, operation
from compiler.front.operators.products.linear import Product
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Formula, Real, Shape
from compiler.front.state.windows import Window
from compiler.ir.network import Shape4


def averaged(node: OnnxNode, source: Real, view: Shape4, window: Window, shape: Shape, divisor: int) -> Formula:
    """Return the sums of a tensor's windows, seen as `view`, over a divisor: the operations that the average, of ONNX shape `shape`, is."""
    channels = view[1]
    sums = Product(
        node=node, tensor=source.tensor, view=view, x_scale=source.scale, x_zero=source.zero, weight=np.ones((channels, 1, *window.kernel), np.int8),
        w_scale=np.ones(1, np.float32), w_zero=0, out_view=(*view[:2], *window.out), shape=shape, axis_from_end=len(shape) - 1, window=window, group=channels,
        own=False,
    ).pending()  # fmt: skip
    return sums if divisor == 1 else operation(node, "DIV", sums, number(divisor))


__all__ = ["averaged"]
