"""Sum, Quotient and Expression nodes in plain numpy float32, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir.expression import Digits, Expression, Sums
from compiler.ir.floats import Quotient, Sum
from compiler.ir.network import NUMPY_TYPES, Network, Node
from tests.compiler.ir_rowwise_reference import reciprocal

F = np.float32


def _real(array: np.ndarray, scale: float, zero: int) -> np.ndarray:
    return (array.astype(np.int64) - zero).astype(F) * F(scale)


def _rounded(result: np.ndarray, a: Sum | Quotient | Expression, dtype: str) -> np.ndarray:
    steps = np.rint((result / F(a.y_scale)).astype(np.float64))
    return np.clip(steps + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[dtype])


def sum_of_several(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Sum node."""
    a = node.attrs
    assert isinstance(a, Sum)
    numbers = [
        _real(values[node.inputs[t.source]], t.scale, t.zero) if t.constant is None else t.constant[None, :, None, None] for t in a.terms
    ]
    for i, j in a.additions:
        numbers.append(numbers[i] + numbers[j])
    return _rounded(numbers[-1] * F(a.factor), a, graph.tensors[node.outputs[0]].dtype)


def quotient(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Quotient node."""
    a = node.attrs
    assert isinstance(a, Quotient)
    dividend, divisor = _real(values[node.inputs[0]], a.a_scale, a.a_zero), _real(values[node.inputs[1]], a.b_scale, a.b_zero)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = dividend * (F(1) / divisor)
    return _rounded(np.where(dividend == 0, F(0), product), a, graph.tensors[node.outputs[0]].dtype)


def expression(node: Node, graph: Network, values: dict[str, np.ndarray], sums: list[np.ndarray]) -> np.ndarray:
    """Result of an Expression node, given the int32 sums of its products; digits are added as integers of any size."""
    a = node.attrs
    assert isinstance(a, Expression)
    numbers = []
    of_products = iter(sums)
    for t in a.terms:
        if isinstance(t, Sums):
            numbers.append(next(of_products).astype(F) * t.scale[None, :, None, None])
        elif isinstance(t, Digits):
            places = [table.astype(object) for table in t.tables]
            places[-1] = places[-1] + t.lowest
            whole = sum(place * 256**k for k, place in enumerate(places))
            function = np.array([float(v) * t.unit for v in whole])
            assert len(t.tables) == 1 or np.array_equal(function, function.astype(F)), "digits make no float32 number"
            numbers.append(function.astype(F)[values[node.inputs[t.source]].view(np.uint8)])
        elif t.constant is None:
            numbers.append(_real(values[node.inputs[t.source]], t.scale, t.zero))
        else:
            numbers.append(t.constant[None, :, None, None])
    functions = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide, "MIN": np.minimum, "MAX": np.maximum,
                 "QUOTIENT": lambda a, b: a * reciprocal(b)}  # fmt: skip
    for kind, i, j in a.operations:
        numbers.append(functions[kind](numbers[i], numbers[j]))
    if graph.tensors[node.outputs[0]].dtype == "f32":
        return np.broadcast_to(numbers[-1], graph.tensors[node.outputs[0]].shape)
    return _rounded(numbers[-1], a, graph.tensors[node.outputs[0]].dtype)
