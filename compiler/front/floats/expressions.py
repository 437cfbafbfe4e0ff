"""Float operations between DequantizeLinear and QuantizeLinear whose operands are not all dequantised tensors: one Expression node.

    Mul(dq x, HardSigmoid(dq c)) -> Q        a function of another tensor: digits of its float32 numbers, then the product
    Add(dq a, Relu(Add(dq b, dq c))) -> Q    a clamped sum: MAX with 0
    Mul(Add(dq a, dq b), dq c) -> Q          products of sums

A quantiser that is told to look at Conv, MatMul and Gemm alone leaves such chains. Add, Sub, Mul, Min and Max of tensors and constants are
what they were: one node each (`compiler.front.floats.binary`).

Functions are rounded to as few digits as leave every byte of the result what it is, where all 65,536 pairs of two operands can be tried, and
are exact otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.constraints import finite_constant, most_operands, usable_addend, usable_function
from compiler.front.floats.quantise import table_bytes
from compiler.front.floats.sums import Addition, Leaf, Tree, broadcast_view, expanded
from compiler.front.floats.tables import reachable
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quantisation, Real, RealConst, Shape, Table, Value
from compiler.ir.expression import Digits, Expression, apply, digits_of, most_digits, one_digit
from compiler.ir.floats import Term

KINDS = {"Add": "ADD", "Sum": "ADD", "Sub": "SUB", "Mul": "MUL", "Min": "MIN", "Max": "MAX"}

Operand = Real | Table | RealConst | Const


@dataclass(frozen=True)
class Operation:
    """`kind` of two operands or operations, rounded to float32."""

    kind: str
    a: Formula
    b: Formula


Formula = Operand | Operation


def _operands(formula: Formula) -> list[Operand]:
    return [*_operands(formula.a), *_operands(formula.b)] if isinstance(formula, Operation) else [formula]


def _of_tree(tree: Tree) -> Formula:
    """Additions as a formula; an operand with a sign is subtracted from its neighbour."""
    if isinstance(tree, Addition):
        a, b = tree.a, tree.b
        if isinstance(a, Leaf) and a.sign < 0:
            a, b = b, a
        if isinstance(b, Leaf) and b.sign < 0:
            return Operation("SUB", _of_tree(a), b.value)
        return Operation("ADD", _of_tree(a), _of_tree(b))
    return tree.value if tree.sign > 0 else Operation("MUL", tree.value, Const(np.array(-1, np.float32)))


def formula_of(value: object) -> Formula | None:
    """Return what a float value consists of; None for a product, a pool and what else is no operand of an expression."""
    if isinstance(value, Real | Table | RealConst | Const):
        return value
    if not isinstance(value, Pending):
        return None
    formula = value.formula if value.formula is not None else None if value.additions is None else _of_tree(value.additions)
    if formula is None:
        return None
    for kind, bound in (("MAX", value.low), ("MIN", value.high)):
        if np.isfinite(bound):
            formula = Operation(kind, formula, Const(np.array(bound, np.float32)))
    return formula


def _numbers(value: Const | RealConst) -> np.ndarray:
    return (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32)


def _key(value: Real | Table) -> tuple[str, Shape]:
    return value.tensor, value.shape


def _numbered(formula: Formula, numbers: dict[int, int], done: list[tuple[str, int, int]], count: int) -> int:
    """Append the operations of a formula, operands numbered by identity; returns the number of its result."""
    if not isinstance(formula, Operation):
        return numbers[id(formula)]
    a, b = (_numbered(part, numbers, done, count) for part in (formula.a, formula.b))
    done.append((formula.kind, a, b))
    return count + len(done) - 1


def _evaluated(operations: list[tuple[str, int, int]], operands: list[np.ndarray], target: Quantisation) -> np.ndarray:
    values = list(operands)
    with np.errstate(over="ignore"):
        for kind, i, j in operations:
            values.append(apply(kind, values[i], values[j]))
    return np.clip(table_bytes(values[-1], target).view(np.int8 if target.dtype == "i8" else np.uint8), target.low, target.high)


def _exact(functions: list[np.ndarray | None]) -> list[int]:
    """Digits a function that are exact; 0 for what is none."""
    return [0 if f is None else 1 if one_digit(0, f) else most_digits(f) for f in functions]


def _digits(functions: list[np.ndarray | None], alive: list[np.ndarray | None], operations: list[tuple[str, int, int]], operands: list[np.ndarray],
            axes: int, target: Quantisation) -> list[int]:  # fmt: skip
    """Return digits a function (`functions`: None for what is none): the fewest that change no byte of the result of up to two tensors, else all."""
    exact = _exact(functions)
    if axes > 2:
        return exact
    wanted = _evaluated(operations, operands, target)
    counted = np.ones(wanted.shape, bool)
    for live in alive:
        counted &= True if live is None else live
    for count in range(1, max(exact)):
        tried = [np.asarray(x if f is None or n <= count else digits_of(0, f, count).values().reshape(x.shape), np.float32)
                 for f, n, x in zip(functions, exact, operands, strict=True)]  # fmt: skip
        if np.array_equal(_evaluated(operations, tried, target)[counted], wanted[counted]):
            return [min(n, count) for n in exact]
    return exact


def expression(step: Step, formula: Operation) -> Pending:
    """Return the result of a formula with a tensor in it, which waits for its quantisation."""
    operands = list({id(v): v for v in _operands(formula)}.values())
    step.require(most_operands, len(operands), found=f"{len(operands)} operands")
    computed = {_key(v): v for v in operands if isinstance(v, Real | Table)}
    constants = [_numbers(v) for v in operands if not isinstance(v, Real | Table)]
    for array in constants:
        step.require(finite_constant, array, found=f"a number that is infinite in a constant of shape {array.shape}")
        wrong = next((float(number) for number in array.reshape(-1) if not usable_addend(number)), 0.0)
        step.require(usable_addend, array, found=f"{wrong} in a constant of shape {array.shape}")
    sources = {key: i for i, key in enumerate(computed)}
    builder = step.builder
    functions: list[np.ndarray | None] = []
    for value in operands:
        if isinstance(value, Table):
            floats = np.where(reachable(builder, value.tensor), value.floats, np.float32(0)).astype(np.float32)
            step.require(usable_function, floats, found=f"{next((float(v) for v in floats if not usable_function(v)), 0.0)} of {value.origin[-1]}")
            functions.append(floats)
        else:
            functions.append(None)
    shape = tuple(int(d) for d in np.broadcast_shapes(*(v.shape for v in operands)))
    seen = broadcast_view(step, shape, [*computed.values(), *constants])
    arrays = iter(seen.constant(len(computed) + i, array, shape).reshape(-1) for i, array in enumerate(constants))
    flat = [None if isinstance(v, Real | Table) else next(arrays) for v in operands]
    operations: list[tuple[str, int, int]] = []
    _numbered(formula, {id(v): i for i, v in enumerate(operands)}, operations, len(operands))

    def along(numbers: np.ndarray, value: Real | Table) -> np.ndarray:
        return numbers.reshape([-1 if axis == sources[_key(value)] else 1 for axis in range(len(sources))])

    def counts(target: Quantisation) -> list[int]:
        varying = any(a is not None and a.size > 1 and bool((a != a[0]).any()) for a in flat)
        if len(sources) > 2 or varying:
            return _exact(functions)
        tried = []
        for value, floats, array in zip(operands, functions, flat, strict=True):
            if isinstance(value, Real | Table):
                tried.append(along(value.values() if floats is None else floats, value))
            else:
                assert array is not None
                tried.append(array[:1].reshape([1] * len(sources)))
        alive = [along(reachable(builder, v.tensor), v) if isinstance(v, Real | Table) else None for v in operands]
        return _digits(functions, alive, operations, tried, len(sources), target)

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        terms: list[Term | Digits] = []
        for value, floats, array, count in zip(operands, functions, flat, counts(target), strict=True):
            if floats is not None and isinstance(value, Table):
                number = sources[_key(value)]
                terms.append(one_digit(number, floats) or digits_of(number, floats, count))
            elif isinstance(value, Real):
                terms.append(Term(sources[_key(value)], value.scale, value.zero))
            else:
                assert array is not None
                terms.append(Term(constant=array[:1] if bool((array == array[0]).all()) else array))
        names = tuple(expanded(builder, name, seen.operands[i], seen.out, origin) for i, (name, _) in enumerate(computed))
        out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
        attrs = Expression(tuple(terms), tuple(operations), target.scale, target.zero, target.low, target.high)
        return builder.node(step.label, attrs, names, out, origin)

    origin = [label for v in step.values if isinstance(v, Pending | Table) for label in v.origin]
    return Pending(shape, (*dict.fromkeys((*origin, step.label)),), emit, formula=formula)


def operation(op: str, formulas: Sequence[Formula]) -> Operation:
    """Return an ONNX operator of two and more operands, from left to right."""
    result = formulas[0]
    for formula in formulas[1:]:
        result = Operation(KINDS[op], result, formula)
    assert isinstance(result, Operation)
    return result


def combined(step: Step, values: Sequence[Value | None]) -> Pending | None:
    """Return Add, Sub, Sum, Mul, Min or Max, of float values one of which no quantisation has made a tensor of; None where it is none of these."""
    formulas = [formula for value in values if (formula := formula_of(value)) is not None]
    if step.op not in KINDS or len(formulas) < max(2, len(values)) or not any(isinstance(f, Table | Operation) for f in formulas):
        return None
    return expression(step, operation(step.op, formulas))


__all__ = ["Operation", "combined", "expression", "formula_of", "operation"]
