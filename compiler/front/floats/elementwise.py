"""Sums of two tensors, clamps and functions of one 8-bit tensor.

A function of one 8-bit tensor and constants has 256 values: ONNX's own reference evaluator computes them at compile time.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from compiler.constraints import finite_values, one_source
from compiler.front.floats.tables import one_root, reachable, scalar_of
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quantisation, Real, RealConst, Table, Value
from compiler.ir.graph import Add


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


def add_node(step: Step, a: Real, b: Real) -> Pending:
    builder = step.builder

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        view = builder.tensors[b.tensor].shape
        tensors = (builder.view(a.tensor, view), b.tensor)
        attrs = Add(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
        out = builder.tensor(target.name, view, target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, tensors, out, origin)

    return Pending(a.shape, (step.label,), emit)


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
    sources = one_root(step)
    if sources is None:
        _refuse(step)
    (floats,) = evaluate(step.whole(), step.opset, sources.arrays)
    unreachable = ~reachable(step.builder, sources.tensor)
    floats = np.where(unreachable & np.isnan(floats), 0, floats).astype(np.float32)
    step.require(finite_values, floats, found=f"NaN in {step.output}")
    return [Table(sources.tensor, sources.shape, floats, (*sources.origin, step.label))]


def _refuse(step: Step) -> NoReturn:
    """Say why a function depends on more than one tensor and scalars."""
    tensors = set()
    for index, value in enumerate(step.values):
        if isinstance(value, Real | Table):
            tensors.add(value.tensor)
        elif isinstance(value, Const | RealConst):
            if scalar_of(value) is None:
                step.refuse(one_source, f"{step.name_of(index)}, a constant of shape {value.shape}")
        elif value is not None:
            step.refuse(one_source, step.describe(index))
    step.require(one_source, tensors, found=f"{len(tensors)} tensors")
    step.refuse(one_source, f"shapes {' and '.join(str(v.shape) for v in step.values if v is not None)}")
