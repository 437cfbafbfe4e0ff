"""MaxPool, AveragePool, GlobalAveragePool and their QLinear forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.constraints import channels_first, no_indices, quantised_operand, row_major, two_dimensions_at_most, windows_touch_input
from compiler.front.floats.lower import lower
from compiler.front.floats.pooled_sums import average_of_sum
from compiler.front.floats.window_sums import averaged
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.operators.reduction import joined, reduce
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Formula, Pending, Quant, Quantisation, Real, Table, Unquantised, Value
from compiler.front.state.windows import Window, read_window
from compiler.ir.graph import RANGES, AveragePool, GlobalAveragePool, MaxPool, Shape4


def _window(step: Step, source: Real | Quant | Unquantised | Table) -> Window:
    return read_window(step, source.shape, step.attribute("kernel_shape", []), ceil=bool(step.attribute("ceil_mode", 0)))


def _touching(step: Step, source: Real | Quant | Unquantised | Table, window: Window, *, count_include_pad: bool) -> None:
    pool = AveragePool(window.kernel, 1.0, 0, 1.0, 0, window.strides, window.dilations, window.pads, count_include_pad)
    _, _, height, width = default_view(source.shape)
    found = f"kernel {window.kernel}, pads {window.pads} on an input of shape {source.shape}"
    step.require(windows_touch_input, pool.divisors((height, width), window.out), found=found)


def _pool_of_unquantised(step: Step, value: Unquantised | Table, window: Window) -> Pending:
    """Return the MaxPool of a float result: quantising keeps order, so it is quantised first, as the pool's result will be."""
    builder = step.builder
    batch, channels = value.shape[:2]

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        tensor = lower(builder, value, replace(target, name=f"{target.name}/unpooled"), value.origin)
        source = builder.view(tensor, default_view(value.shape))
        out = builder.tensor(target.name, (batch, channels, *window.out), target.dtype, target.scale, target.zero)
        pool = MaxPool(window.kernel, window.strides, window.dilations, window.pads, target.low, target.high)
        return builder.node(step.label, pool, (source,), out, tuple(o for o in origin if o not in value.origin))

    return Pending(window.onnx_shape(batch, channels), (*value.origin, step.label), emit)


def max_pool(step: Step) -> list[Value]:
    """MaxPool of a dequantised or of an integer tensor: order is kept by dequantisation, so it works on the integers."""
    value, builder = step.value(0), step.builder
    if not isinstance(value, Quant | Unquantised | Table):
        step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real | Quant | Unquantised | Table)
    step.require(no_indices, len([o for o in step.node.output if o]), found="an Indices output")
    step.require(row_major, step.attribute("storage_order", 0), found="storage_order = 1")
    window = _window(step, value)
    _touching(step, value, window, count_include_pad=False)
    if isinstance(value, Unquantised | Table):
        return [_pool_of_unquantised(step, value, window)]
    source = builder.view(value.tensor, default_view(value.shape))
    t = builder.tensors[source]
    batch, channels = value.shape[:2]
    out = builder.tensor(step.output, (batch, channels, *window.out), t.dtype, t.scale, t.zero_point)
    attrs = MaxPool(window.kernel, window.strides, window.dilations, window.pads, *RANGES[t.dtype])
    builder.node(step.label, attrs, (source,), out, (step.label,))
    shape = window.onnx_shape(batch, channels)
    if isinstance(value, Quant):
        return [Quant(out, shape, value.dtype)]
    builder.provisional.add(out)
    return [Real(out, shape, value.dtype, value.scale, value.zero)]


def _average(step: Step, source: Real, window: Window | None) -> Pending:
    """Return the average over `window`, over everything when None."""
    builder = step.builder
    batch, channels = source.shape[:2]
    include = bool(step.attribute("count_include_pad", 0))
    if window is not None:
        _touching(step, source, window, count_include_pad=include)
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
        return builder.node(step.label, attrs, (tensor,), out, origin)

    spatial = len(source.shape) - 2
    shape = window.onnx_shape(batch, channels) if window else (batch, channels, *[1] * spatial)

    def formula() -> Formula:
        whole = window or Window((view[2], view[3]), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), len(source.shape))
        return averaged(step, source, view, whole, shape, int(divisors.flat[0]))

    return Pending(shape, (step.label,), emit, formula=formula if (divisors == divisors.flat[0]).all() else None)


def average_pool(step: Step) -> list[Value]:
    """AveragePool of a dequantised tensor, or of a sum of some: waits for its QuantizeLinear."""
    value, whole = step.value(0), joined(step.value(0))
    if whole is not None:
        window = read_window(step, whole.shape, step.attribute("kernel_shape", []), ceil=bool(step.attribute("ceil_mode", 0)))
        return [average_of_sum(step, whole, window, count_include_pad=bool(step.attribute("count_include_pad", 0)))]
    step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real)
    return [_average(step, value, _window(step, value))]


def global_average_pool(step: Step) -> list[Value]:
    """GlobalAveragePool of a dequantised tensor: waits for its QuantizeLinear."""
    value = step.value(0)
    if isinstance(value, Table | Unquantised):
        return reduce(step)
    step.require(quantised_operand, value, found=step.describe(0))
    assert isinstance(value, Real)
    step.require(two_dimensions_at_most, len(value.shape), found=f"an input of shape {value.shape}")
    return [_average(step, value, None)]


def qlinear_average_pool(step: Step) -> list[Value]:
    """com.microsoft QLinearAveragePool and QLinearGlobalAveragePool: x, x_scale, x_zero, y_scale, y_zero."""
    step.require(channels_first, step.attribute("channels_last", 0), found="channels_last = 1")
    source = real_operand(step, 0, 1)
    step.require(two_dimensions_at_most, len(source.shape), found=f"an input of shape {source.shape}")
    window = _window(step, source) if step.op == "QLinearAveragePool" else None
    pending = _average(step, source, window)
    target = result_target(step, 3, 4)
    return [Quant(pending.emit(target, (step.label,)), pending.shape, target.dtype)]
