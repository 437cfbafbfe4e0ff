"""Softmax and LogSoftmax: with e = exp(x), or exp(x - largest x), along one axis and S the total of e,

    Softmax       e S^-1, or the exponential of a LogSoftmax
    LogSoftmax    x - log S, or x - largest x - log S, or the logarithm of a Softmax
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from verif.reference.algebra import Form
from verif.reference.recognise import Around


def _rows(around: Around) -> Iterator[tuple[str, int, Form, Form, Form]]:
    """Yield (name of x, axis, x or its distance from the largest, its exponential, the total of that) that the value may be made of."""
    algebra = around.algebra
    largest = list(around.totals(largest=True))
    for total, axes, e in list(around.totals()):
        kind, *rest = algebra.item(e)
        if kind != "call" or rest[0] != "Exp" or len(axes) != 1:
            continue
        exponent = rest[3]
        sources = [x for form, own, x in largest if own == axes and algebra.minus(x, form) == exponent]
        for x in (*sources, exponent):
            name = around.named(x)
            if name and around.shape(name) == around.shape(around.output):
                yield name, axes[0] + len(around.shape(name)), exponent, e, total


def softmax(around: Around) -> onnx.NodeProto | None:
    """A Softmax."""
    algebra = around.algebra
    for name, axis, _, e, total in _rows(around):
        if around.form == algebra.times(e, algebra.power(total, -1)):
            return around.made("Softmax", [name], axis=axis)
    return None


__all__ = ["softmax"]
