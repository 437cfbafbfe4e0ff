"""Add, clamps and functions of one 8-bit tensor.

A function of one 8-bit tensor and constants has 256 values: ONNX's own reference evaluator computes them at compile time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from compiler.ir import Add
from compiler.onnx_import.convolution import real_operand, result_target
from compiler.onnx_import.step import Step
from compiler.onnx_import.values import Const, Pending, Quant, Real, RealConst, Table, Target, Value
from compiler.support import channel_bias, equal_shapes, finite_values, one_source, quantised_operand


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
        view = builder.tensors[a.tensor].shape
        tensors = (a.tensor, builder.view(b.tensor, view))
        attrs = Add(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
        out = builder.tensor(target.name, view, target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, tensors, out, origin)

    return Pending(a.shape, (step.label,), emit)


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
    for index, value in enumerate((a, b)):
        if isinstance(value, Const | RealConst) and value.array.size > 1:
            other = (b, a)[index]
            step.refuse(equal_shapes, f"shapes {getattr(other, 'shape', ())} and {value.shape}")
    return table_function(step)


def qlinear_add(step: Step) -> list[Value]:
    """com.microsoft QLinearAdd: a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    pending = _add_node(step, real_operand(step, 0, 1), real_operand(step, 3, 4))
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
