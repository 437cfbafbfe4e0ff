"""Operators that select elements or fill in zeros: onnx.reference moves the numbers of the elements, and the values follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verif.reference.movement.movement import Moved, numbers_of, settled
from verif.reference.values import Plain, Value

#: Operators of one data operand, with those among them that fill in zeros, and operators that put updates into it.
SELECTING = ("CenterCropPad", "Compress", "GatherND", "ReverseSequence", "ScatterElements", "ScatterND", "Trilu")


def selection(evaluate: Callable[..., list[np.ndarray]]) -> Callable[[Any], list[Value]]:
    """Return the operator of all nodes that select; `evaluate` runs one node on arrays by onnx.reference."""

    def operator(call: Any) -> list[Value]:
        node = call.entire()
        if all(v.constant for v in call.inputs if v is not None):
            outputs = evaluate(node, call.opset, [None if v is None else v.real() for v in call.inputs])
            return [Plain(a, True) for a in outputs]
        if call.attributes.get("reduction", b"none") != b"none":
            raise call.refuse(f"reduction {call.attributes['reduction'].decode()}")
        data = [0, 2] if node.op_type.startswith("Scatter") else [0]
        parts = [call.value(i) for i in data]
        kind = parts[0].array.dtype if isinstance(parts[0], Plain) else np.dtype(np.float32)
        zero = Plain(np.zeros(1, kind), True)
        arrays: list[np.ndarray | None] = [None if v is None or i in data else call.number(i) for i, v in enumerate(call.inputs)]
        for i, numbers in zip(data, numbers_of([zero, *parts])[1:], strict=True):  # the zero that is filled in has the number 0
            arrays[i] = numbers
        (index,) = evaluate(node, call.opset, arrays)
        if (index > 0).all():
            return [settled(Moved(tuple(parts), index - 1))]
        return [settled(Moved((zero, *parts), index))]

    return operator
