"""Trees of float32 operations: how they grow, node by node, and what is asked of them.

Two normal forms are taken on the way: a function of one 8-bit tensor is a `Table` (`compiler.front.floats.rules.tables`), and constants join the scales
and the bias of a product that is not quantised yet (`compiler.front.floats.rules.affine`). All else stays an `Operation` until it is quantised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from compiler.front.constraints import broadcast_shapes
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Pending, Real, RealConst, Shape, Table, Unquantised, Value
from compiler.ir.expression import apply

#: Operations that ONNX operators of two and more operands are, from left to right.
KINDS = {"Add": "ADD", "Div": "DIV", "Max": "MAX", "Mean": "ADD", "Min": "MIN", "Mul": "MUL", "Sub": "SUB", "Sum": "ADD"}


def scalar_of(value: Value | None) -> np.ndarray | None:
    """Return the one number of a constant, of shape (); None for a constant of several and for what is none."""
    if not isinstance(value, Const | RealConst) or value.array.size == 0:
        return None
    array = value.real() if isinstance(value, RealConst) else value.array
    first = array.reshape(-1)[0]
    return np.asarray(first) if array.size == 1 or (array.dtype.kind in "fiu" and bool(np.all(array == first))) else None


def numbers_of(value: Const | RealConst) -> np.ndarray:
    """Return a constant's numbers, float32."""
    return (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32)


def number(value: float | np.floating) -> Const:
    """Return a constant of one number."""
    return Const(np.array(value, np.float32))


def joint_shape(node: OnnxNode, shapes: list[Shape]) -> Shape:
    """Return the shape that operands broadcast to; refuses those that do not."""
    try:
        return tuple(int(d) for d in np.broadcast_shapes(*shapes))
    except ValueError:
        node.refuse(broadcast_shapes, f"shapes {' and '.join(map(str, shapes))}")


def operation(node: OnnxNode, kind: str, a: Formula, b: Formula) -> Operation:
    """Return `kind` of two values."""
    labels = [label for value in (a, b) if isinstance(value, Table | Unquantised) for label in value.origin]
    return Operation(kind, a, b, joint_shape(node, [a.shape, b.shape]), (*dict.fromkeys((*labels, node.label)),), node)


def is_product(value: Formula) -> bool:
    """Whether a value is the result of a product whose int32 sums can be operands of float operations."""
    return isinstance(value, Pending) and hasattr(value.of, "sums")


def clamped(node: OnnxNode, value: Formula, low: float, high: float) -> Formula:
    """Return min(max(value, low), high), without bounds that are infinite."""
    for kind, bound in (("MAX", low), ("MIN", high)):
        if np.isfinite(bound):
            value = operation(node, kind, value, number(bound))
    return value


def leaves(value: Formula, seen: set[int] | None = None) -> Iterator[Formula]:
    """Yield what a formula is made of, from left to right; what an operation is made of once, whatever reads it."""
    seen = set() if seen is None else seen
    if not isinstance(value, Operation):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        yield from leaves(value.a, seen)
        yield from leaves(value.b, seen)


def reshaped(value: Formula, shape: Shape, known: dict[int, Formula | None] | None = None) -> Formula | None:
    """Return a value seen as another shape: operations on operands seen so, where those have the whole shape or one number. None where one has not.

    `known`: what has been reshaped to it; what two operations read stays one value.
    """
    known = {} if known is None else known
    if id(value) not in known:
        known[id(value)] = _reshaped(value, shape, known)
    return known[id(value)]


def _reshaped(value: Formula, shape: Shape, known: dict[int, Formula | None]) -> Formula | None:
    if value.shape == shape:
        return value
    if isinstance(value, Operation):
        parts = [part if prod(part.shape) == 1 else reshaped(part, shape, known) if part.shape == value.shape else None for part in (value.a, value.b)]
        one, two = parts
        return None if one is None or two is None else replace(value, a=one, b=two, shape=shape)
    if isinstance(value, Const):
        return Const(value.array.reshape(shape))
    if isinstance(value, RealConst):
        return value.moved(lambda array: array.reshape(shape))
    if isinstance(value, Pending):
        moved = getattr(value.of, "reshaped", None)
        return replace(value, shape=shape, of=moved(shape) if moved else value.of if hasattr(value.of, "biasable") else None)
    return replace(value, shape=shape)


def constant_value(value: Formula) -> np.ndarray:
    """Return what a formula of constants is, float32."""
    if isinstance(value, Operation):
        with np.errstate(over="ignore"):
            return apply("MUL" if value.kind == "MEAN" else value.kind, constant_value(value.a), constant_value(value.b))
    assert isinstance(value, Const | RealConst)
    return numbers_of(value)


def opened(value: Formula, known: dict[int, Formula] | None = None) -> Formula:
    """Return a value whose results of operators are the operations on products that they are, where they are any.

    `known`: what has been opened; what two operations read stays one value.
    """
    known = {} if known is None else known
    if id(value) not in known:
        known[id(value)] = _opened(value, known)
    return known[id(value)]


def _opened(value: Formula, known: dict[int, Formula]) -> Formula:
    if isinstance(value, Pending) and not is_product(value) and value.formula is not None:
        inner = reshaped(value.formula(), value.shape)
        return value if inner is None else opened(inner, known)
    if isinstance(value, Operation):
        a, b = opened(value.a, known), opened(value.b, known)
        return value if (a, b) == (value.a, value.b) else replace(value, a=a, b=b)
    return value


def ended(value: Formula) -> bool:
    """Whether `bounds` are known: functions of many have theirs, products if nothing a channel has joined them, a quotient by a computed number has none."""
    if isinstance(value, Pending):
        return bool(getattr(value.of, "own", False))
    if not isinstance(value, Operation):
        return True
    if value.ends is not None:
        return all(ended(leaf) for leaf in leaves(value))
    return value.kind != "QUOTIENT" and ended(value.a) and ended(value.b)


def bounds(value: Formula, known: dict[int, tuple[float, float]] | None = None) -> tuple[float, float]:
    """Return (least, greatest) that a formula of tensors, functions and constants can give, float64, from the bounds of its operands.

    `known`: those of the operations that have been looked at.
    """
    known = {} if known is None else known
    if id(value) not in known:
        known[id(value)] = _bounds(value, known)
    return known[id(value)]


def _bounds(value: Formula, known: dict[int, tuple[float, float]]) -> tuple[float, float]:
    if isinstance(value, Operation) and value.ends is not None:
        return value.ends(known)
    if isinstance(value, Pending):
        return value.of.ends()
    if not isinstance(value, Operation):
        assert isinstance(value, Real | Table | Const | RealConst)
        numbers = value.values() if isinstance(value, Real | Table) else numbers_of(value)
        return float(numbers.min()), float(numbers.max())
    (a, b), (c, d) = bounds(value.a, known), bounds(value.b, known)
    match value.kind:
        case "ADD":
            return a + c, b + d
        case "SUB":
            return a - d, b - c
        case "MUL" | "MEAN":
            ends = (a * c, a * d, b * c, b * d)
            return min(ends), max(ends)
        case "DIV":
            return min(a / c, b / c), max(a / c, b / c)
        case "MIN":
            return min(a, c), min(b, d)
    assert value.kind == "MAX"
    return max(a, c), max(b, d)


__all__ = [
    "KINDS", "bounds", "clamped", "constant_value", "ended", "is_product", "joint_shape", "leaves", "number", "numbers_of", "opened", "operation",
    "reshaped", "scalar_of",
]
