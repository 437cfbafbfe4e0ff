"""The matcher: in which ways a value of a graph is what a formula says.

Names bind values; a name that stands there again, or a part, stands for an equal value (`compiler.front.rewrite.net`):

    >>> from compiler.front.rewrite.formulas import mean, sqrt
    >>> from onnx.parser import parse_model
    >>> from onnx.shape_inference import infer_shapes
    >>> x, epsilon = Value("x"), Number("epsilon")
    >>> rms = x / sqrt(mean(x**2) + epsilon)

A formula stands for all ways to write it with ONNX's operators:

    a + b, a - b    Add, Sub and Sum in any order and nesting; Neg
    a * b, a / b    Mul and Div in any order and nesting; Reciprocal, Div(1, b), Pow
    a**2, sqrt(a)   Pow, Mul(a, a), Sqrt; of one over it Reciprocal, Div and Pow in any order
    mean(a)         ReduceMean, GlobalAveragePool, ReduceSum over the number of elements
    total(a)        ReduceSum; of squares ReduceSumSquare and, under a root, ReduceL2; of exponentials, under a logarithm, ReduceLogSumExp
    a | b           either, the first that fits

What is reduced may lose its dimensions and get them back: by Reshape, Unsqueeze, Squeeze and Expand, at once or behind operators on it. A value within a
template may have further readers, which keep it; that of a part which is `alone()` may not.

    >>> text = '<ir_version: 8, opset_import: ["": 17]> example (float[2,8] f) => (float[2,8] y) <float c = {0.5}>'
    >>> text += "{ p = Mul(f, f) m = ReduceMean <axes = [-1]> (p) e = Add(c, m) r = Sqrt(e) i = Reciprocal(r) y = Mul(i, f) }"
    >>> net = Net(infer_shapes(parse_model(text)))
    >>> [dict(match) for match in matches(net, rms, "y")]
    [{'x': 'f', 'axes': (-1,), 'epsilon': 0.5}]
    >>> list(matches(net, x / sqrt(mean(x**2)), "y"))
    []
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import onnx

from compiler.front.rewrite.formulas import Call, Constant, Either, Marked, Number, Pattern, Product, Reduced, Total, Value
from compiler.front.rewrite.net import COMMUTATIVE, VIEWS, Net, Shape, attributes, kind

#: What a template's names stand for: names of values, numbers, axes counted from the end.
Match = Mapping[str, Any]

#: Operators on elements that `call` may name: what they return has the shape of what they read.
_ELEMENTWISE = ("Exp", "Log", "Max", "Min")
#: Operators one in another that a formula's sum, product or power may be written as.
_DEEP = 6

#: Parts of a product with their exponents, or of a sum with their signs.
Parts = tuple[tuple[str, float], ...]


def matches(net: Net, pattern: Pattern, name: str) -> Iterator[Match]:
    """Yield the ways in which a value is a formula's, the most fitting first."""
    return _Matcher(net).match(pattern, name, {}, None)


