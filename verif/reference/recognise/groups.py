"""GroupNormalization between two Reshapes, (N, C, ..) to (N, groups, ..) and back: an InstanceNormalization, or the distances from the mean over the root
of the variance of each group, then mostly times one factor a channel and plus one addend a channel.

What the constants come to is computed in double precision and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from verif.reference.recognise.algebra import settings
from verif.reference.recognise.around import Around
from verif.reference.recognise.layer import cores, tails


def _cores(around: Around) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray, float]]:
    """Yield (x, what it was reshaped to, the result reshaped back, scale and bias a group, epsilon) that may be part of the value."""
    algebra = around.algebra
    for joined in around.names:
        back = algebra.maker.get(joined)
        inner = algebra.maker.get(back.input[0]) if back is not None and back.op_type == "Reshape" else None
        if back is None or inner is None or algebra.uses[back.input[0]] != 1:
            continue
        if inner.op_type == "InstanceNormalization":
            split = algebra.maker.get(inner.input[0])
            scale, bias = (algebra.array(name) for name in inner.input[1:])
            if split is not None and split.op_type == "Reshape" and scale is not None and bias is not None:
                epsilon = settings(inner).get("epsilon", 1e-5)
                yield split.input[0], inner.input[0], joined, scale.astype(np.float64), bias.astype(np.float64), epsilon
            continue
        within = Around(algebra, inner)
        for x, axes, core, epsilon in cores(within):
            name = within.named(x)
            split, shape = algebra.maker.get(name), around.shape(name)
            if core == within.form and split is not None and split.op_type == "Reshape" and len(shape) > 2 and axes == tuple(range(2 - len(shape), 0)):
                yield split.input[0], name, joined, np.ones(shape[1]), np.zeros(shape[1]), epsilon


def groups(around: Around) -> onnx.NodeProto | None:
    """A whole one; around an InstanceNormalization only with a scale: without one it is what it is, seen through the Reshapes."""
    algebra = around.algebra
    for x, grouped, joined, scale, bias, epsilon in _cores(around):
        shape, parts = around.shape(x), around.shape(grouped)
        fits = len(shape) > 1 and len(parts) > 1 and shape[0] == parts[0] and shape[1] % parts[1] == 0
        if not fits or not around.shape(joined) == around.shape(around.output) == shape:
            continue
        plain = algebra.maker[algebra.maker[joined].input[0]].op_type != "InstanceNormalization"
        for gamma, beta in tails(around, algebra.form[joined]):
            factor, addend = (around.along(n, 1 - len(shape), shape) if n else np.full(shape[1], v) for n, v in ((gamma, 1.0), (beta, 0.0)))
            if factor is not None and addend is not None and (gamma or plain):
                scales, biases = (np.repeat(array.reshape(-1), shape[1] // parts[1]) for array in (scale, bias))
                inputs = [x, around.constant("scale", factor * scales), around.constant("bias", factor * biases + addend)]
                return around.made("GroupNormalization", inputs, num_groups=parts[1], epsilon=epsilon)
    return None


__all__ = ["groups"]
