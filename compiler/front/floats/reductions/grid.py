"""Functions of a tensor whose numbers are whole multiples of one of them: a dequantised tensor, for operators that take no other.

    AveragePool(Relu(dq x)) -> Q        Relu's numbers are those of x or 0: 8-bit integers with x's scale, one table
    Conv(Neg(dq x), dq w) -> Q

The unit is the least magnitude among the function's 256 numbers; where all are float32(k * unit), the k within 256 neighbours, nothing rounds.
"""

from __future__ import annotations

from compiler.front.constraints import usable_scale
from compiler.front.state.builder import Builder
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Real, Table, Value
from compiler.ir.expression import one_digit
from compiler.ir.network import Unary

#: Operators whose operands become tensors.
GRIDDED = ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "LayerNormalization", "LogSoftmax", "MatMul", "Softmax")


def dequantised(builder: Builder, value: Table) -> Real | None:
    """Return a function's numbers as a dequantised uint8 tensor; None where they are no multiples."""
    digit = one_digit(0, value.floats)
    if digit is None or not usable_scale(value.floats.dtype.type(digit.unit)):
        return None
    key = (value.tensor, value.floats.tobytes(), "dequantised")
    if key not in builder.quantised:
        t = builder.tensors[value.tensor]
        out = builder.tensor(f"{value.origin[-1]}/integers", t.shape, "u8", digit.unit, -digit.lowest)
        builder.quantised[key] = builder.node(value.origin[0], Unary(digit.tables[0].copy()), (value.tensor,), out, value.origin), value
    return Real(builder.quantised[key][0], value.shape, "u8", digit.unit, -digit.lowest)


def settled(node: OnnxNode) -> list[Value | None]:
    """Return a node's operands, functions that are multiples as dequantised tensors where its operator needs that."""
    if node.op not in GRIDDED:
        return node.values
    return [(dequantised(node.builder, v) or v) if isinstance(v, Table) else v for v in node.values]


__all__ = ["GRIDDED", "dequantised", "settled"]
