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
from compiler.front.operators.normalise.fine_softmax import fine_softmax
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.rewrite.templates.layer_normalization import PART_DOMAIN
from compiler.front.rewrite.templates.scaled_softmax import DOMAIN as SCALED_DOMAIN
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Pending, Quant, Quantisation, Real, RealConst, Shape, Table, Unquantised, Value
from compiler.ir.log_softmax import LogSoftmax
from compiler.ir.network import Attrs, Shape4
from compiler.ir.rowwise import BASE, ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance


def row_view(shape: Shape, axis: int, *, onwards: bool) -> Shape4:
    """Return (A, K, Z, 1) with K the elements of one axis, or `onwards` of all axes from it on; an image's channels stay as they are."""
    if axis == 1 and len(shape) in (3, 4) and not onwards:
        return default_view(shape)
    end = len(shape) if onwards else axis + 1
    return int(np.prod(shape[:axis])), int(np.prod(shape[axis:end])), int(np.prod(shape[end:])), 1


def normalised_axes(node: OnnxNode, x: Real) -> Shape:
    """Return the sizes of all axes from `axis` on, over which an operator of ONNX normalises."""
    return x.shape[node.attribute("axis", -1) % len(x.shape) :]


def normalised_view(node: OnnxNode, x: Real) -> Shape4:
    """Return x as what a normalisation sees: over all axes from `axis` on or, of a node that rewriting made, over that axis."""
    return row_view(x.shape, node.attribute("axis", -1) % len(x.shape), onwards=not node.proto.domain)


def one_a_row(node: OnnxNode, x: Real) -> Shape:
    """Return the ONNX shape of x with a dimension of 1 in place of `axis`."""
    axis = node.attribute("axis", -1) % len(x.shape)
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :])


def pending_rows(
    node: OnnxNode, x: Real, view: Shape4, attrs: Callable[[Quantisation], Attrs], *, one_channel: Shape | None = None, more: tuple[Real, ...] = (),
) -> Pending:
    """Return the result that waits for its quantisation, computed on `view` of x and one channel of the pixels of `more`.

    `one_channel`: the result has one channel, and in ONNX that shape.
    """
    builder = node.builder
    node.require(countable_row, view[1], found=f"{view[1]}")

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        flat = (view[0], 1, *view[2:])
        out = builder.tensor(target.name, view if one_channel is None else flat, target.dtype, target.scale, target.zero)
        inputs = (builder.view(x.tensor, view), *(builder.view(value.tensor, flat) for value in more))
        return builder.node(node.label, attrs(target), inputs, out, origin)

    return Pending(x.shape if one_channel is None else one_channel, (node.label,), emit, floats=True)


def _softmax(node: OnnxNode, x: Real, axis: int, opset: int, kind: type[Softmax] = Softmax) -> Pending:
    axis = axis + len(x.shape) if axis < 0 else axis
    view = row_view(x.shape, axis, onwards=opset < 13)
    factor = float(node.attribute("factor", 1.0))
    return pending_rows(node, x, view, lambda t: kind(x.scale, x.zero, t.scale, t.zero, t.low, t.high, factor))


def softmax(node: OnnxNode) -> list[Value]:
    """Softmax and LogSoftmax of a dequantised tensor, along any axis."""
    x = node.value(0)
    axis = node.attribute("axis", 1 if node.opset < 13 else -1)
    if isinstance(x, Unquantised | Table) and node.op == "Softmax" and not node.proto.domain:
        return [fine_softmax(node, x, row_view(x.shape, axis % len(x.shape), onwards=node.opset < 13))]
    node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real)
    kind = LogSoftmax if node.op == "LogSoftmax" else Softmax
    return [_softmax(node, x, axis, node.opset, kind)]


def qlinear_softmax(node: OnnxNode) -> list[Value]:
    """com.microsoft QLinearSoftmax: x, x_scale, x_zero, y_scale, y_zero; its attribute `opset` says which Softmax it is."""
    x = real_operand(node, 0, 1)
    target = result_target(node, 3, 4)
    pending = _softmax(node, x, node.attribute("axis", -1), node.attribute("opset", 13))
    return [Quant(pending.emit(target, (node.label,)), pending.shape, target.dtype)]


