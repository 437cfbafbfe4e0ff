"""Softmax and LayerNormalization of a dequantised tensor, whole or in two parts: they wait for their QuantizeLinear.

The axis that is reduced becomes the channels of the IR: (A, K, Z, 1) for an axis of K between A and Z elements.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.front.constraints import (
    broadcast_shapes,
    comparable_channels,
    constant_parameters,
    countable_row,
    first_result_only,
    integer_operand,
    quantised_operand,
    usable_epsilon,
    usable_factors,
)
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.rewrite.templates.layer_normalization import PART_DOMAIN
from compiler.front.rewrite.templates.scaled_softmax import DOMAIN as SCALED_DOMAIN
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quant, Quantisation, Real, RealConst, Shape, Value
from compiler.ir.graph import Attrs, Shape4
from compiler.ir.log_softmax import LogSoftmax
from compiler.ir.rowwise import BASE, ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance


def row_view(shape: Shape, axis: int, *, onwards: bool) -> Shape4:
    """Return (A, K, Z, 1) with K the elements of one axis, or `onwards` of all axes from it on; an image's channels stay as they are."""
    if axis == 1 and len(shape) in (3, 4) and not onwards:
        return default_view(shape)
    end = len(shape) if onwards else axis + 1
    return int(np.prod(shape[:axis])), int(np.prod(shape[axis:end])), int(np.prod(shape[end:])), 1


def normalised_axes(step: Step, x: Real) -> Shape:
    """Return the sizes of all axes from `axis` on, over which an operator of ONNX normalises."""
    return x.shape[step.attribute("axis", -1) % len(x.shape) :]


def normalised_view(step: Step, x: Real) -> Shape4:
    """Return x as what a normalisation sees: over all axes from `axis` on or, of a node that rewriting made, over that axis."""
    return row_view(x.shape, step.attribute("axis", -1) % len(x.shape), onwards=not step.node.domain)


def one_a_row(step: Step, x: Real) -> Shape:
    """Return the ONNX shape of x with a dimension of 1 in place of `axis`."""
    axis = step.attribute("axis", -1) % len(x.shape)
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :])


def pending_rows(
    step: Step, x: Real, view: Shape4, attrs: Callable[[Quantisation], Attrs], *, one_channel: Shape | None = None, more: tuple[Real, ...] = (),
) -> Pending:
    """Return the result that waits for its quantisation, computed on `view` of x and one channel of the pixels of `more`.

    `one_channel`: the result has one channel, and in ONNX that shape.
    """
    builder = step.builder
    step.require(countable_row, view[1], found=f"{view[1]}")

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        flat = (view[0], 1, *view[2:])
        out = builder.tensor(target.name, view if one_channel is None else flat, target.dtype, target.scale, target.zero)
        inputs = (builder.view(x.tensor, view), *(builder.view(value.tensor, flat) for value in more))
        return builder.node(step.label, attrs(target), inputs, out, origin)

    return Pending(x.shape if one_channel is None else one_channel, (step.label,), emit, floats=True)


def _softmax(step: Step, x: Real, axis: int, opset: int, kind: type[Softmax] = Softmax) -> Pending:
    axis = axis + len(x.shape) if axis < 0 else axis
    view = row_view(x.shape, axis, onwards=opset < 13)
    factor = float(step.attribute("factor", 1.0))
    return pending_rows(step, x, view, lambda t: kind(x.scale, x.zero, t.scale, t.zero, t.low, t.high, factor))


def softmax(step: Step) -> list[Value]:
    """Softmax and LogSoftmax of a dequantised tensor, along any axis."""
    x = step.value(0)
    step.require(quantised_operand, x, found=step.describe(0))
    assert isinstance(x, Real)
    kind = LogSoftmax if step.op == "LogSoftmax" else Softmax
    return [_softmax(step, x, step.attribute("axis", 1 if step.opset < 13 else -1), step.opset, kind)]


def qlinear_softmax(step: Step) -> list[Value]:
    """com.microsoft QLinearSoftmax: x, x_scale, x_zero, y_scale, y_zero; its attribute `opset` says which Softmax it is."""
    x = real_operand(step, 0, 1)
    target = result_target(step, 3, 4)
    pending = _softmax(step, x, step.attribute("axis", -1), step.attribute("opset", 13))
    return [Quant(pending.emit(target, (step.label,)), pending.shape, target.dtype)]


