"""Rule: additions and subtractions of dequantised tensors and constants, whose intermediate results need no quantisation of their own: a Sum node.

    Add(Add(dq a, dq b), dq c) -> QuantizeLinear        additions (a + b), (that + c)
    Sum(dq a, dq b, dq c) -> QuantizeLinear             the same
    Sub(dq a, Add(dq b, dq c)) -> QuantizeLinear        a + ((-b) + (-c)): negation is exact
    Mean(..)                                            the sum times float32(1 / n)

Every addition is rounded to float32, in the order of the network. A function of one tensor that is a sum counts as that sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compiler.front.constraints import finite_constant, usable_addend
from compiler.front.floats.formula import numbers_of, scalar_of
from compiler.front.floats.rules.binary import Leaf, emit_pair
from compiler.front.state.broadcast import Seen, views
from compiler.front.state.builder import Builder
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Operation, Quantisation, Real, RealConst, Shape, Table
from compiler.ir.floats import Sum, Term
from compiler.ir.network import Move, Shape4


def expanded(builder: Builder, tensor: str, view: Shape4, out: Shape4, origin: tuple[str, ...]) -> str:
    """Return `tensor`, seen as `view`, with its dimensions of 1 repeated until it is `out`."""
    tensor = builder.view(tensor, view)
    if view == out:
        return tensor
    index = np.broadcast_to(np.arange(int(np.prod(view))).reshape(view), out)
    t = builder.tensors[tensor]
    name = builder.tensor(f"{tensor}/expanded", out, t.dtype, t.scale, t.zero_point)
    return builder.node(f"expand {name}", Move(index), (tensor,), name, origin)


def view_of(builder: Builder, shape: Shape, operands: Sequence[Real | Table | np.ndarray], out: Shape4 | None = None) -> Seen | None:
    """Return how the operands are seen: tensors however they broadcast, constants (arrays) with one number a channel. None for what has no view.

    `out`: the view that the result must have, as to its channels and the order of its pixels.
    """
    tensors = builder.tensors
    given = [(v.shape, None if isinstance(v, np.ndarray) else tensors[v.tensor].shape) for v in operands]
    found = [
        pair for pair in views(shape, given) if (out is None or out[:2] == pair[1].out[:2])
        and all(not isinstance(v, np.ndarray) or view == (1, pair[1].out[1], 1, 1) for v, view in zip(operands, pair[1].operands, strict=True))
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def usable_numbers(node: OnnxNode, value: Const | RealConst) -> np.ndarray:
    """Return a constant's numbers; refuses those that float operations cannot have."""
    array = numbers_of(value)
    node.require(finite_constant, array, found=f"a number that is infinite in a constant of shape {array.shape}")
    wrong = next((float(number) for number in array.reshape(-1) if not usable_addend(number)), 0.0)
    node.require(usable_addend, array, found=f"{wrong} in a constant of shape {array.shape}")
    return array


def term_of(numbers: np.ndarray) -> Term:
    """Return the term of a constant: one number, or one a channel."""
    return Term(constant=numbers[:1] if bool((numbers == numbers[0]).all()) else numbers)


def _is_sum(value: Formula) -> bool:
    if isinstance(value, Table):
        return value.operation is not None and value.operation.shape == value.shape and _is_sum(value.operation)
    if isinstance(value, Operation):
        return value.kind in ("ADD", "SUB") and _is_sum(value.a) and _is_sum(value.b)
    return isinstance(value, Real | RealConst | Const)


#: Additions as pairs of others, and of numbers of terms.
_Tree = int | tuple["_Tree", "_Tree"]


def _tree(value: Formula, sign: float, terms: list[Leaf]) -> _Tree:
    """Append the terms of a sum taken with a sign, from left to right; return its additions."""
    if isinstance(value, Table):
        assert value.operation is not None
        value = value.operation
    if isinstance(value, Operation):
        return _tree(value.a, sign, terms), _tree(value.b, -sign if value.kind == "SUB" else sign, terms)
    assert isinstance(value, Real | RealConst | Const)
    terms.append(Leaf(value, sign))
    return len(terms) - 1


def _numbered(tree: _Tree, additions: list[tuple[int, int]], count: int) -> int:
    """Append the additions of a tree of `count` terms; return the number of its result."""
    if isinstance(tree, int):
        return tree
    a, b = (_numbered(part, additions, count) for part in tree)
    additions.append((a, b))
    return count + len(additions) - 1


def total(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """The rule."""
    whole, part = (value.a, scalar_of(value.b)) if value.kind == "MEAN" else (value, None)
    if not isinstance(whole, Operation) or not _is_sum(whole):
        return None
    node, operands = value.node, list[Leaf]()
    tree = _tree(whole, 1.0, operands)
    if len(operands) == 2 and part is None:
        return emit_pair(node, "ADD", operands[0], operands[1], target, origin)
    tensors = {(leaf.value.tensor, leaf.value.shape): leaf.value for leaf in operands if isinstance(leaf.value, Real)}
    constants = [usable_numbers(node, leaf.value) for leaf in operands if not isinstance(leaf.value, Real)]
    seen = view_of(node.builder, whole.shape, [*tensors.values(), *constants])
    if seen is None:
        return None
    numbers = iter(seen.constant(len(tensors) + i, array, whole.shape).reshape(-1) for i, array in enumerate(constants))
    sources = {key: i for i, key in enumerate(tensors)}
    terms = tuple(
        Term(sources[leaf.value.tensor, leaf.value.shape], leaf.sign * leaf.value.scale, leaf.value.zero) if isinstance(leaf.value, Real)
        else term_of(np.float32(leaf.sign) * next(numbers)) for leaf in operands
    )  # fmt: skip
    additions: list[tuple[int, int]] = []
    _numbered(tree, additions, len(operands))
    builder = node.builder
    names = tuple(expanded(builder, name, seen.operands[i], seen.out, origin) for i, (name, _) in enumerate(tensors))
    out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
    attrs = Sum(terms, tuple(additions), 1.0 if part is None else float(part), target.scale, target.zero, target.low, target.high)
    return builder.node(node.label, attrs, names, out, origin)


__all__ = ["expanded", "term_of", "total", "usable_numbers", "view_of"]
