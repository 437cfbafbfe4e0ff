"""Add, clamps and functions of one 8-bit tensor.

A function of one 8-bit tensor and constants has 256 values: ONNX's own reference evaluator computes them at compile time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from compiler.ir import RANGES, Add, Conv
from compiler.onnx_import.builder import default_view
from compiler.onnx_import.convolution import constant_operand, real_operand, result_target
from compiler.onnx_import.step import DTYPES, Step
from compiler.onnx_import.values import Const, Pending, Quant, Real, RealConst, Table, Target, Value
from compiler.support import (
    channel_bias,
    constant_weights,
    equal_shapes,
    finite_requantisation,
    finite_values,
    one_source,
    quantised_operand,
    usable_scale,
)


def evaluate(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """Return the outputs of one node for constant inputs, by onnx.reference."""
    values = [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
              for n, a in zip(node.input, arrays, strict=True) if n and a is not None]  # fmt: skip
    named = {v.name: v for v in values}
    outputs = [onnx.helper.make_value_info(o, onnx.TypeProto()) for o in node.output if o]
    graph = onnx.helper.make_graph([node], "constant", list(named.values()), outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    feed = {n: a for n, a in zip(node.input, arrays, strict=True) if n and a is not None}
    with np.errstate(all="ignore"):
        return [np.asarray(v) for v in ReferenceEvaluator(model).run(None, feed)]


def _add_node(step: Step, a: Real, b: Real) -> Pending:
    builder = step.builder
    step.require(equal_shapes, a.shape, b.shape, found=f"shapes {a.shape} and {b.shape}")

    def emit(target: Target, origin: tuple[str, ...]) -> str:
        view = builder.tensors[b.tensor].shape
        tensors = (builder.view(a.tensor, view), b.tensor)
        attrs = Add(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
        out = builder.tensor(target.name, view, target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, tensors, out, origin)

    return Pending(a.shape, (step.label,), emit)


def _spread(step: Step, like: Real, constant: RealConst, name: str) -> Real:
    """Return a constant with one value a channel as a tensor of the shape of `like`.

    A depthwise convolution of `like` with zero weights and the constant as its bias writes it: the requantisation scale is 1 to
    within 2^-22, so every integer of at most 9 bits comes out as it went in.
    """
    shape, builder = like.shape, step.builder
    sizes = (1,) * (len(shape) - len(constant.shape)) + constant.shape
    long = [i for i, d in enumerate(sizes) if d > 1]
    axis = long[0] if long else min(1, len(shape) - 1)
    fits = len(sizes) == len(shape) and len(long) <= 1 and sizes[axis] in (1, shape[axis]) and constant.scale.size == constant.zero.size == 1
    if not fits:
        step.refuse(equal_shapes, f"shapes {shape} and {constant.shape}")
    step.require(constant_weights, constant, found=f"{name}, a constant of type {constant.array.dtype}")
    view = (int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :])), 1)
    if axis == 1:
        view = default_view(shape)
    scale, zero, dtype = float(constant.scale.flat[0]), int(constant.zero.flat[0]), DTYPES[constant.array.dtype]
    step.require(usable_scale, constant.scale, found=f"{scale}")
    values = np.broadcast_to(constant.array.reshape(-1).astype(np.int32) - zero, (shape[axis],)).copy()
    attrs = Conv(
        weight=np.zeros((shape[axis], 1, 1, 1), np.int8), bias=values, x_scale=like.scale, x_zero=like.zero,
        w_scale=np.array([scale / like.scale], np.float32), w_zero=0, y_scale=scale, y_zero=zero, group=shape[axis],
        y_low=RANGES[dtype][0], y_high=RANGES[dtype][1],
    )  # fmt: skip
    step.require(finite_requantisation, attrs.scale, found=f"{attrs.scale[0]}")
    out = builder.tensor(f"{name}/spread", view, dtype, scale, zero)
    builder.node(f"spread {out}", attrs, (builder.view(like.tensor, view),), out, (step.label,))
    return Real(out, shape, dtype, scale, zero)


def add(step: Step) -> list[Value]:
    """Sum of two dequantised tensors, a bias of the product before it, or a function of one tensor."""
    a, b = step.value(0), step.value(1)
    if isinstance(b, Pending):
        a, b = b, a
    if isinstance(a, Pending):
        if a.bias is None or not isinstance(b, Const | RealConst):
            step.refuse(quantised_operand, "a float result that no QuantizeLinear follows")
        channels, axis = a.bias.channels, a.bias.axis_from_end
        grows = len(b.shape) > len(a.shape)
        step.require(channel_bias, () if grows else b.shape, channels, axis, found=f"shape {b.shape} for {channels} channels")
        return [replace(a, emit=a.bias.add(b), bias=None, origin=(*a.origin, step.label))]
    if isinstance(a, Real) and isinstance(b, Real):
        return [_add_node(step, a, b)]
    for value, other, index in ((a, b, 0), (b, a, 1)):
        if isinstance(value, RealConst) and value.array.size > 1 and isinstance(other, Real):
            return [_add_node(step, other, _spread(step, other, value, step.name_of(index)))]
        if isinstance(value, Const | RealConst) and value.array.size > 1:
            step.refuse(equal_shapes, f"shapes {getattr(other, 'shape', ())} and {value.shape}")
    return table_function(step)


def qlinear_add(step: Step) -> list[Value]:
    """com.microsoft QLinearAdd: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    if isinstance(step.value(3), Const):
        a = real_operand(step, 0, 1)
        b = _spread(step, a, constant_operand(step, 3, 4, 0), step.name_of(3))
    elif isinstance(step.value(0), Const):
        b = real_operand(step, 3, 4)
        a = _spread(step, b, constant_operand(step, 0, 1, 0), step.name_of(0))
    else:
        a, b = real_operand(step, 0, 1), real_operand(step, 3, 4)
    pending = _add_node(step, a, b)
    target = result_target(step, 6, 7)
    return [Quant(pending.emit(target, (step.label,)), pending.shape, target.dtype)]


