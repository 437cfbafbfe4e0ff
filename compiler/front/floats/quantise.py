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
from compiler.front.state.step import DTYPES, Step
from compiler.front.state.values import Const, HostFloat, Operation, Pending, Quant, Quantisation, Real, RealConst, Table, Unknown, Value
from compiler.ir.graph import RANGES, EdgeInput


def _output_type(step: Step) -> np.dtype:
    zero, code = step.constant(2), step.attribute("output_dtype", 0)
    given = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code or onnx.TensorProto.UINT8))
    if zero is None:
        return given
    if code:
        step.require(type_of_zero, given, zero.dtype, found=f"{given} and a zero point of {zero.dtype}")
    return zero.dtype


def quantize_linear(step: Step) -> list[Value]:
    """Emit what the input is waiting for, or the requantising table, or a quantised graph input."""
    value, builder = step.value(0), step.builder
    wanted = _output_type(step)
    if isinstance(value, Const | RealConst):
        return [quantised_constant(step, value, wanted)]
    step.require(not_blocked, step.attribute("block_size", 0), found=f"block_size {step.attribute('block_size', 0)}")
    dtype = DTYPES.get(wanted, str(wanted))
    step.require(eight_bits, dtype, found=dtype)
    scale, zero, _ = step.quantisation(1, 2)
    name = step.output
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
                step.require(finite_values, value.floats, found=f"NaN in {step.name_of(0)}")
            tensor = lower(builder, value, target, (step.label,) if isinstance(value, Real) else (*value.origin, step.label))
        case Unknown(shape):
            if shape is None:
                return [value]
            tensor = builder.tensor(name, default_view(shape), dtype, scale, zero)
            return [Quant(tensor, shape, dtype)]
        case _:
            step.refuse(quantisable, step.describe(0))
    return [Quant(tensor, value.shape, dtype)]


def dequantize_linear(step: Step) -> list[Value]:
    """Turn an integer tensor into real numbers; a constant keeps its integers, for weights and biases."""
    value = step.value(0)
    if isinstance(value, Unknown):
        return [value]
    if isinstance(value, Const):
        return [dequantised_constant(step, value)]
    step.require(not_blocked, step.attribute("block_size", 0), found=f"block_size {step.attribute('block_size', 0)}")
    if not isinstance(value, Quant):
        step.refuse(eight_bits, step.describe(0))
    step.require(eight_bits, value.dtype, found=f"{value.dtype} of {step.name_of(0)}")
    step.require(constant_parameters, step.value(1), found=step.describe(1))
    scale_value = step.constant(1)
    assert scale_value is not None
    step.require(one_scale, scale_value, np.zeros(1), found=f"{scale_value.size} scales")
    scale_, zero_, _ = step.quantisation(1, 2)
    return [step.builder.dequantise(value, scale_, zero_, step.label)]
