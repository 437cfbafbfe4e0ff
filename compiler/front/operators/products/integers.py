"""Operators that ONNX defines on 8-bit integers too and that only compare: on integers they are what they are on the real numbers that
these are, with scale 1 and zero point 0, and every result is one of the operands, so that nothing rounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.front.operators.movement.movement import quantised_as
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Quant, Quantisation, Value
from compiler.ir.graph import RANGES

Handler = Callable[[Step], list[Value]]


def in_order(handler: Handler) -> Handler:
    """Return `handler` for integers as well: 8-bit tensors become real numbers before it and its results become integers after it."""

    def handle(step: Step) -> list[Value]:
        kinds = {value.dtype for value in step.values.peek() if isinstance(value, Quant)}
        if kinds not in ({"i8"}, {"u8"}):
            return handler(step)
        dtype = kinds.pop()
        values = {index: _real(step, value) for index, value in enumerate(step.values.peek())}
        target = Quantisation(step.output, dtype, 1.0, 0, *RANGES[dtype])
        results = handler(step.varied(values=values))
        return [Quant(quantised_as(step.builder, value, target, step.label), value.shape or (), dtype) for value in results]

    return handle


def _real(step: Step, value: Value | None) -> Value | None:
    match value:
        case Quant():
            return step.builder.dequantise(value, 1.0, 0, step.label)
        case Const() if value.array.dtype.kind in "iu":
            return Const(value.array.astype(np.float32))
    return value
