"""com.microsoft QLinearSigmoid and QLinearLeakyRelu: a table; Cast and Dropout where they change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from compiler.front.constraints import BOOL, float_only, inference_only
from compiler.front.floats.decisions import truth
from compiler.front.floats.integers import table_bytes
from compiler.front.operators.products.convolution import real_operand, result_target
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Quant, Real, Table, Value
from compiler.front.validity.folding import evaluate
from compiler.ir.network import Unary


def qlinear_function(node: OnnxNode) -> list[Value]:
    """x, x_scale, x_zero, y_scale, y_zero: the function of the dequantised x, quantised."""
    x, target = real_operand(node, 0, 1), result_target(node, 3, 4)
    attributes = {"alpha": node.attribute("alpha", 0.01)} if node.op == "QLinearLeakyRelu" else {}
    proto = onnx.helper.make_node(node.op.removeprefix("QLinear"), ["x"], ["y"], **attributes)
    (floats,) = evaluate(proto, node.opset, [x.values()])
    builder = node.builder
    out = builder.tensor(target.name, builder.tensors[x.tensor].shape, target.dtype, target.scale, target.zero)
    builder.node(node.label, Unary(table_bytes(floats.astype(np.float32), target)), (x.tensor,), out, (node.label,))
    return [Quant(out, x.shape, target.dtype)]


def cast(node: OnnxNode) -> list[Value]:
    """Cast to float32: of float32 numbers, of 8-bit integers, which are dequantised by a scale of 1, and of the sums of an Integer operator, which
    wait for their quantisation as those of any product. Cast to the type that there is."""
    value, to = node.value(0), node.attribute("to", 0)
    assert value is not None
    kind = onnx.TensorProto.DataType.Name(to).lower() if to in onnx.TensorProto.DataType.values() else str(to)
    node.require(float_only, value, to, found=f"{node.describe(0)}, to {kind}")
    if to == BOOL:
        real = node.builder.dequantise(value, 1.0, 0, node.label) if isinstance(value, Quant) else value
        assert isinstance(real, Real | Table)
        return [truth(node, real)]
    if not isinstance(value, Quant) or to != onnx.TensorProto.FLOAT:
        return [value]
    if value.sums is None:
        return [node.builder.dequantise(value, 1.0, 0, node.label)]
    sums = value.sums.pending()
    return [replace(sums, shape=value.shape, origin=(*sums.origin, node.label))]


def dropout(node: OnnxNode) -> list[Value]:
    """Dropout at inference."""
    value, training = node.value(0), node.constant(2)
    assert value is not None
    node.require(inference_only, training is not None and bool(training.any()), len([o for o in node.proto.output if o]), found="a mask or a training mode")
    return [value]


__all__ = ["cast", "dropout", "qlinear_function"]
