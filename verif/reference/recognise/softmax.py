"""Softmax and LogSoftmax: with e = exp(x), or exp(x - largest x), along one axis and S the total of e,

    Softmax       e S^-1, or the exponential of a LogSoftmax
    LogSoftmax    x - log S, or x - largest x - log S, or the logarithm of a Softmax

Of what is dequantised times a number both are one of SCALED_DOMAIN.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from verif.reference.recognise.algebra import settings
from verif.reference.recognise.around import Around
from verif.reference.recognise.forms import Form

#: Domain of a Softmax or LogSoftmax with a factor.
SCALED_DOMAIN = "of a multiple"


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


def _inverse(around: Around, function: str, operator: str, made: str) -> onnx.NodeProto | None:
    """The operator that a function of another operator's result is."""
    algebra = around.algebra
    for name in around.names[1:]:
        inner = algebra.maker.get(name)
        if inner is not None and inner.op_type == operator and not inner.domain and around.form == algebra.call(function, algebra.form[name]):
            return around.made(made, list(inner.input), **settings(inner))
    return None


def softmax(around: Around) -> onnx.NodeProto | None:
    """A Softmax."""
    algebra = around.algebra
    for name, axis, exponent, e, total in _rows(around):
        logarithm = algebra.minus(exponent, algebra.call("Log", total))
        if around.form in (algebra.times(e, algebra.power(total, -1)), algebra.call("Exp", logarithm)):
            return around.made("Softmax", [name], axis=axis)
    return _inverse(around, "Exp", "LogSoftmax", "Softmax")


def log_softmax(around: Around) -> onnx.NodeProto | None:
    """A LogSoftmax."""
    algebra = around.algebra
    for name, axis, exponent, e, total in _rows(around):
        quotient = algebra.times(e, algebra.power(total, -1))
        if around.form in (algebra.minus(exponent, algebra.call("Log", total)), algebra.call("Log", quotient)):
            return around.made("LogSoftmax", [name], axis=axis)
    return _inverse(around, "Log", "Softmax", "LogSoftmax")


def scaled(around: Around) -> onnx.NodeProto | None:
    """A Softmax or LogSoftmax of what is dequantised times a number from 2^-20 to 2^20, or over one."""
    algebra, node = around.algebra, around.node
    product = algebra.maker.get(node.input[0])
    while product is not None and product.op_type == "Identity":
        product = algebra.maker.get(product.input[0])
    if node.op_type not in ("LogSoftmax", "Softmax") or product is None or product.op_type not in ("Div", "Mul") or product.domain:
        return None
    for name, other in (product.input, product.input[::-1]) if product.op_type == "Mul" else (product.input,):
        number = algebra.array(other)
        fits = number is not None and number.size == 1 and number.reshape(()) and algebra.item(algebra.form[name])[0] == "dequantised"
        if number is None or not fits or name in algebra.fixed or around.shape(name) != around.shape(around.output):
            continue
        factor = float(number.reshape(())) if product.op_type == "Mul" else 1 / float(number.reshape(()))
        if 2.0**-20 <= factor <= 2.0**20:
            return around.made(node.op_type, [name], domain=SCALED_DOMAIN, **settings(node), factor=factor)
    return None


__all__ = ["SCALED_DOMAIN", "log_softmax", "scaled", "softmax"]