class _Matcher:
    """Matches the formulas of one template; backtracking is by generators.

    `used`, here and there: the shape under which elements of a value that views lie above are used.
    """

    def __init__(self, net: Net) -> None:
        self.net = net

    def match(self, pattern: Pattern | None, name: str, found: Match, used: Shape | None) -> Iterator[Match]:
        """Yield what is bound, `found` included, where a value is a formula's."""
        match pattern:
            case None:
                yield found
            case Value(key) | Constant(key):
                fits = used is None and (isinstance(pattern, Value) or name in self.net.constants)
                if fits and self.net.same(found.get(key, name), name):
                    yield {key: name, **found}
            case Number():
                yield from self._number(pattern, self.net.scalar(name), found)
            case Either(choices):
                for choice in choices:
                    yield from self.match(choice, name, found, used)
            case Marked(inner):
                if not pattern.single or self.net.alone(name):
                    for match in self.match(inner, name, found, used):
                        yield {**match, pattern.name: self.net.origin(name)} if pattern.name else match
            case _:
                yield from self._operator(pattern, name, found, used)
                if (below := self._below(name, used)) != (name, used):
                    yield from self._operator(pattern, below[0], found, below[1])

    @staticmethod
    def _number(pattern: Number, number: float | None, found: Match) -> Iterator[Match]:
        if number is None:
            return
        if isinstance(pattern.number, str):
            if found.get(pattern.number, number) == number:
                yield {**found, pattern.number: number}
        elif np.float32(pattern.number) == np.float32(number):
            yield found

    def _below(self, name: str, used: Shape | None) -> tuple[str, Shape | None]:
        """What a value is a view of, its elements in their order and then perhaps repeated, and the shape under which they are used."""
        node, shapes = self.net.node(name), self.net.shapes
        while node is not None and (kind(node) in VIEWS or (kind(node) == "Expand" and used is None)):
            shape = used if used is not None else shapes.get(node.input[0] if kind(node) == "Expand" else self.net.origin(name))
            if shape is None:
                break
            name, used = node.input[0], shape
            node = self.net.node(name)
        return name, used

    def _operator(self, pattern: Pattern, name: str, found: Match, used: Shape | None) -> Iterator[Match]:
        """Matches of a value by the operators that make it."""
        match pattern:
            case Total(parts):
                for terms in self._terms(name, 1, len(parts), _DEEP):
                    yield from self._assigned(pattern, parts, terms, found, used)
            case Product(((part, exponent),)):
                yield from self._power(part, exponent, name, found, used)
            case Product(parts):
                for factors in self._factors(name, 1, len(parts), _DEEP):
                    yield from self._assigned(pattern, parts, factors, found, used)
            case Reduced():
                yield from self._reduction(pattern, name, found, used)
            case Call(operator, operands):
                node = self.net.node(name)
                if node is None or kind(node) != operator or len(node.input) != len(operands):
                    return
                inner = used if operator in _ELEMENTWISE else None
                if used is inner:
                    for order in permutations(node.input) if operator in COMMUTATIVE else [node.input]:
                        yield from self._all(operands, order, found, inner)

    def _all(self, patterns: Sequence[Pattern | None], names: Sequence[str], found: Match, used: Shape | None) -> Iterator[Match]:
        if not patterns:
            yield found
            return
        for match in self.match(patterns[0], names[0], found, used):
            yield from self._all(patterns[1:], names[1:], match, used)

    def _assigned(
        self, whole: Total | Product, patterns: Sequence[tuple[Pattern, float]], parts: Parts, found: Match, used: Shape | None
    ) -> Iterator[Match]:
        """Matches of a formula's parts, those of `patterns`, with a value's, in any order."""
        if not patterns:
            yield found
            return
        (pattern, weight), *rest = patterns
        for index, (name, own) in enumerate(parts):
            number = self.net.scalar(name) if isinstance(pattern, Number) else None
            if isinstance(pattern, Number) and own == -weight:
                here = self._number(pattern, None if not number else -number if isinstance(whole, Total) else 1 / number, found)
            elif isinstance(whole, Product):
                here = self._power(pattern, weight * own, name, found, used)
            else:
                here = self.match(pattern, name, found, used) if own == weight else iter(())
            for match in here:
                yield from self._assigned(whole, rest, (*parts[:index], *parts[index + 1 :]), match, used)

    def _power(self, pattern: Pattern, exponent: float, name: str, found: Match, used: Shape | None) -> Iterator[Match]:
        """Matches of a value with a formula to a power. The root of a square is not its base: roots are looked into for odd powers alone."""
        for _ in range(_DEEP):
            if exponent == 1:
                yield from self.match(pattern, name, found, used)
                return
            name, used = self._below(name, used)
            node, scalar = self.net.node(name), self.net.scalar
            match kind(node):
                case "Reciprocal":
                    exponent = -exponent
                case "Div" if node is not None and scalar(node.input[0]) == 1:
                    exponent = -exponent
                case "Sqrt" if 2 * exponent % 2 == 1:
                    exponent = 2 * exponent
                case "Pow" if node is not None and (power := scalar(node.input[1])):
                    exponent = exponent / power
                case "Mul" if node is not None and exponent == 2 and self.net.same(*node.input):
                    exponent = 1
                case _:
                    return
            assert node is not None
            name = node.input[1 if kind(node) == "Div" else 0]

    def _apart(self, operands: Sequence[tuple[str, float]], count: int, split: Callable[[str, float, int], Iterator[Parts]]) -> Iterator[Parts]:
        """Ways to have `count` parts of operands, at least one of each."""
        if len(operands) == 1:
            yield from split(*operands[0], count)
            return
        for own in range(1, count - len(operands) + 2):
            for first in split(*operands[0], own):
                for others in self._apart(operands[1:], count - own, split):
                    yield (*first, *others)

    def _terms(self, name: str, sign: float, count: int, deep: int) -> Iterator[Parts]:
        """Ways in which a value is a sum of `count` others."""
        if count == 1:
            yield ((name, sign),)
        node = self.net.node(name)
        if node is None or not deep:
            return
        operands = {
            "Add": [(n, sign) for n in node.input], "Sum": [(n, sign) for n in node.input], "Neg": [(n, -sign) for n in node.input],
            "Sub": [(n, s) for n, s in zip(node.input, (sign, -sign), strict=False)],
        }.get(kind(node))  # fmt: skip
        if operands:
            yield from self._apart(operands, count, lambda n, s, c: self._terms(n, s, c, deep - 1))

    def _factors(self, name: str, exponent: float, count: int, deep: int) -> Iterator[Parts]:
        """Ways in which a value, or one over it, is a product of `count` others, or ones over them."""
        if count == 1:
            yield ((name, exponent),)
            return
        node = self.net.node(name)
        if node is None or not deep:
            return
        operands = {
            "Mul": [(n, exponent) for n in node.input], "Reciprocal": [(n, -exponent) for n in node.input],
            "Div": [(n, e) for n, e in zip(node.input, (exponent, -exponent), strict=False)],
        }.get(kind(node))  # fmt: skip
        if operands:
            yield from self._apart(operands, count, lambda n, e, c: self._factors(n, e, c, deep - 1))

    # ---- reductions

    def _reduction(self, pattern: Reduced, name: str, found: Match, used: Shape | None) -> Iterator[Match]:
        node = self.net.node(name)
        if node is not None and kind(node) == pattern.operator:
            yield from self._along(pattern, node, found, used)
        elif node is not None and pattern.operator == "ReduceMean" and kind(node) in ("Div", "Mul"):
            for summed, divisor in permutations(node.input) if kind(node) == "Mul" else [node.input]:
                number, inner = self.net.scalar(divisor), self.net.node(summed)
                if number and inner is not None and kind(inner) == "ReduceSum":
                    yield from self._along(pattern, inner, found, used, number if kind(node) == "Div" else 1 / number)

    def _along(self, pattern: Reduced, node: onnx.NodeProto, found: Match, used: Shape | None, count: float = 0) -> Iterator[Match]:
        """Matches of a reduction; of a sum over `count`, the elements must be as many."""
        whole, given = self.net.shapes.get(self.net.origin(node.input[0])), attributes(node)
        rank = len(whole or ())
        axes = self.net.array(node.input[1]) if any(node.input[1:]) else given.get("axes", () if given.get("noop_with_empty_axes") else range(rank))
        along = tuple(sorted({int(a) - rank * (int(a) >= 0) for a in np.asarray(() if axes is None else axes).reshape(-1)}))
        if not along or along[-1] >= 0 or along != found.get("axes", along) or (whole is None and (used is not None or count)):
            return
        sizes = {i - rank: d for i, d in enumerate(whole or ())}
        kept, dropped = tuple(1 if i in along else d for i, d in sizes.items()), tuple(d for i, d in sizes.items() if i not in along)
        leading = bool(rank) and along == tuple(range(-rank, len(along) - rank))
        alike = bool(given.get("keepdims", 1)) or leading if used is None else used == kept or (leading and used == dropped)
        if (alike or (pattern.dropped and used is None)) and (not count or abs(count / prod(sizes[a] for a in along) - 1) < 1e-6):
            yield from self.match(pattern.operand, node.input[0], {**found, "axes": along}, None)


__all__ = ["Match", "matches"]
