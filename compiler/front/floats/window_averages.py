"""AveragePool of floats that nothing has quantised: a convolution with weights 255 and 1 over the two digits of each channel.

    conv -> SiLU -> AveragePool -> Q        digits high, low (`compiler.front.floats.digits`) -> Move: side by side, padded with 0 -> Conv

Where all windows average n elements the scale is float32(u * float32(1/n)), u the unit of the lower digit; else the sums, as float32 numbers of scale u, are
multiplied by float32(1/n) of each window.
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.front.constraints import bias_fits, bounded_window
from compiler.front.floats.digits import BASE, MIDDLE, Written
from compiler.front.floats.formula import operation
from compiler.front.operators.products.linear import Product
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Operation, Pending, Table, Unquantised
from compiler.front.state.windows import Window
from compiler.ir.network import AveragePool, Move, Pair


def _padded(view: tuple[int, ...], window: Window) -> np.ndarray:
    """Number of the element of an image (H, W) at each place that a window covers; -1 outside of it."""
    sizes = [(window.out[i] - 1) * window.strides[i] + (window.kernel[i] - 1) * window.dilations[i] + 1 for i in (0, 1)]
    height, width = view[2:]
    whole = np.full((window.pads[0] + max(height, sizes[0]), window.pads[1] + max(width, sizes[1])), -1)
    whole[window.pads[0] : window.pads[0] + height, window.pads[1] : window.pads[1] + width] = np.arange(height * width).reshape(height, width)
    return whole[: sizes[0], : sizes[1]]


def average_of_windows(node: OnnxNode, value: Unquantised | Table, window: Window, *, count_include_pad: bool) -> Pending | Operation:
    """Return the averages, which wait for their quantisation."""
    written = Written.of(value, 2)
    node.require(bounded_window, written is not None, found=node.describe(0))
    assert written is not None
    view = default_view(value.shape)
    pool = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, count_include_pad)
    divisors = np.broadcast_to(pool.divisors(view[2:], window.out), window.out)
    count, most = int(divisors.flat[0]), prod(window.kernel)
    node.require(bias_fits, np.array([most * BASE * (BASE + 1)]), found=f"{most} elements")
    equal = bool((divisors == count).all())
    product = _product(node, written, view, window, 1 / count if equal else 1.0)
    shape = window.onnx_shape(view[0], view[1])
    origin = (*value.origin, node.label)
    whole = Pending(shape, origin, product.emit, formula=product.pending)
    if equal:
        return whole
    parts = (np.float32(1) / divisors.astype(np.float32)).reshape(shape[2:] if window.rank == 4 else (window.out[1],))
    return operation(node, "MUL", whole, Const(parts))


def _product(node: OnnxNode, written: Written, view: tuple[int, int, int, int], window: Window, part: float) -> Product:
    """The sums of windows of the digits, made when the result is."""
    batch, channels, height, width = view
    builder, places, origin = node.builder, _padded(view, window), (node.label,)
    digits = tuple(builder.view(digit.tensor, view) for digit in written.emit(node, node.output, origin))
    elements = prod(view)
    first = (np.arange(batch * channels) * height * width).reshape(batch, channels, 1, 1, 1)
    index = np.where(places < 0, -1 - np.arange(2).reshape(2, 1, 1), places + first + np.arange(2).reshape(2, 1, 1) * elements)
    shape = (batch, 2 * channels, *places.shape)
    images = builder.tensor(f"{node.output}/digits", shape, "u8")
    builder.node(f"digits of {images}", Move(index, np.array([written.zero, MIDDLE], np.int16)), digits, images, origin)
    weight = np.empty((channels, 2, *window.kernel), np.uint8)
    weight[:, 0], weight[:, 1] = BASE, 1
    bias = np.full(channels, -prod(window.kernel) * (BASE * written.zero + MIDDLE), np.int32)
    size: Pair = window.out
    return Product(
        node=node, tensor=images, view=shape, x_scale=written.units[-1], x_zero=0, weight=weight, w_scale=np.array([part], np.float32), w_zero=0,
        out_view=(batch, channels, *size), shape=window.onnx_shape(batch, channels), axis_from_end=window.rank - 1, bias=bias, own=False, group=channels,
        window=Window(window.kernel, window.strides, window.dilations, (0, 0, 0, 0), size, window.rank),
    )  # fmt: skip


__all__ = ["average_of_windows"]
