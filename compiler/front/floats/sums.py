"""Add, Sub, Sum and Mean as trees of float32 additions, whose intermediate results need no quantisation of their own.

    Add(Add(dq a, dq b), dq c) -> QuantizeLinear        additions (a + b), (that + c): one Sum node
    Sum(dq a, dq b, dq c) -> QuantizeLinear             the same
    Sub(dq a, Add(dq b, dq c)) -> QuantizeLinear        a + ((-b) + (-c)): negation is exact

Two operands are what they were before: an Add or a Binary node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.constraints import addend_a_channel, broadcast_shapes, finite_constant, usable_addend
from compiler.front.state.broadcast import Seen, views
from compiler.front.state.builder import Builder
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Quantisation, Real, RealConst, Shape, Table
from compiler.ir.floats import Sum, Term
from compiler.ir.graph import Move, Shape4


@dataclass(frozen=True)
class Leaf:
    """An operand and the sign it is taken with."""

    value: Real | RealConst | Const
    sign: float = 1.0


@dataclass(frozen=True)
class Addition:
    """The float32 sum of two operands or sums."""

    a: Tree
    b: Tree


Tree = Leaf | Addition


def negated(tree: Tree) -> Tree:
    """Return the tree of the negative sum; rounding to nearest is the same on both sides of zero."""
    return Leaf(tree.value, -tree.sign) if isinstance(tree, Leaf) else Addition(negated(tree.a), negated(tree.b))


def left_to_right(trees: Sequence[Tree]) -> Tree:
    """Return the sum of two and more in ONNX's order."""
    total = trees[0]
    for tree in trees[1:]:
        total = Addition(total, tree)
    return total


def leaves(tree: Tree) -> list[Leaf]:
    """Return the operands of a tree, from left to right."""
    return [tree] if isinstance(tree, Leaf) else [*leaves(tree.a), *leaves(tree.b)]


def _shape(tree: Tree) -> Shape:
    return tuple(int(d) for d in np.broadcast_shapes(*(leaf.value.shape for leaf in leaves(tree))))


def _additions(tree: Tree, first: int, done: list[tuple[int, int]], count: int) -> tuple[int, int]:
    """Append the additions of a tree whose first operand has number `first`, `count` operands in all; returns (its number, the next operand's)."""
    if isinstance(tree, Leaf):
        return first, first + 1
    a, after = _additions(tree.a, first, done, count)
    b, after = _additions(tree.b, after, done, count)
    done.append((a, b))
    return count + len(done) - 1, after


def _numbers(value: Const | RealConst) -> np.ndarray:
    return (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32)


def expanded(builder: Builder, tensor: str, view: Shape4, out: Shape4, origin: tuple[str, ...]) -> str:
    """Return `tensor`, seen as `view`, with its dimensions of 1 repeated until it is `out`."""
    tensor = builder.view(tensor, view)
    if view == out:
        return tensor
    index = np.broadcast_to(np.arange(int(np.prod(view))).reshape(view), out)
    t = builder.tensors[tensor]
    name = builder.tensor(f"{tensor}/expanded", out, t.dtype, t.scale, t.zero_point)
    return builder.node(f"expand {name}", Move(index), (tensor,), name, origin)


def broadcast_view(step: Step, shape: Shape, operands: Sequence[Real | Table | np.ndarray]) -> Seen:
    """Return how the operands are seen: tensors however they broadcast, constants (arrays) with one number a channel. Refuses what has no view."""
    tensors = step.builder.tensors
    given = [(v.shape, None if isinstance(v, np.ndarray) else tensors[v.tensor].shape) for v in operands]
    found = [
        pair for pair in views(shape, given)
        if all(not isinstance(v, np.ndarray) or view == (1, pair[1].out[1], 1, 1) for v, view in zip(operands, pair[1].operands, strict=True))
    ]
    if not found:
        alone = any(isinstance(v, np.ndarray) for v in operands) and any(views(shape, [g for g in given if g[1] is not None]))
        step.require(addend_a_channel, not alone, found=f"shapes {' and '.join(str(v.shape) for v in operands)}")
        step.refuse(broadcast_shapes, f"shapes {' and '.join(str(v.shape) for v in operands)}")
    return min(found, key=lambda pair: pair[0])[1]


def sum_pending(step: Step, shape: Shape, tree: Tree, factor: float) -> Pending:
    """Return the sum of a tree with a tensor in it times `factor`, which waits for its quantisation."""
    operands = leaves(tree)
    distinct = {(leaf.value.tensor, leaf.value.shape): leaf.value for leaf in operands if isinstance(leaf.value, Real)}
    constants = [_numbers(leaf.value) for leaf in operands if not isinstance(leaf.value, Real)]
    for array in constants:
        step.require(finite_constant, array, found=f"a number that is infinite in a constant of shape {array.shape}")
        wrong = next((float(number) for number in array.reshape(-1) if not usable_addend(number)), 0.0)
        step.require(usable_addend, array, found=f"{wrong} in a constant of shape {array.shape}")
    seen = broadcast_view(step, shape, [*distinct.values(), *constants])
    numbers = iter(seen.constant(len(distinct) + i, array, shape).reshape(-1) for i, array in enumerate(constants))
    sources = {key: i for i, key in enumerate(distinct)}
    terms = []
    for leaf in operands:
        if isinstance(leaf.value, Real):
            terms.append(Term(sources[leaf.value.tensor, leaf.value.shape], leaf.sign * leaf.value.scale, leaf.value.zero))
        else:
            array = next(numbers)
            one = bool((array == array[0]).all())
            terms.append(Term(constant=np.float32(leaf.sign) * (array[:1] if one else array)))
    additions: list[tuple[int, int]] = []
    _additions(tree, 0, additions, len(operands))

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        builder = step.builder
        names = tuple(expanded(builder, name, seen.operands[i], seen.out, origin) for i, name in enumerate(name for name, _ in distinct))
        out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
        attrs = Sum(tuple(terms), tuple(additions), factor, target.scale, target.zero, target.low, target.high)
        return builder.node(step.label, attrs, names, out, origin)

    return Pending(shape, (step.label,), emit)


def tree_of(value: object) -> Tree | None:
    """Return the additions that a float result consists of; None for what is no operand of a sum."""
    if isinstance(value, Pending | Table):
        clamped = isinstance(value, Pending) and (value.low, value.high) != (-np.inf, np.inf)
        return None if clamped or value.additions is None or _shape(value.additions) != value.shape else value.additions
    return Leaf(value) if isinstance(value, Real | RealConst | Const) else None


__all__ = ["Addition", "Leaf", "Tree", "broadcast_view", "expanded", "leaves", "left_to_right", "negated", "sum_pending", "tree_of"]
