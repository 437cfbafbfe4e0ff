"""What a float value becomes where it is quantised: the first rule that matches, cheapest first.

    table        a function of one 8-bit tensor                                  one table (`compiler.front.floats.rules.tables`)
    product      a result of an operator, with what has joined it                that operator (`affine`)
    clamp        MIN and MAX with a number, outermost                            bounds of the quantised integers, of whatever is below
    quotient     a dequantised tensor over another                               Quotient
    slopes       the larger or smaller of a tensor and its multiples             two Binary nodes (`extremes`)
    extremes     the least or greatest of three tensors and more                 Binary nodes one after the other
    binary       two tensors, or a tensor and a constant                         Add, Binary
    sum          additions of three and more, and means                          Sum
    expression   all else                                                        Expression, functions of tensors as digits

Averages of what nothing has quantised are `compiler.front.floats.reductions.averages`. Each rule's file says what it matches, what it makes, and the order of
the arithmetic, which is the definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from compiler.front.floats.formula import is_product, scalar_of
from compiler.front.floats.integers import quantise, table_bytes
from compiler.front.floats.rules.binary import binary
from compiler.front.floats.rules.expressions import expression, operations
from compiler.front.floats.rules.extremes import extremes, slopes
from compiler.front.floats.rules.quotients import quotient
from compiler.front.floats.rules.sums import total
from compiler.front.state.builder import Builder
from compiler.front.state.values import Operation, Pending, Quantisation, Real, Table, Unquantised
from compiler.ir.network import Unary

#: A rule adds the nodes that write `target` and returns the tensor, or None where it does not match.
Rule = Callable[[Operation, Quantisation, tuple[str, ...]], str | None]
RULES: tuple[Rule, ...] = (quotient, slopes, extremes, binary, total, operations)


def unclamped(value: Operation, target: Quantisation) -> tuple[Unquantised, Quantisation]:
    """Return what is below the outermost bounds, and the target with them: quantisation keeps order, so they are integers."""
    inner: Unquantised = value
    low, high = target.low, target.high
    while isinstance(inner, Operation) and inner.kind in ("MIN", "MAX"):
        pair = (inner.a, inner.b) if scalar_of(inner.b) is not None else (inner.b, inner.a)
        bound = scalar_of(pair[1])
        if bound is None or not isinstance(pair[0], Pending | Operation) or prod(pair[0].shape) != prod(inner.shape):
            break
        step = min(max(int(quantise(bound.astype(np.float32), target.scale, target.zero, target.dtype)), low), high)
        low, high = (step, high) if inner.kind == "MAX" else (low, step)
        inner = pair[0]
    return inner, replace(target, low=low, high=high)


def floats_of(value: Unquantised, name: str) -> str | None:
    """Add the nodes that write `value` as float32 numbers, for the network's edge; return the tensor. None for what has no such form."""
    target = Quantisation(name, "f32", 1.0, 0, 0, 0)
    if isinstance(value, Operation):
        return quotient(value, target, value.origin) or operations(value, target, value.origin)
    if is_product(value):
        return expression(value, value.of.node, target, value.origin)
    if value.formula is not None:
        inner = value.formula()
        assert isinstance(inner, Pending | Operation)
        return floats_of(inner, name)
    return value.emit(target, value.origin) if value.floats else None


def lower(builder: Builder, value: Unquantised | Table | Real, target: Quantisation, origin: tuple[str, ...]) -> str:
    """Add the nodes that write `value` quantised as `target`; return the tensor. Refuses a formula that no rule matches."""
    if isinstance(value, Real | Table):
        tensor = builder.tensor(target.name, builder.tensors[value.tensor].shape, target.dtype, target.scale, target.zero)
        return builder.node(origin[0], Unary(table_bytes(value.values(), target)), (value.tensor,), tensor, origin)
    inner: Unquantised = value
    if isinstance(value, Operation):
        inner, target = unclamped(value, target)
    if isinstance(inner, Pending):
        return inner.emit(target, origin)
    return next(made for rule in RULES if (made := rule(inner, target, origin)) is not None)


__all__ = ["RULES", "floats_of", "lower", "unclamped"]
