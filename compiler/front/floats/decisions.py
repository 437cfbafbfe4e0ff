"""Where, and what it decides by: comparisons and logic of one 8-bit tensor and numbers, tables of 0 and 1.

    Where(c, a, b)      a * [c] + b * [not c], exact for finite numbers; constants are 0 where they are not chosen, minus infinity among them
    all of one tensor   a table
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.front.constraints import known_condition, quantised_operand
from compiler.front.floats.formula import bounds, operation, scalar_of
from compiler.front.floats.rules.tables import common_root
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Real, RealConst, Table, Value


def truth(node: OnnxNode, value: Real | Table) -> Table:
    """Return whether the numbers of a function are not 0, as 1 and 0."""
    origin = value.origin if isinstance(value, Table) else ()
    return Table(value.tensor, value.shape, (value.values() != 0).astype(np.float32), (*origin, node.label))


def _not(condition: Const | Table) -> Const | Table:
    return Const(1 - condition.array) if isinstance(condition, Const) else replace(condition, floats=1 - condition.floats)


def _chosen(node: OnnxNode, condition: Const | Table, value: Formula) -> Formula:
    """A value where the condition, of 0 and 1, is 1, and 0 elsewhere."""
    if isinstance(value, Const | RealConst):
        numbers = (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32)
        one = scalar_of(value)
        if isinstance(condition, Const):
            return Const(np.where(condition.array != 0, numbers, np.float32(0)).astype(np.float32))
        if one is not None and len(value.shape) <= len(condition.shape):
            return replace(condition, floats=np.where(condition.floats != 0, np.float32(one), np.float32(0)).astype(np.float32))
    return operation(node, "MUL", value, condition)


def where(node: OnnxNode) -> list[Value]:
    """Where of a condition that is constant or a function of one 8-bit tensor."""
    values: list[Any] = [node.value(index) for index in range(3)]
    condition = values[0]
    for index in (1, 2):
        if not isinstance(values[index], Formula):
            node.refuse(quantised_operand, node.describe(index))
    if isinstance(condition, Real | Table):
        condition = truth(node, condition)
    node.require(known_condition, isinstance(condition, Const | Table), found=node.describe(0))
    sources = common_root(node.builder, [condition, *values[1:]]) if isinstance(condition, Table) else None
    if sources is not None:
        given, *choices = (np.asarray(array, np.float32) for array in sources.arrays)
        return [Table(sources.tensor, sources.shape, np.where(given != 0, *choices).astype(np.float32), (*sources.origin, node.label))]
    if isinstance(condition, Const):
        condition = Const(condition.array.astype(np.float32))
    a, b = _chosen(node, condition, values[1]), _chosen(node, _not(condition), values[2])
    whole = operation(node, "ADD", a, b)

    def ends(known: dict[int, tuple[float, float]]) -> tuple[float, float]:
        (low, high), (least, greatest) = (bounds(value, known) for value in values[1:])
        return min(low, least), max(high, greatest)

    return [replace(whole, ends=ends)]


__all__ = ["truth", "where"]
