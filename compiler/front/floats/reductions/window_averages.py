"""AveragePool, averages and sums over axes, of floats that nothing has quantised: a convolution with weights 255 and 1 over the two digits of each channel.

    conv -> SiLU -> AveragePool -> Q        digits high, low (`compiler.front.floats.reductions.digits`) -> Move: side by side, padded with 0 -> Conv

Where all windows average n elements the scale is float32(u * float32(1/n)), u the unit of the lower digit; else the sums, as float32 numbers of scale u, are
multiplied by float32(1/n) of each window.
"""

from __future__ import annotations

from math import prod

import numpy as np

from compiler.front.constraints import bias_fits, bounded_window
from compiler.front.floats.formula import ended, opened, operation
from compiler.front.floats.reductions.digits import BASE, MIDDLE, Written
from compiler.front.operators.products.linear import Product
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Operation, Pending, Shape, Table, Unquantised
from compiler.front.state.windows import Window
from compiler.ir.network import Move, Shape4
from compiler.ir.pools import AveragePool


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
    endless = written is None and ended(opened(value))
    node.require(bounded_window, written is not None, found=f"a number that is infinite in {node.name_of(0)}" if endless else node.describe(0))
    assert written is not None
    view = default_view(value.shape)
    pool = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, count_include_pad)
    divisors = np.broadcast_to(pool.divisors(view[2:], window.out), window.out)
    count, shape = int(divisors.flat[0]), window.onnx_shape(view[0], view[1])
    equal = bool((divisors == count).all())
    whole = _averaged(node, written, view, window, 1 / count if equal else 1.0, shape)
    if equal:
        return whole
    return operation(node, "MUL", whole, Const((np.float32(1) / divisors.astype(np.float32)).reshape(shape[2:])))


def average_of_axes(node: OnnxNode, value: Unquantised, view: Shape4, over: tuple[int, ...], shape: Shape, *, mean: bool) -> Pending | None:
    """Return the average, or the sum, over the axes `over` (H, W or both) of `view`; None where a result of an operator that has no ends is an operand."""
    written = Written.of(value, 2)
    if written is None:
        return None
    kernel, out = ((view[2] if 2 in over else 1, view[3] if 3 in over else 1), (1 if 2 in over else view[2], 1 if 3 in over else view[3]))
    window = Window(kernel, (1, 1), (1, 1), (0, 0, 0, 0), out, 4)
    return _averaged(node, written, view, window, 1 / prod(kernel) if mean else 1.0, shape)


def _averaged(node: OnnxNode, written: Written, view: Shape4, window: Window, part: float, shape: Shape) -> Pending:
    """The sums of windows times a part."""
    count = prod(window.kernel)
    node.require(bias_fits, np.array([count * BASE * (BASE + 1)]), found=f"{count} elements")
    labels = written.value.origin if isinstance(written.value, Unquantised | Table) else ()
    product: list[Product] = []

    def made() -> Product:
        if not product:
            product.append(_product(node, written, view, window, part, shape))
        return product[0]

    return Pending(shape, (*labels, node.label), lambda target, origin: made().emit(target, origin), formula=lambda: made().pending())


def _product(node: OnnxNode, written: Written, view: Shape4, window: Window, part: float, shape: Shape) -> Product:
    batch, channels, height, width = view
    builder, places, origin = node.builder, _padded(view, window), (node.label,)
    digits = tuple(builder.view(digit.tensor, view) for digit in written.emit(node, node.output, origin))
    first = (np.arange(batch * channels) * height * width).reshape(batch, channels, 1, 1, 1)
    which = np.arange(2).reshape(2, 1, 1)
    size = (batch, 2 * channels, *places.shape)
    images = builder.tensor(f"{node.output}/digits", size, "u8")
    move = Move(np.where(places < 0, -1 - which, places + first + which * prod(view)), np.array([written.zero, MIDDLE], np.int16))
    builder.node(f"digits of {images}", move, digits, images, origin)
    weight = np.empty((channels, 2, *window.kernel), np.uint8)
    weight[:, 0], weight[:, 1] = BASE, 1
    bias = np.full(channels, -prod(window.kernel) * (BASE * written.zero + MIDDLE), np.int32)
    return Product(
        node=node, tensor=images, view=size, x_scale=written.units[-1], x_zero=0, weight=weight, w_scale=np.array([part], np.float32), w_zero=0,
        out_view=(batch, channels, *window.out), shape=shape, axis_from_end=window.rank - 1, bias=bias, own=False, group=channels,
        window=Window(window.kernel, window.strides, window.dilations, (0, 0, 0, 0), window.out, window.rank),
    )  # fmt: skip


__all__ = ["average_of_axes", "average_of_windows"]
