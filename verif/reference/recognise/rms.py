"""RMSNormalization: with s = mean of x^2 over some axes, x (s + epsilon)^-1/2 gamma.

Over the last axes it is the operator, over another single axis one of RMS_DOMAIN. On their own s, of what is dequantised, and x e^-1/2, e one a row, are
parts of one, nodes of RMS_DOMAIN: ReduceMean of x, Div of x and e.
"""

from __future__ import annotations

from math import prod

import onnx

from verif.reference.recognise.around import Around
from verif.reference.recognise.forms import Form
from verif.reference.recognise.layer import shifted, tails

#: Domain of the nodes that stand for a part, and for a normalisation over one axis that is not the last.
RMS_DOMAIN = "part of an RMSNormalization"


def _bases(around: Around) -> list[tuple[tuple[int, ...], Form, Form]]:
    """(axes, x, total of x^2) of which the value may be the normalisation."""
    algebra = around.algebra
    found = []
    for name in around.names[1:]:
        x = algebra.form[name]
        if name not in around.algebra.fixed:
            found += [(axes, x, form) for form, axes, square in around.totals() if square == algebra.power(x, 2)]
    return found


def rms(around: Around) -> onnx.NodeProto | None:
    """A whole normalisation."""
    algebra = around.algebra
    for axes, x, total in _bases(around):
        name, count = around.named(x), len(axes)
        shape = around.shape(name)
        if around.shape(around.output) != shape or not shape:
            continue
        for e, epsilon in shifted(around, total, 1 / prod(shape[a] for a in axes)):
            core = algebra.times(x, algebra.power(e, -0.5))
            for scale, bias in tails(around, core):
                tail = [scale] if scale else []
                if bias:
                    continue
                if axes == tuple(range(-count, 0)):
                    if all(around.elements_along(gamma, count) in (1, prod(shape[-count:])) for gamma in tail):
                        return around.made("RMSNormalization", [name, *tail], axis=-count, epsilon=epsilon)
                elif count == 1 and all(around.along(gamma, axes[0], shape) is not None for gamma in tail):
                    numbers = [around.constant("scale", array) for gamma in tail if (array := around.along(gamma, axes[0], shape)) is not None]
                    return around.made("RMSNormalization", [name, *numbers], domain=RMS_DOMAIN, axis=axes[0], epsilon=epsilon)
    return None


def _dequantised(around: Around, name: str) -> bool:
    return around.algebra.item(around.algebra.form[name])[0] == "dequantised"


def rms_part(around: Around) -> onnx.NodeProto | None:
    """The mean square, or x over the root of a value a row."""
    algebra = around.algebra
    for axes, x, total in _bases(around):
        name = around.named(x)
        if len(axes) == 1 and _dequantised(around, name) and around.form == algebra.times(algebra.number(1 / around.shape(name)[axes[0]]), total):
            return around.made("ReduceMean", [name], domain=RMS_DOMAIN, axis=axes[0])
    inner = [name for name in around.names[1:] if name not in algebra.fixed and _dequantised(around, name)]
    for name in inner:
        for e in inner:
            shape, root = around.shape(name), algebra.power(algebra.form[e], -0.5)
            reduced = [i for i, d in enumerate(around.shape(e)) if i < len(shape) and d != shape[i]] or [len(shape) - 1]
            one_a_row = around.shape(e) == (*shape[: reduced[0]], 1, *shape[reduced[0] + 1 :])
            if algebra.times(algebra.form[name], root) == around.form and one_a_row:
                return around.made("Div", [name, e], domain=RMS_DOMAIN, axis=reduced[0] - len(shape))
    return None


__all__ = ["RMS_DOMAIN", "rms", "rms_part"]
