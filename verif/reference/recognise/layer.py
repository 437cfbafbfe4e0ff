"""LayerNormalization, InstanceNormalization and GroupNormalization from means: with m = mean of x over some axes and v = mean of (x - m)^2,

    (x - m) (v + epsilon)^-1/2 gamma + beta

over the last axes is a LayerNormalization; over another single axis one of PART_DOMAIN; over all axes behind the channels, with one factor a channel, an
InstanceNormalization, and with the channels a GroupNormalization of one group. Between two Reshapes, (N, C, ..) to (N, groups, ..) and back, it is a
GroupNormalization. On their own v and (x - m) e^-1/2 are parts of one, nodes of PART_DOMAIN: ReduceMean of x, Div of x and e.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx

from verif.reference.recognise.algebra import Algebra
from verif.reference.recognise.around import Around
from verif.reference.recognise.forms import Form

#: Domain of the nodes that stand for a part, and for a normalisation over one axis that is not the last.
PART_DOMAIN = "part of a LayerNormalization"


def shifted(around: Around, mean_square: Form, times: float) -> Iterator[tuple[Form, float]]:
    """Yield (form, number) of each sum of a total, `times` that many, and a number, exactly."""
    algebra = around.algebra
    for name in around.names:
        kind, *rest = algebra.item(algebra.form[name]) if name in algebra.form else ("",)
        form = algebra.form.get(name, -1)
        if kind == "seen":
            form = rest[0]
            kind, *rest = algebra.item(form)
        if kind == "sum" and form == algebra.plus(algebra.times(algebra.number(times), mean_square), algebra.number(rest[0])):
            for number in around.numbers(rest[0]):
                yield form, number


def centred(algebra: Algebra, axes: tuple[int, ...], x: Form) -> Form | None:
    """The distance of x from its mean; None where its shape is not known."""
    shape = algebra.own.get(x)
    return None if shape is None or not all(shape) else algebra.minus(x, algebra.mean(axes, x, prod(shape[a] for a in axes)))


def cores(around: Around) -> Iterator[tuple[Form, tuple[int, ...], Form, float]]:
    """Yield (x, axes, (x - m) (v + epsilon)^-1/2, epsilon) that may be part of the value."""
    algebra = around.algebra
    totals = list(around.totals())
    for _, axes, x in totals:
        d = centred(algebra, axes, x)
        if d is None:
            continue
        squares = algebra.total(axes, algebra.power(d, 2))
        if any(form == squares for form, _, _ in totals):
            for e, epsilon in shifted(around, squares, 1 / prod(algebra.own[x][a] for a in axes)):
                yield x, axes, algebra.times(d, algebra.power(e, -0.5)), epsilon


def tails(around: Around, core: Form) -> Iterator[tuple[str, str]]:
    """Yield the names of the scale and the bias that make a core the value, '' where there is none; nothing but they reads what lies between."""
    algebra = around.algebra
    if core == around.form:
        yield "", ""
        return
    for gamma in ("", *around.factors()) if around.once(core) else ():
        scaled = algebra.times(core, algebra.form[gamma]) if gamma else core
        if scaled == around.form:
            yield gamma, ""
        elif around.once(scaled):
            yield from ((gamma, beta) for beta in around.factors() if algebra.plus(scaled, algebra.form[beta]) == around.form)


def layer(around: Around) -> onnx.NodeProto | None:
    """A whole normalisation."""
    for x, axes, core, epsilon in cores(around):
        name = around.named(x)
        shape, count = around.shape(name), len(axes)
        rank = len(shape)
        if not name or around.shape(around.output) != shape:
            continue
        for tail in tails(around, core):
            factors = [factor for factor in tail if factor]
            if axes == tuple(range(-count, 0)) and all(_fits(around, factor, shape[-count:]) for factor in factors):
                return around.made("LayerNormalization", [name, *tail], axis=-count, epsilon=epsilon)
            if count == 1 and all(around.along(factor, axes[0], shape) is not None for factor in factors):
                inputs = _channels(around, tail, axes[0], shape)
                return around.made("LayerNormalization", [name, *inputs], domain=PART_DOMAIN, axis=axes[0], epsilon=epsilon)
            channels = factors and all(around.along(factor, 1 - rank, shape) is not None for factor in factors)
            if channels and axes == tuple(range(2 - rank, 0)):
                return around.made("InstanceNormalization", [name, *_channels(around, tail, 1 - rank, shape)], epsilon=epsilon)
            if channels and axes == tuple(range(1 - rank, 0)):
                return around.made("GroupNormalization", [name, *_channels(around, tail, 1 - rank, shape)], num_groups=1, epsilon=epsilon)
    return None


def _fits(around: Around, factor: str, shape: tuple[int, ...]) -> bool:
    elements = around.elements_along(factor, len(shape))
    return elements > 0 and (len(shape) == 1 or elements in (1, prod(shape)))


def _channels(around: Around, tail: tuple[str, str], axis: int, shape: tuple[int, ...]) -> list[str]:
    """Scale and bias as constants, one a channel of `axis`."""
    arrays = [around.along(factor, axis, shape) if factor else np.full(shape[axis], default) for factor, default in zip(tail, (1.0, 0.0), strict=True)]
    return [around.constant(role, array) for role, array in zip(("scale", "bias"), arrays, strict=True) if array is not None]


def layer_part(around: Around) -> onnx.NodeProto | None:
    """The variance, or the distance from the mean over the root of a value."""
    algebra = around.algebra
    for _, axes, x in around.totals():
        d, name = centred(algebra, axes, x), around.named(x)
        if d is None or not name or len(axes) != 1:
            continue
        if around.form == algebra.mean(axes, algebra.power(d, 2), algebra.own[x][axes[0]]):
            return around.made("ReduceMean", [name], domain=PART_DOMAIN, axis=axes[0])
        for e in around.names[1:]:
            if algebra.times(d, algebra.power(algebra.form[e], -0.5)) == around.form and algebra.value_of(algebra.form[e]) is None:
                return around.made("Div", [name, e], domain=PART_DOMAIN, axis=axes[0])
    return None


__all__ = ["PART_DOMAIN", "centred", "cores", "layer", "layer_part", "shifted", "tails"]
