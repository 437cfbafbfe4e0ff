"""Forms: what values are, however they were written; arithmetic on them.

    number          a constant of one element
    sum             a number and other forms times numbers
    product         a number times other forms to powers; products of sums are multiplied out
    total, largest  over axes, counted from the end, of a form; a mean is a total times one over the number of elements
    call            any other operator with its attributes on forms
    value           what no operator makes
"""

from __future__ import annotations

from typing import Any

Form = int

#: Most terms that products of sums are multiplied out to, and that a sum or a product has.
_TERMS, _MANY = 8, 64


class Forms:
    """Every form that there is, known by its number; equal forms are one."""

    def __init__(self) -> None:
        self._items: list[tuple] = []
        self._known: dict[tuple, Form] = {}

    def _item(self, *item: Any) -> Form:
        if item not in self._known:
            self._known[item] = len(self._items)
            self._items.append(item)
        return self._known[item]

    def item(self, form: Form) -> tuple:
        """Return the kind of a form, and what it consists of."""
        return self._items[form]

    # ---- arithmetic

    def number(self, value: float) -> Form:
        """Return the form of a number; six digits count."""
        return self._item("number", float(f"{value:.6g}"))

    def value_of(self, form: Form) -> float | None:
        """Return the number that a form is."""
        kind, *rest = self._items[form]
        return rest[0] if kind == "number" else None

    def _factors(self, form: Form) -> tuple[float, dict[Form, float]]:
        kind, *rest = self._items[form]
        if kind == "number":
            return rest[0], {}
        return (rest[0], dict(rest[1])) if kind == "product" else (1.0, {form: 1.0})

    def _terms(self, form: Form) -> tuple[float, dict[Form, float]]:
        kind, *rest = self._items[form]
        if kind == "number":
            return rest[0], {}
        if kind == "sum":
            return rest[0], dict(rest[1])
        number, factors = self._factors(form)
        return 0.0, {self._product(1.0, factors): number}

    def _product(self, number: float, factors: dict[Form, float]) -> Form:
        factors = {form: power for form, power in factors.items() if power}
        if not factors or number == 0:
            return self.number(number)
        if number == 1 and list(factors.values()) == [1.0]:
            return next(iter(factors))
        return self._item("product", float(f"{number:.6g}"), tuple(sorted(factors.items())))

    def _sum(self, number: float, terms: dict[Form, float]) -> Form:
        terms = {form: float(f"{times:.6g}") for form, times in terms.items() if times}
        if not terms:
            return self.number(number)
        if number == 0 and len(terms) == 1:
            ((form, times),) = terms.items()
            own, factors = self._factors(form)
            return self._product(own * times, factors)
        return self._item("sum", float(f"{number:.6g}"), tuple(sorted(terms.items())))

    def plus(self, *forms: Form) -> Form:
        """Return a sum."""
        number, total = 0.0, dict[Form, float]()
        if sum(len(self._terms(form)[1]) for form in forms) > _MANY:
            return self.call("Add", *forms)
        for form in forms:
            own, terms = self._terms(form)
            number += own
            for term, times in terms.items():
                total[term] = total.get(term, 0.0) + times
        return self._sum(number, total)

    def times(self, *forms: Form) -> Form:
        """Return a product."""
        number, total = 1.0, dict[Form, float]()
        if sum(len(self._factors(form)[1]) for form in forms) > _MANY:
            return self.call("Mul", *forms)
        for form in forms:
            own, factors = self._factors(form)
            number *= own
            for factor, power in factors.items():
                total[factor] = total.get(factor, 0.0) + power
        sums = [form for form, power in total.items() if power == 1 and self._items[form][0] == "sum"]
        out: list[tuple[float, Form]] = [(number, self._product(1.0, {f: p for f, p in total.items() if f not in sums}))]
        for form in sums:
            own, terms = self._terms(form)
            out = [(a * b, self._merged(f, g)) for a, f in out for b, g in ((times, term) for term, times in terms.items())] + [(a * own, f) for a, f in out]
        if not sums or len(out) > _TERMS:
            return self._product(number, total)
        return self.plus(*(self._merged(self.number(times), form) for times, form in out))

    def _merged(self, a: Form, b: Form) -> Form:
        """The product of two forms, neither multiplied out."""
        (one, factors), (two, others) = self._factors(a), self._factors(b)
        return self._product(one * two, {f: factors.get(f, 0.0) + others.get(f, 0.0) for f in {**factors, **others}})

    def power(self, form: Form, exponent: float) -> Form:
        """Return a form to a power; the root of a square, and of a product, is left as it is."""
        number, factors = self._factors(form)
        whole = float(exponent).is_integer()
        if not factors and (whole or number > 0) and (number or exponent > 0):
            return self.number(number**exponent)
        if whole and (number or exponent > 0):
            return self._product(number**exponent, {f: p * exponent for f, p in factors.items()})
        if number == 1 and len(factors) == 1 and all(p % 2 for p in factors.values()):
            return self._product(1.0, {f: p * exponent for f, p in factors.items()})
        return self._product(1.0, {form: exponent})

    def minus(self, a: Form, b: Form) -> Form:
        """Return a difference."""
        return self.plus(a, self.times(self.number(-1), b))

    def total(self, axes: tuple[int, ...], form: Form, *, largest: bool = False) -> Form:
        """Return a sum over axes, or the largest number."""
        return self._item("largest" if largest else "total", axes, form)

    def mean(self, axes: tuple[int, ...], form: Form, count: int) -> Form:
        """Return a mean of so many elements."""
        return self.times(self.number(1 / count), self.total(axes, form))

    def call(self, operator: str, *forms: Form, **attributes: Any) -> Form:
        """Return an operator of forms."""
        return self._item("call", operator, repr(sorted(attributes.items())), 0, *forms)


__all__ = ["Form", "Forms"]
