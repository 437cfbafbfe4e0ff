"""L2 normalisation: with s = total of x^2 along one axis, x n^-1, n = s^1/2 or bounded from below, or with a number added, under the root or behind it."""

from __future__ import annotations

import onnx

from verif.reference.recognise.around import Around
from verif.reference.recognise.forms import Form

#: Domain of the nodes that stand for one.
L2_DOMAIN = "an L2 normalisation"


def _bounded(around: Around, form: Form) -> tuple[Form, dict[str, float]]:
    """What a form is, apart from a lower bound or a number that is added, and these."""
    algebra = around.algebra
    kind, *rest = algebra.item(form)
    if kind == "call" and rest[0] == "Max" and len(rest) == 5:
        for one, other in (rest[3:], rest[:2:-1]):
            number = algebra.value_of(other)
            if number is not None:
                return one, {"least": next(around.numbers(number))}
    if kind == "sum" and rest[0]:
        return algebra.plus(form, algebra.number(-rest[0])), {"added": next(around.numbers(rest[0]))}
    return form, {}


def l2(around: Around) -> onnx.NodeProto | None:
    """A whole normalisation."""
    algebra = around.algebra
    for total, axes, square in around.totals():
        for name in around.names[1:]:
            x, shape = algebra.form[name], around.shape(name)
            if algebra.power(x, 2) != square or name in algebra.fixed or len(axes) != 1 or not shape or around.shape(around.output) != shape:
                continue
            norm, bounds = _bounded(around, algebra.power(algebra.times(around.form, algebra.power(x, -1)), -1))
            squares, more = _bounded(around, algebra.power(norm, 2))
            if squares == total and min([*more.values(), 0.0]) >= 0:
                numbers = {key: max(bounds.get(key, 0.0), more.get(key, 0.0) ** 0.5) for key in ("least", "added")}
                return around.made("LpNormalization", [name], domain=L2_DOMAIN, axis=axes[0] + len(shape), **numbers)
    return None


__all__ = ["L2_DOMAIN", "l2"]