def _bounds(step: Step) -> tuple[float, float]:
    if step.op == "Relu":
        return 0.0, np.inf
    low, high = step.constant(1), step.constant(2)
    return -np.inf if low is None else float(low.reshape(-1)[0]), np.inf if high is None else float(high.reshape(-1)[0])


def clamp(step: Step) -> list[Value]:
    """Relu and Clip: narrow the clamp of the result that waits for quantisation, or a function of one tensor."""
    value = step.value(0)
    if isinstance(value, Pending):
        return [value.clamped(*_bounds(step), step.label)]
    return table_function(step)


def table_function(step: Step) -> list[Value]:
    """Evaluate a function of one 8-bit tensor and constant scalars for its 256 values."""
    arrays: list[np.ndarray | None] = []
    sources: list[Real | Table] = []
    rank = max((len(v.shape) for v in step.values if isinstance(v, Real | Table)), default=0)
    for index, value in enumerate(step.values):
        match value:
            case None:
                arrays.append(None)
            case Real() | Table():
                sources.append(value)
                arrays.append(value.values())
            case Const() | RealConst() if value.array.size == 1 and len(value.shape) <= rank:
                array = value.array if isinstance(value, Const) else value.real()
                arrays.append(array.reshape(()))
            case Const() | RealConst():
                step.refuse(one_source, f"{step.name_of(index)}, a constant of shape {value.shape}")
            case _:
                step.refuse(one_source, step.describe(index))
    found = f"{len({s.tensor for s in sources})} tensors"
    step.require(one_source, [s.tensor for s in sources], found=found)
    step.require(equal_shapes, sources[0].shape, sources[-1].shape, found=f"shapes {sources[0].shape} and {sources[-1].shape}")
    (floats,) = evaluate(step.node, step.opset, arrays)
    step.require(finite_values, floats, found=f"NaN in {step.output}")
    origin = next((s.origin for s in sources if isinstance(s, Table)), ())
    return [Table(sources[0].tensor, sources[0].shape, floats.astype(np.float32), (*origin, step.label))]