def arg_max(node: OnnxNode) -> list[Value]:
    """ArgMax of an 8-bit tensor along any axis: bytes or int32 on the machine, int64 at the network's edge. Scales are positive: integers decide."""
    x = node.value(0)
    if not integer_operand(x):
        node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real | Quant)
    axis = node.attribute("axis", 0)
    axis = axis + len(x.shape) if axis < 0 else axis
    view = row_view(x.shape, axis, onwards=False)
    node.require(comparable_channels, view[1], found=f"{view[1]}")
    kept = [1] if node.attribute("keepdims", 1) else []
    shape = (*x.shape[:axis], *kept, *x.shape[axis + 1 :])
    out = node.builder.tensor(node.output, (view[0], 1, *view[2:]), "u8" if view[1] <= BASE else "i32")
    last = bool(node.attribute("select_last_index", 0))
    return [Quant(node.builder.node(node.label, ArgMax(last), (node.builder.view(x.tensor, view),), out, (node.label,)), shape, "i64")]


def channel_numbers(node: OnnxNode, index: int, channels: int, over: Shape = ()) -> np.ndarray:
    """Return a constant with one value for each of `channels`, float32; zeros where it is left out. `over`: the axes that are these channels."""
    value = node.value(index)
    node.require(constant_parameters, value, found=node.describe(index))
    assert isinstance(value, Const | RealConst | None)
    if value is None:
        return np.zeros(channels, np.float32)
    array = value.real() if isinstance(value, RealConst) else value.array
    node.require(usable_factors, array, found=f"{node.name_of(index)}, which holds {array.reshape(-1)[np.argmax(~(np.abs(array) <= 2.0**64))]}")
    whole = array if array.size in (1, channels) else np.broadcast_to(array, over)
    return np.broadcast_to(whole.reshape(-1), (channels,)).astype(np.float32)


def layer_normalization(node: OnnxNode) -> list[Value]:
    """LayerNormalization of a dequantised tensor; scale and bias are constants."""
    x = node.value(0)
    node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real)
    outputs = sum(bool(name) for name in node.proto.output)
    node.require(first_result_only, outputs, found=f"{outputs} outputs")
    view = normalised_view(node, x)
    gamma, beta = (channel_numbers(node, i, view[1], normalised_axes(node, x)) for i in (1, 2))
    epsilon = float(node.attribute("epsilon", 1e-5))
    node.require(usable_epsilon, epsilon / x.scale**2, found=f"{epsilon} for an input of scale {x.scale}")

    def attrs(target: Quantisation) -> Attrs:
        return LayerNormalization(gamma, beta, epsilon, x.scale, x.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(node, x, view, attrs)]


def _operands(node: OnnxNode) -> list[Real]:
    """Return the operands, all of them dequantised."""
    found = []
    for index in range(len(node.values)):
        value = node.value(index)
        node.require(quantised_operand, value, found=node.describe(index))
        assert isinstance(value, Real)
        found.append(value)
    return found


def variance(node: OnnxNode) -> list[Value]:
    """The mean square of the distances from the mean, along one axis."""
    (x,) = _operands(node)
    view = normalised_view(node, x)
    return [pending_rows(node, x, view, lambda t: Variance(x.scale, x.zero, t.scale, t.zero, t.low, t.high), one_channel=one_a_row(node, x))]


def centred_quotient(node: OnnxNode) -> list[Value]:
    """The distances from the mean along one axis over the root of a radicand a row."""
    x, e = _operands(node)
    if e.shape != one_a_row(node, x):
        node.refuse(broadcast_shapes, f"a radicand of shape {e.shape} for rows of shape {x.shape}")

    def attrs(target: Quantisation) -> Attrs:
        return CentredQuotient(x.scale, x.zero, e.scale, e.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(node, x, normalised_view(node, x), attrs, more=(e,))]


#: Handlers of what `compiler.front.rewrite.templates.scaled_softmax` and `layer_normalization` make that is no operator of ONNX, by domain and operator.
PARTS = {
    **{(SCALED_DOMAIN, name): softmax for name in ("LogSoftmax", "Softmax")},
    (PART_DOMAIN, "LayerNormalization"): layer_normalization, (PART_DOMAIN, "ReduceMean"): variance, (PART_DOMAIN, "Div"): centred_quotient,
}  # fmt: skip
