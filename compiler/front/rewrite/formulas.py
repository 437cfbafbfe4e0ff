"""Formulas: how templates write an operator, and what they stand for (`compiler.front.rewrite.matcher`).

    >>> x = Value("x")
    >>> x / sqrt(mean(x))
    Product(parts=((Value(name='x'), 1), (Reduced(operator='ReduceMean', operand=Value(name='x'), dropped=False), -0.5)))
    >>> (x | mean(x)) * 2 == x * 2 | mean(x) * 2
    True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


class Pattern:
    """A formula."""

    def __add__(self, other: Pattern | float) -> Pattern:
        return _each(lambda a, b: Total((*_parts(Total, a), *_parts(Total, b))), self, other)

    def __sub__(self, other: Pattern | float) -> Pattern:
        return _each(lambda a, b: Total((*_parts(Total, a), *_parts(Total, b, -1))), self, other)

    def __mul__(self, other: Pattern | float) -> Pattern:
        return _each(lambda a, b: Product((*_parts(Product, a), *_parts(Product, b))), self, other)

    def __truediv__(self, other: Pattern | float) -> Pattern:
        return _each(lambda a, b: Product((*_parts(Product, a), *_parts(Product, b, -1))), self, other)

    def __pow__(self, exponent: float) -> Pattern:
        return Product(((self, exponent),))

    def __or__(self, other: Pattern) -> Pattern:
        return Either((*_choices(self), *_choices(other)))

    def called(self, name: str) -> Pattern:
        """Return the formula, the name of its value bound to `name`."""
        return Marked(self, name=name)

    def alone(self) -> Pattern:
        """Return the formula, for values with one reader."""
        return Marked(self, single=True)


@dataclass(frozen=True)
class Value(Pattern):
    """Any value."""

    name: str


@dataclass(frozen=True)
class Constant(Pattern):
    """A constant; its name is bound."""

    name: str


@dataclass(frozen=True)
class Number(Pattern):
    """A constant of one element; it is bound, or it is the number that is given."""

    number: str | float


@dataclass(frozen=True)
class Total(Pattern):
    """A sum of parts, each with a sign."""

    parts: tuple[tuple[Pattern, float], ...]


@dataclass(frozen=True)
class Product(Pattern):
    """A product of parts, each with an exponent."""

    parts: tuple[tuple[Pattern, float], ...]


@dataclass(frozen=True)
class Reduced(Pattern):
    """A reduction by an operator along axes, which are bound; with `dropped` it may lose its dimensions for good."""

    operator: str
    operand: Pattern
    dropped: bool = False


@dataclass(frozen=True)
class Call(Pattern):
    """An operator; an operand that is None may be anything."""

    operator: str
    operands: tuple[Pattern | None, ...]


@dataclass(frozen=True)
class Either(Pattern):
    """The first that fits."""

    choices: tuple[Pattern, ...]


@dataclass(frozen=True)
class Marked(Pattern):
    """A formula whose value is bound to `name`, or is `single`: has one reader."""

    pattern: Pattern
    name: str = ""
    single: bool = False


def sqrt(pattern: Pattern) -> Pattern:
    """Return the root of a formula."""
    return pattern**0.5


def call(operator: str, *operands: Pattern | None) -> Pattern:
    """Return an operator of formulas; None is any operand."""
    return Call(operator, operands)


mean, total, largest = (partial(Reduced, operator) for operator in ("ReduceMean", "ReduceSum", "ReduceMax"))
exp, log, maximum, minimum = (partial(call, operator) for operator in ("Exp", "Log", "Max", "Min"))


def _choices(pattern: Pattern) -> tuple[Pattern, ...]:
    return pattern.choices if isinstance(pattern, Either) else (pattern,)


def _each(join: Callable[[Pattern, Pattern], Pattern], a: Pattern, b: Pattern | float) -> Pattern:
    """Join two formulas; of one that is either of several, each."""
    joined = tuple(join(one, two) for one in _choices(a) for two in _choices(b if isinstance(b, Pattern) else Number(b)))
    return joined[0] if len(joined) == 1 else Either(joined)


def _parts(form: type[Total] | type[Product], pattern: Pattern, factor: int = 1) -> tuple[tuple[Pattern, float], ...]:
    """Parts of a sum or a product, its own if it is one; signs or exponents times `factor`."""
    parts: tuple[tuple[Pattern, float], ...] = pattern.parts if isinstance(pattern, form) else ((pattern, 1),)
    return tuple((part, factor * weight) for part, weight in parts)


def heads(pattern: Pattern) -> set[str]:
    """Return the operators that may make a formula's value."""
    match pattern:
        case Either(choices):
            return {operator for choice in choices for operator in heads(choice)}
        case Marked(inner):
            return heads(inner)
        case Total():
            return {"Add", "Neg", "Sub", "Sum"}
        case Product():
            return {"Div", "Mul", "Pow", "Reciprocal", "Sqrt"}
        case Reduced(operator):
            return {operator, "Div", "Mul"}
        case Call(operator):
            return {operator}
    raise TypeError(f"a template that is only {pattern}")


__all__ = [
    "Call", "Constant", "Either", "Marked", "Number", "Pattern", "Product", "Reduced", "Total", "Value", "call", "exp", "heads", "largest", "log", "maximum",
    "mean", "minimum", "sqrt", "total",
]  # fmt: skip
