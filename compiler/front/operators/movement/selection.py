"""Operators that select or fill elements in ways numpy has no one word for: onnx.reference runs the node on element numbers.

    Compress, GatherND, ReverseSequence      elements of the first operand
    CenterCropPad, Trilu                     the same, and zeros
    ScatterElements, ScatterND               elements of the first operand and of the updates

All other operands are constants. The numbers that come out are the index of a `Move`.
"""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import fits_dimensions, movable_operand, overwrites
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Quant, Value
from compiler.front.validity.folding import evaluate
from compiler.ir.network import NUMPY_TYPES

_FILLING = ("CenterCropPad", "Trilu")
_UPDATING = ("ScatterElements", "ScatterND")


def select(node: OnnxNode) -> list[Value]:
    """Any of the operators above."""
    mode = node.attribute("reduction", b"none").decode()
    node.require(overwrites, mode, found=f"reduction {mode}")
    data = [0, 2] if node.op in _UPDATING else [0]
    values = []
    for index in data:
        value = node.value(index)
        node.require(movable_operand, value, found=node.describe(index))
        assert value is not None
        values.append(value)
    # Numbers from 1: what the node fills in, 0, is then the number -1, which is the first constant's.
    numbers = dict(zip(data, (array + 1 for array in numbered(values)), strict=True))
    arrays = [numbers[index] if index in numbers else node.constant(index) for index in range(len(node.values))]
    try:
        (chosen,) = evaluate(node.whole(), node.opset, arrays)
    except (IndexError, ValueError) as error:
        node.refuse(fits_dimensions, str(error).splitlines()[0].rstrip("."))
    if node.op in _FILLING:
        first = values[0]
        values.append(Const(np.zeros(1, NUMPY_TYPES[first.dtype] if isinstance(first, Quant) else np.float32)))
    return [moved(node, values, chosen - 1)]
