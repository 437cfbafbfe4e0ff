"""com.microsoft QLinearSigmoid and QLinearLeakyRelu: a table; Cast and Dropout where they change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from compiler.front.constraints import float_only, inference_only
from compiler.front.floats.integers import table_bytes
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.state.step import Step
from compiler.front.state.values import Quant, Value
from compiler.front.validity.folding import evaluate
from compiler.ir.graph import Unary


def qlinear_function(step: Step) -> list[Value]:
    """x, x_scale, x_zero, y_scale, y_zero: the function of the dequantised x, quantised."""
    x, target = real_operand(step, 0, 1), result_target(step, 3, 4)
    attributes = {"alpha": step.attribute("alpha", 0.01)} if step.op == "QLinearLeakyRelu" else {}
    node = onnx.helper.make_node(step.op.removeprefix("QLinear"), ["x"], ["y"], **attributes)
    (floats,) = evaluate(node, step.opset, [x.values()])
    builder = step.builder
    out = builder.tensor(target.name, builder.tensors[x.tensor].shape, target.dtype, target.scale, target.zero)
    builder.node(step.label, Unary(table_bytes(floats.astype(np.float32), target)), (x.tensor,), out, (step.label,))
    return [Quant(out, x.shape, target.dtype)]


def cast(step: Step) -> list[Value]:
    """Cast to float32: of float32 numbers, of 8-bit integers, which are dequantised by a scale of 1, and of the sums of an Integer operator, which
    wait for their quantisation as those of any product. Cast to the type that there is."""
    value, to = step.value(0), step.attribute("to", 0)
    assert value is not None
    kind = onnx.TensorProto.DataType.Name(to).lower() if to in onnx.TensorProto.DataType.values() else str(to)
    step.require(float_only, value, to, found=f"{step.describe(0)}, to {kind}")
    if not isinstance(value, Quant) or to != onnx.TensorProto.FLOAT:
        return [value]
    if value.sums is None:
        return [step.builder.dequantise(value, 1.0, 0, step.label)]
    sums = value.sums.pending()
    return [replace(sums, shape=value.shape, origin=(*sums.origin, step.label))]


def dropout(step: Step) -> list[Value]:
    """Dropout at inference."""
    value, training = step.value(0), step.constant(2)
    assert value is not None
    step.require(inference_only, training is not None and bool(training.any()), len([o for o in step.node.output if o]), found="a mask or a training mode")
    return [value]


__all__ = ["cast", "dropout", "qlinear_function"]
