"""Rules that quantise in between as the result will be quantised, which keeps order: Min and Max of three and more, PRelu.

    max(max(a, b), c)                       Q(max(a, b)), then Q(max(that, c))
    max(k[c] * a, a), min(k[c] * a, a)      Q(k[c] * a), then Q(max(that, a))
"""

from __future__ import annotations

from dataclasses import replace

from compiler.front.floats.formula import joint_shape, leaves
from compiler.front.floats.rules.binary import Leaf, emit_pair
from compiler.front.state.values import Const, Operation, Quantisation, Real, RealConst
from compiler.ir.network import RANGES


def _whole(target: Quantisation, name: str) -> Quantisation:
    """The quantisation of a result in between, which nothing clamps yet."""
    low, high = RANGES[target.dtype]
    return replace(target, name=f"{target.name}/{name}", low=low, high=high)


def _alike(value: object, kind: str) -> bool:
    if isinstance(value, Operation):
        return value.kind == kind and _alike(value.a, kind) and _alike(value.b, kind)
    return isinstance(value, Real | RealConst | Const)


def extremes(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """The rule for three tensors and more. Tensors first, so that every step of the chain has one."""
    if value.kind not in ("MIN", "MAX") or not _alike(value, value.kind):
        return None
    terms = sorted(leaves(value), key=lambda term: not isinstance(term, Real))
    if len(terms) < 3 or not isinstance(terms[0], Real):
        return None
    node, first = value.node, terms[0]
    for number, term in enumerate(terms[1:]):
        assert isinstance(first, Real) and isinstance(term, Real | RealConst | Const)
        wanted = target if number == len(terms) - 2 else _whole(target, str(number))
        tensor = emit_pair(node, value.kind, Leaf(first), Leaf(term), wanted, origin)
        if tensor is None:
            return None
        first = Real(tensor, joint_shape(node, [first.shape, term.shape]), target.dtype, target.scale, target.zero)
    return first.tensor


def slopes(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """The rule for a tensor and a multiple of it."""
    scaled, x = value.a, value.b
    multiple = value.kind in ("MIN", "MAX") and isinstance(scaled, Operation) and scaled.kind == "MUL" and scaled.a is x
    if not multiple or not isinstance(x, Real) or not isinstance(scaled.b, Const):  # type: ignore[union-attr]
        return None
    product = emit_pair(value.node, "MUL", Leaf(x), Leaf(scaled.b), _whole(target, "scaled"), origin)  # type: ignore[union-attr]
    if product is None:
        return None
    partial = Real(product, x.shape, target.dtype, target.scale, target.zero)
    return emit_pair(value.node, value.kind, Leaf(partial), Leaf(x), target, origin)


__all__ = ["extremes", "slopes"]
