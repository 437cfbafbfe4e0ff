"""AveragePool of a sum that nothing has quantised: a convolution with weights of one, over the window and over what is summed.

    x (N, r, C, H, W) -> DQ -> ReduceSum over r -> AveragePool -> Q          the C r images, r of them in each of C groups

Every window must average as many elements: where padding counts, or there is none. The scale is s_x float32(1 / (elements * divisor of the sum)).
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.front.constraints import equal_windows
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.linear import Product
from compiler.front.operators.reduction import Reduced
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Real
from compiler.front.state.windows import Window
from compiler.ir.pools import AveragePool


def average_of_sum(node: OnnxNode, whole: Reduced, window: Window, *, count_include_pad: bool) -> Pending:
    """Return the average over the window, which waits for its quantisation."""
    source = whole.value
    pool = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, count_include_pad)
    _, channels, height, width = default_view(whole.shape)
    divisors = pool.divisors((height, width), window.out)
    node.require(equal_windows, divisors, found=f"windows of {np.min(divisors)} to {np.max(divisors)} elements")
    (numbers,) = numbered([source])
    kept = [axis for axis in whole.kept if axis is not None]
    # The dimensions of the result in their order, what is summed between its channels and its rows.
    order = [*kept, *(a for a in range(numbers.ndim) if a not in kept)]
    apart = numbers.transpose(order).reshape(*whole.shape, -1)
    copies = apart.shape[-1]
    index = np.moveaxis(apart, -1, 2).reshape(whole.shape[0], channels * copies, *whole.shape[2:])
    images = moved(node, [source], index, name=f"{node.output}/images")
    assert isinstance(images, Real), "movement keeps the quantisation"
    batch, rank = whole.shape[0], len(whole.shape)
    scale = np.float32(1) / np.float32(prod(window.kernel) * whole.divisor)
    product = Product(
        node=node, tensor=images.tensor, view=default_view(images.shape), x_scale=source.scale, x_zero=source.zero,
        weight=np.ones((channels, copies, *window.kernel), np.int8), w_scale=np.array([scale], np.float32), w_zero=0,
        out_view=(batch, channels, *window.out), shape=window.onnx_shape(batch, channels), axis_from_end=rank - 1, window=window, group=channels,
    )  # fmt: skip
    before = node.value(0)
    origin = (*(before.origin if isinstance(before, Pending) else ()), node.label)
    return Pending(product.shape, origin, product.emit, formula=product.pending)


__all__ = ["average_of_sum"]
