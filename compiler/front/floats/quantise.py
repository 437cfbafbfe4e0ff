"""QuantizeLinear and DequantizeLinear: where values change between integers and real numbers.

Float results become IR nodes here: DequantizeLinear -> operator -> QuantizeLinear *is* the quantised operator.
"""

from __future__ import annotations

import numpy as np
import onnx

from compiler.front.constraints import constant_parameters, eight_bits, finite_values, not_blocked, one_scale, quantisable, type_of_zero
from compiler.front.floats.lower import lower
from compiler.front.operators.products.constants import dequantised_constant, quantised_constant
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import DTYPES, OnnxNode
from compiler.front.state.values import Const, HostFloat, Operation, Pending, Quant, Quantisation, Real, RealConst, Table, Unknown, Value
from compiler.ir.network import RANGES, EdgeInput


def _output_type(node: OnnxNode) -> np.dtype:
    zero, code = node.constant(2), node.attribute("output_dtype", 0)
    given = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code or onnx.TensorProto.UINT8))
    if zero is None:
        return given
    if code:
        node.require(type_of_zero, given, zero.dtype, found=f"{given} and a zero point of {zero.dtype}")
    return zero.dtype


def quantize_linear(node: OnnxNode) -> list[Value]:
    """Emit what the input is waiting for, or the requantising table, or a quantised graph input."""
    value, builder = node.value(0), node.builder
    wanted = _output_type(node)
    if isinstance(value, Const | RealConst):
        return [quantised_constant(node, value, wanted)]
    node.require(not_blocked, node.attribute("block_size", 0), found=f"block_size {node.attribute('block_size', 0)}")
    dtype = DTYPES.get(wanted, str(wanted))
    node.require(eight_bits, dtype, found=dtype)
    scale, zero, _ = node.quantisation(1, 2)
    name = node.output
    target = Quantisation(name, dtype, scale, zero, *RANGES[dtype])
    match value:
        case HostFloat(source, shape):
            tensor = builder.tensor(name, default_view(shape), dtype, scale, zero)
            builder.inputs.append(EdgeInput(source, "f32", builder.input_shapes[source], tensor))
        case Real() if (value.dtype, value.scale, value.zero) == (dtype, scale, zero):
            tensor = value.tensor
            builder.rename(tensor, name)
        case Real() | Table() | Pending() | Operation():
            if isinstance(value, Table):
                node.require(finite_values, value.floats, found=f"NaN in {node.name_of(0)}")
            tensor = lower(builder, value, target, (node.label,) if isinstance(value, Real) else (*value.origin, node.label))
        case Unknown(shape):
            if shape is None:
                return [value]
            tensor = builder.tensor(name, default_view(shape), dtype, scale, zero)
            return [Quant(tensor, shape, dtype)]
        case _:
            node.refuse(quantisable, node.describe(0))
    return [Quant(tensor, value.shape, dtype)]


def dequantize_linear(node: OnnxNode) -> list[Value]:
    """Turn an integer tensor into real numbers; a constant keeps its integers, for weights and biases."""
    value = node.value(0)
    if isinstance(value, Unknown):
        return [value]
    if isinstance(value, Const):
        return [dequantised_constant(node, value)]
    node.require(not_blocked, node.attribute("block_size", 0), found=f"block_size {node.attribute('block_size', 0)}")
    if not isinstance(value, Quant):
        node.refuse(eight_bits, node.describe(0))
    node.require(eight_bits, value.dtype, found=f"{value.dtype} of {node.name_of(0)}")
    node.require(constant_parameters, node.value(1), found=node.describe(1))
    scale_value = node.constant(1)
    assert scale_value is not None
    node.require(one_scale, scale_value, np.zeros(1), found=f"{scale_value.size} scales")
    scale_, zero_, _ = node.quantisation(1, 2)
    return [node.builder.dequantise(value, scale_, zero_, node.label)]
