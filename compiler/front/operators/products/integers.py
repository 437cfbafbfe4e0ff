"""Operators that ONNX defines on 8-bit integers too and that only compare: on integers they are what they are on the real numbers that
these are, with scale 1 and zero point 0, and every result is one of the operands, so that nothing rounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.front.operators.movement.movement import quantised_as
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Quant, Quantisation, Value
from compiler.ir.network import RANGES

Handler = Callable[[OnnxNode], list[Value]]


def in_order(handler: Handler) -> Handler:
    """Return `handler` for integers as well: 8-bit tensors become real numbers before it and its results become integers after it."""

    def handle(node: OnnxNode) -> list[Value]:
        kinds = {value.dtype for value in node.values.peek() if isinstance(value, Quant)}
        if kinds not in ({"i8"}, {"u8"}):
            return handler(node)
        dtype = kinds.pop()
        values = {index: _real(node, value) for index, value in enumerate(node.values.peek())}
        target = Quantisation(node.output, dtype, 1.0, 0, *RANGES[dtype])
        results = handler(node.varied(values=values))
        return [Quant(quantised_as(node.builder, value, target, node.label), value.shape or (), dtype) for value in results]

    return handle


def _real(node: OnnxNode, value: Value | None) -> Value | None:
    match value:
        case Quant():
            return node.builder.dequantise(value, 1.0, 0, node.label)
        case Const() if value.array.dtype.kind in "iu":
            return Const(value.array.astype(np.float32))
    return value
