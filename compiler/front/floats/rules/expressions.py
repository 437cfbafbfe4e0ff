"""Rule: float operations whose operands are not all dequantised tensors, or that are of several kinds: one Expression node.

    Mul(dq x, HardSigmoid(dq c)) -> Q        a function of another tensor: digits of its float32 numbers, then the product
    Add(dq a, Relu(Add(dq b, dq c))) -> Q    a clamped sum: MAX with 0
    Mul(Add(dq a, dq b), dq c) -> Q          products of sums
    Div(Sub(dq a, k[c]), l[c]) -> Q          mean and deviation a channel
    Relu(Add(Conv(..), dq a)) -> Q           products that nothing quantises: float32(float32(int32 sum) * float32(s_x * s_w)) is the operand

Every operation is rounded to float32, in the order of the network. Functions are rounded to as few digits as leave every byte of the result
what it is, where all 65,536 pairs of two operands can be tried, and are exact otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.constraints import most_operands, quantised_operand, usable_function, usable_sums, whole_product
from compiler.front.floats.formula import is_product, leaves, numbers_of, opened, reshaped, scalar_of
from compiler.front.floats.integers import table_bytes
from compiler.front.floats.rules.sums import expanded, term_of, usable_numbers, view_of
from compiler.front.floats.rules.tables import reachable
from compiler.front.floats.scattered import gathered, leaf_that_moved
from compiler.front.floats.spread import spread
from compiler.front.state.broadcast import Seen
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Pending, Quantisation, Real, RealConst, Shape, Table
from compiler.ir.expression import Digits, Expression, Sums, apply, digits_of, most_digits, one_digit
from compiler.ir.floats import Term
from compiler.ir.network import Shape4

#: Operations as the node has them.
KINDS = {"ADD": "ADD", "DIV": "DIV", "MAX": "MAX", "MEAN": "MUL", "MIN": "MIN", "MUL": "MUL", "QUOTIENT": "QUOTIENT", "SUB": "SUB"}
_Operations = list[tuple[str, int, int]]
#: Scales of sums below this, of channels that training has switched off, are as good as zero.
LEAST_SCALE = 2.0**-126


def _key(value: Real | Table) -> tuple[str, Shape]:
    return value.tensor, value.shape


def _numbered(formula: Formula, numbers: dict[int, int], done: _Operations, count: int) -> int:
    """Append the operations of a formula, operands numbered by identity; returns the number of its result."""
    if id(formula) not in numbers:
        assert isinstance(formula, Operation)
        a, b = (_numbered(part, numbers, done, count) for part in (formula.a, formula.b))
        done.append((KINDS[formula.kind], a, b))
        numbers[id(formula)] = count + len(done) - 1
    return numbers[id(formula)]


def _evaluated(operations: _Operations, operands: list[np.ndarray], target: Quantisation) -> np.ndarray:
    values = list(operands)
    with np.errstate(over="ignore"):
        for kind, i, j in operations:
            values.append(apply(kind, values[i], values[j]))
    return np.clip(table_bytes(values[-1], target).view(np.int8 if target.dtype == "i8" else np.uint8), target.low, target.high)


def _exact(functions: list[np.ndarray | None]) -> list[int]:
    """Digits a function that are exact; 0 for what is none."""
    return [0 if f is None else 1 if one_digit(0, f) else most_digits(f) for f in functions]


def _digits(functions: list[np.ndarray | None], alive: list[np.ndarray | None], operations: _Operations, operands: list[np.ndarray],
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


def _settled(value: Formula, known: dict[object, Formula], reader: Operation | None = None) -> Formula:
    """A formula with the results of operators as the operations on products that they are, functions of a tensor as the operations that they are where
    these are fewer than their digits, and equal numbers as one. Refuses the operation `reader` of what is none of these.
    """
    key: object = id(value)
    if isinstance(value, Const | RealConst) and (one := scalar_of(value)) is not None:
        key = (float(one), value.shape)
    if key not in known:
        known[key] = _settled_once(value, known, reader)
    return known[key]


def _settled_once(value: Formula, known: dict[object, Formula], reader: Operation | None) -> Formula:
    if isinstance(value, Operation):
        a, b = (_settled(part, known, value) for part in (value.a, value.b))
        return value if (a, b) == (value.a, value.b) else replace(value, a=a, b=b)
    if isinstance(value, Pending) and not is_product(value):
        opened = None if value.formula is None else reshaped(value.formula(), value.shape)
        if opened is not None:
            return _settled(opened, known)
        assert reader is not None
        reader.node.refuse(quantised_operand, reader.node.describe(reader.node.values.index(value)))
    if isinstance(value, Table) and value.operation is not None and value.operation.shape == value.shape:
        parts = list(leaves(value.operation))
        if not any(isinstance(part, Table) for part in parts) and len(parts) - 1 < _exact([value.floats])[0]:
            return value.operation
    return value


def _operands(formula: Formula) -> list[Formula]:
    """What a formula is made of, each once."""
    return list({id(v): v for v in leaves(formula)}.values())


def _seen(node: OnnxNode, formula: Formula, view: Shape4 | None) -> Seen | None:
    """How the tensors and the constants of several numbers are seen, `view` that of the products; None where they fit no view."""
    operands = _operands(formula)
    computed = {_key(v): v for v in operands if isinstance(v, Real | Table)}
    several = [numbers for v in operands if isinstance(v, Const | RealConst) and (numbers := numbers_of(v)).size > 1]
    if view is not None and not several and all(v.shape == formula.shape for v in computed.values()):
        return Seen(view, (view,) * len(computed), (1, 2, 3))
    return view_of(node.builder, formula.shape, [*computed.values(), *several], view)


def operations(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str:
    """The rule; refuses what is none."""
    return expression(value, value.node, target, origin)


def expression(value: Formula, node: OnnxNode, target: Quantisation, origin: tuple[str, ...]) -> str:
    """Add the node of a formula, which is that of `node`; return its result."""
    value = opened(value)
    moved = leaf_that_moved(value)
    if moved is not None:
        return gathered(value, moved, node, target, origin, lambda part, to: expression(part, node, to, origin))
    formula = _settled(value, {})
    products = [v for v in leaves(formula) if isinstance(v, Pending)]
    for value in products:
        node.require(whole_product, value.shape == formula.shape, found=f"a product of shape {value.shape} in a result of shape {formula.shape}")
    view, builder = products[0].of.out_view if products else None, node.builder
    seen = _seen(node, formula, view)
    if seen is None:
        formula, seen = spread(node, formula, view)
    operands = _operands(formula)
    node.require(most_operands, len(operands), found=f"{len(operands)} operands")
    computed = {_key(v): v for v in operands if isinstance(v, Real | Table)}
    constants = [usable_numbers(node, v) for v in operands if isinstance(v, Const | RealConst)]
    sources = {key: i for i, key in enumerate(computed)}
    functions: list[np.ndarray | None] = []
    for value in operands:
        if isinstance(value, Table):
            floats = np.where(reachable(builder, value.tensor), value.floats, np.float32(0)).astype(np.float32)
            node.require(usable_function, floats, found=f"{next((float(v) for v in floats if not usable_function(v)), 0.0)} of {value.origin[-1]}")
            functions.append(floats)
        else:
            functions.append(None)
    several = [array for array in constants if array.size > 1]
    arrays = iter(seen.constant(len(computed) + i, array, formula.shape).reshape(-1) for i, array in enumerate(several))
    numbers = iter(array.reshape(-1) if array.size == 1 else next(arrays) for array in constants)
    flat = [next(numbers) if isinstance(v, Const | RealConst) else None for v in operands]
    done: _Operations = []
    _numbered(formula, {id(v): i for i, v in enumerate(operands)}, done, len(operands))

    def along(numbers: np.ndarray, value: Real | Table) -> np.ndarray:
        return numbers.reshape([-1 if axis == sources[_key(value)] else 1 for axis in range(len(sources))])

    def counts() -> list[int]:
        varying = any(a is not None and a.size > 1 and bool((a != a[0]).any()) for a in flat)
        if len(sources) > 2 or varying or products or target.dtype == "f32":
            return _exact(functions)
        tried = []
        for value, floats, array in zip(operands, functions, flat, strict=True):
            if isinstance(value, Real | Table):
                tried.append(along(value.values() if floats is None else floats, value))
            else:
                assert array is not None
                tried.append(array[:1].reshape([1] * len(sources)))
        alive = [along(reachable(builder, v.tensor), v) if isinstance(v, Real | Table) else None for v in operands]
        return _digits(functions, alive, done, tried, len(sources), target)

    names = [expanded(builder, name, seen.operands[i], seen.out, origin) for i, (name, _) in enumerate(computed)]
    if view is not None:
        names = [builder.view(name, view) for name in names]
    terms: list[Term | Digits | Sums] = []
    for value, function, array, count in zip(operands, functions, flat, counts(), strict=True):
        if function is not None and isinstance(value, Table):
            number = sources[_key(value)]
            terms.append(one_digit(number, function) or digits_of(number, function, count))
        elif isinstance(value, Real):
            terms.append(Term(sources[_key(value)], value.scale, value.zero))
        elif isinstance(value, Pending):
            terms.append(_sums(node, value, names))
        else:
            assert array is not None
            terms.append(term_of(array))
    out = builder.tensor(target.name, view or seen.out, target.dtype, target.scale, target.zero)
    attrs = Expression(tuple(terms), tuple(done), target.scale, target.zero, target.low, target.high)
    return builder.node(node.label, attrs, tuple(names), out, origin)


def _sums(node: OnnxNode, value: Pending, names: list[str]) -> Sums:
    """Return the term of a product, its operands appended to the names of the node's inputs."""
    product, operands = value.of.sums()
    scale = np.broadcast_to(value.of.product_scale, (value.of.out_view[1],))
    node.require(usable_sums, scale, found=f"{float(np.abs(scale).max())} in {value.origin[-1]}")
    first = len(names)
    names += operands
    return Sums(product, tuple(range(first, len(names))), np.where(np.abs(scale) < LEAST_SCALE, np.float32(0), scale).astype(np.float32))


__all__ = ["expression", "operations"]