def arg_max(step: Step) -> list[Value]:
    """ArgMax of an 8-bit tensor along any axis: bytes or int32 on the machine, int64 at the network's edge. Scales are positive: integers decide."""
    x = step.value(0)
    if not integer_operand(x):
        step.require(quantised_operand, x, found=step.describe(0))
    assert isinstance(x, Real | Quant)
    axis = step.attribute("axis", 0)
    axis = axis + len(x.shape) if axis < 0 else axis
    view = row_view(x.shape, axis, onwards=False)
    step.require(comparable_channels, view[1], found=f"{view[1]}")
    kept = [1] if step.attribute("keepdims", 1) else []
    shape = (*x.shape[:axis], *kept, *x.shape[axis + 1 :])
    out = step.builder.tensor(step.output, (view[0], 1, *view[2:]), "u8" if view[1] <= BASE else "i32")
    last = bool(step.attribute("select_last_index", 0))
    return [Quant(step.builder.node(step.label, ArgMax(last), (step.builder.view(x.tensor, view),), out, (step.label,)), shape, "i64")]


def channel_numbers(step: Step, index: int, channels: int, over: Shape = ()) -> np.ndarray:
    """Return a constant with one value for each of `channels`, float32; zeros where it is left out. `over`: the axes that are these channels."""
    value = step.value(index)
    step.require(constant_parameters, value, found=step.describe(index))
    assert isinstance(value, Const | RealConst | None)
    if value is None:
        return np.zeros(channels, np.float32)
    array = value.real() if isinstance(value, RealConst) else value.array
    step.require(usable_factors, array, found=f"{step.name_of(index)}, which holds {array.reshape(-1)[np.argmax(~(np.abs(array) <= 2.0**64))]}")
    whole = array if array.size in (1, channels) else np.broadcast_to(array, over)
    return np.broadcast_to(whole.reshape(-1), (channels,)).astype(np.float32)


def layer_normalization(step: Step) -> list[Value]:
    """LayerNormalization of a dequantised tensor; scale and bias are constants."""
    x = step.value(0)
    step.require(quantised_operand, x, found=step.describe(0))
    assert isinstance(x, Real)
    outputs = sum(bool(name) for name in step.node.output)
    step.require(first_result_only, outputs, found=f"{outputs} outputs")
    view = normalised_view(step, x)
    gamma, beta = (channel_numbers(step, i, view[1], normalised_axes(step, x)) for i in (1, 2))
    epsilon = float(step.attribute("epsilon", 1e-5))
    step.require(usable_epsilon, epsilon / x.scale**2, found=f"{epsilon} for an input of scale {x.scale}")

    def attrs(target: Quantisation) -> Attrs:
        return LayerNormalization(gamma, beta, epsilon, x.scale, x.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(step, x, view, attrs)]


def _operands(step: Step) -> list[Real]:
    """Return the operands, all of them dequantised."""
    found = []
    for index in range(len(step.values)):
        value = step.value(index)
        step.require(quantised_operand, value, found=step.describe(index))
        assert isinstance(value, Real)
        found.append(value)
    return found


def variance(step: Step) -> list[Value]:
    """The mean square of the distances from the mean, along one axis."""
    (x,) = _operands(step)
    view = normalised_view(step, x)
    return [pending_rows(step, x, view, lambda t: Variance(x.scale, x.zero, t.scale, t.zero, t.low, t.high), one_channel=one_a_row(step, x))]


def centred_quotient(step: Step) -> list[Value]:
    """The distances from the mean along one axis over the root of a radicand a row."""
    x, e = _operands(step)
    if e.shape != one_a_row(step, x):
        step.refuse(broadcast_shapes, f"a radicand of shape {e.shape} for rows of shape {x.shape}")

    def attrs(target: Quantisation) -> Attrs:
        return CentredQuotient(x.scale, x.zero, e.scale, e.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(step, x, normalised_view(step, x), attrs, more=(e,))]


#: Handlers of what `compiler.front.rewrite.templates.scaled_softmax` and `layer_normalization` make that is no operator of ONNX, by domain and operator.
PARTS = {
    **{(SCALED_DOMAIN, name): softmax for name in ("LogSoftmax", "Softmax")},
    (PART_DOMAIN, "LayerNormalization"): layer_normalization, (PART_DOMAIN, "ReduceMean"): variance, (PART_DOMAIN, "Div"): centred_quotient,
}  # fmt: skip
