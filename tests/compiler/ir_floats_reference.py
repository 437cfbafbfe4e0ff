"""Sum and Quotient nodes in plain numpy float32, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir import NUMPY_TYPES, Graph, Node
from compiler.ir_floats import Quotient, Sum

F = np.float32


def _real(array: np.ndarray, scale: float, zero: int) -> np.ndarray:
    return (array.astype(np.int64) - zero).astype(F) * F(scale)


def _rounded(result: np.ndarray, a: Sum | Quotient, dtype: str) -> np.ndarray:
    steps = np.rint((result / F(a.y_scale)).astype(np.float64))
    return np.clip(steps + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[dtype])


def sum_of_several(node: Node, graph: Graph, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Sum node."""
    a = node.attrs
    assert isinstance(a, Sum)
    numbers = [
        _real(values[node.inputs[t.source]], t.scale, t.zero) if t.constant is None else t.constant[None, :, None, None] for t in a.terms
    ]
    for i, j in a.additions:
        numbers.append(numbers[i] + numbers[j])
    return _rounded(numbers[-1] * F(a.factor), a, graph.tensors[node.outputs[0]].dtype)


def quotient(node: Node, graph: Graph, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Quotient node."""
    a = node.attrs
    assert isinstance(a, Quotient)
    dividend, divisor = _real(values[node.inputs[0]], a.a_scale, a.a_zero), _real(values[node.inputs[1]], a.b_scale, a.b_zero)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = dividend * (F(1) / divisor)
    return _rounded(np.where(dividend == 0, F(0), product), a, graph.tensors[node.outputs[0]].dtype)
