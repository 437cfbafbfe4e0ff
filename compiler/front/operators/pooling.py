"""MaxPool, AveragePool, GlobalAveragePool and their QLinear forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.constraints import channels_first, no_indices, quantised_operand, row_major, two_dimensions_at_most, windows_touch_input
from compiler.front.floats.lower import lower
from compiler.front.floats.reductions.pooled_sums import average_of_sum
from compiler.front.floats.reductions.window_averages import average_of_windows
from compiler.front.floats.reductions.window_sums import averaged
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.operators.reduction import joined, reduce
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Formula, Pending, Quant, Quantisation, Real, Table, Unquantised, Value
from compiler.front.state.windows import Window, read_window
from compiler.ir.network import RANGES, Shape4
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool


def _window(node: OnnxNode, source: Real | Quant | Unquantised | Table) -> Window:
    return read_window(node, source.shape, node.attribute("kernel_shape", []), ceil=bool(node.attribute("ceil_mode", 0)))


def _touching(node: OnnxNode, source: Real | Quant | Unquantised | Table, window: Window, *, count_include_pad: bool) -> None:
    pool = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, count_include_pad)
    _, _, height, width = default_view(source.shape)
    found = f"kernel {window.kernel}, pads {window.pads} on an input of shape {source.shape}"
    node.require(windows_touch_input, pool.divisors((height, width), window.out), found=found)


def _pool_of_unquantised(node: OnnxNode, value: Unquantised | Table, window: Window) -> Pending:
    """Return the MaxPool of a float result: quantising keeps order, so it is quantised first, as the pool's result will be."""
    builder = node.builder
    batch, channels = value.shape[:2]

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        tensor = lower(builder, value, replace(target, name=f"{target.name}/unpooled"), value.origin)
        source = builder.view(tensor, default_view(value.shape))
        out = builder.tensor(target.name, (batch, channels, *window.out), target.dtype, target.scale, target.zero)
        pool = MaxPool(window.kernel, window.strides, window.dilations, window.pads, target.low, target.high)
        return builder.node(node.label, pool, (source,), out, tuple(o for o in origin if o not in value.origin))

    return Pending(window.onnx_shape(batch, channels), (*value.origin, node.label), emit)


def max_pool(node: OnnxNode) -> list[Value]:
    """MaxPool of a dequantised or of an integer tensor: order is kept by dequantisation, so it works on the integers."""
    value, builder = node.value(0), node.builder
    if not isinstance(value, Quant | Unquantised | Table):
        node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real | Quant | Unquantised | Table)
    node.require(no_indices, len([o for o in node.proto.output if o]), found="an Indices output")
    node.require(row_major, node.attribute("storage_order", 0), found="storage_order = 1")
    window = _window(node, value)
    _touching(node, value, window, count_include_pad=False)
    if isinstance(value, Unquantised | Table):
        return [_pool_of_unquantised(node, value, window)]
    source = builder.view(value.tensor, default_view(value.shape))
    t = builder.tensors[source]
    batch, channels = value.shape[:2]
    out = builder.tensor(node.output, (batch, channels, *window.out), t.dtype, t.scale, t.zero_point)
    attrs = MaxPool(window.kernel, window.strides, window.dilations, window.pads, *RANGES[t.dtype])
    builder.node(node.label, attrs, (source,), out, (node.label,))
    shape = window.onnx_shape(batch, channels)
    if isinstance(value, Quant):
        return [Quant(out, shape, value.dtype)]
    builder.provisional.add(out)
    return [Real(out, shape, value.dtype, value.scale, value.zero)]


def _average(node: OnnxNode, source: Real, window: Window | None) -> Pending:
    """Return the average over `window`, over everything when None."""
    builder = node.builder
    batch, channels = source.shape[:2]
    include = bool(node.attribute("count_include_pad", 0))
    if window is not None:
        _touching(node, source, window, count_include_pad=include)
    out_view: Shape4 = (batch, channels, *(window.out if window else (1, 1)))
    view = default_view(source.shape)
    divisors = np.array([view[2] * view[3]])
    if window is not None:
        divisors = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, include).divisors(view[2:], window.out)

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        numbers = (source.scale, source.zero, target.scale, target.zero)
        attrs: AveragePool | GlobalAveragePool
        if window is None:
            attrs = GlobalAveragePool(*numbers, target.low, target.high)
        else:
            shape = (window.strides, window.dilations, window.pads)
            attrs = AveragePool(window.kernel, *numbers, *shape, include, target.low, target.high)
        tensor = builder.view(source.tensor, view)
        out = builder.tensor(target.name, out_view, target.dtype, target.scale, target.zero)
        return builder.node(node.label, attrs, (tensor,), out, origin)

    spatial = len(source.shape) - 2
    shape = window.onnx_shape(batch, channels) if window else (batch, channels, *[1] * spatial)

    def formula() -> Formula:
        whole = window or Window((view[2], view[3]), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), len(source.shape))
        return averaged(node, source, view, whole, shape, int(divisors.flat[0]))

    return Pending(shape, (node.label,), emit, formula=formula if (divisors == divisors.flat[0]).all() else None)


def average_pool(node: OnnxNode) -> list[Value]:
    """AveragePool of a dequantised tensor, or of a sum of some: waits for its QuantizeLinear."""
    value, whole = node.value(0), joined(node.value(0))
    if whole is not None:
        window = read_window(node, whole.shape, node.attribute("kernel_shape", []), ceil=bool(node.attribute("ceil_mode", 0)))
        return [average_of_sum(node, whole, window, count_include_pad=bool(node.attribute("count_include_pad", 0)))]
    if isinstance(value, Unquantised | Table):
        window, include = _window(node, value), bool(node.attribute("count_include_pad", 0))
        _touching(node, value, window, count_include_pad=include)
        return [average_of_windows(node, value, window, count_include_pad=include)]
    node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real)
    return [_average(node, value, _window(node, value))]


def global_average_pool(node: OnnxNode) -> list[Value]:
    """GlobalAveragePool of a dequantised tensor: waits for its QuantizeLinear."""
    value = node.value(0)
    if isinstance(value, Table | Unquantised):
        return reduce(node)
    node.require(quantised_operand, value, found=node.describe(0))
    assert isinstance(value, Real)
    node.require(two_dimensions_at_most, len(value.shape), found=f"an input of shape {value.shape}")
    return [_average(node, value, None)]


def qlinear_average_pool(node: OnnxNode) -> list[Value]:
    """com.microsoft QLinearAveragePool and QLinearGlobalAveragePool: x, x_scale, x_zero, y_scale, y_zero."""
    node.require(channels_first, node.attribute("channels_last", 0), found="channels_last = 1")
    source = real_operand(node, 0, 1)
    node.require(two_dimensions_at_most, len(source.shape), found=f"an input of shape {source.shape}")
    window = _window(node, source) if node.op == "QLinearAveragePool" else None
    pending = _average(node, source, window)
    target = result_target(node, 3, 4)
    return [Quant(pending.emit(target, (node.label,)), pending.shape, target.dtype)]
