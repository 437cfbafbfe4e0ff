"""Random normalisations by sums of squares, drawn onto a network that `verif.random.networks` builds.

    lrn         LRN of an image
    groupnorm   InstanceNormalization, GroupNormalization, or the one between Reshapes with or without a scale and a bias
    rmsnorm     RMSNormalization over the last axis as elementary operators, with a quantised mean square or radicand between or without
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verif.random.network_builder import Activation
from verif.random.rowwise import Parts
from verif.reference.recognise.rms import RMS_DOMAIN

Drawn = Callable[[Any, Activation], Activation]
#: GroupNormalization with a scale a channel exists from this opset on.
GROUP_OPSET = 21


def lrn(draw: Any, x: Activation) -> Activation:
    """LRN with an odd size, which is what onnxruntime has; of what is no image an RMSNormalization."""
    if len(x.shape) != 4:
        return rmsnorm(draw, x)
    b = draw.b
    beta, size = float(draw.rng.choice([0.5, 0.75, 1.0])), 1 + 2 * draw.integer(0, 3)
    alpha, bias = float(np.float32(draw.rng.uniform(0.001, 2))), float(np.float32(draw.rng.uniform(0.5, 2)))
    return b.quantised(b.node("LRN", [b.dequantised(x)], size=size, alpha=alpha, beta=beta, bias=bias), x.shape)


def groupnorm(draw: Any, x: Activation) -> Activation:
    """Groups of a random size, one channel each mostly."""
    b, shape = draw.b, x.shape
    channels, operand = shape[1], b.dequantised(x)
    epsilon = float(draw.rng.choice([1e-5, 1e-3]))
    scales = [b.constant(name, draw.rng.normal(mean, 0.4, channels).astype(np.float32)) for name, mean in (("scale", 1), ("bias", 0))]
    groups = int(draw.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    if groups == channels or draw.chance(0.3):
        return b.quantised(b.node("InstanceNormalization", [operand, *scales], epsilon=epsilon), shape)
    if b.opset >= GROUP_OPSET and draw.chance(0.5):
        return b.quantised(b.node("GroupNormalization", [operand, *scales], num_groups=groups, epsilon=epsilon), shape)
    few = [b.constant(name, draw.rng.normal(mean, 0.4, groups).astype(np.float32)) for name, mean in (("scale", 1), ("bias", 0))]
    split, joined = (b.constant("shape", np.array(sizes, np.int64)) for sizes in ((shape[0], groups, -1), shape))
    if draw.chance(0.5):
        normal = b.node("InstanceNormalization", [b.node("Reshape", [operand, split]), *few], epsilon=epsilon)
        return b.quantised(b.node("Reshape", [normal, joined]), shape)
    arrays = [b.values[name].real().astype(np.float64) for name in (*scales, *few)]
    gamma, beta, scale, bias = arrays[0], arrays[1], *(np.repeat(a, channels // groups) for a in arrays[2:])
    whole = [b.constant(name, array.astype(np.float32)) for name, array in (("scale", gamma * scale), ("bias", gamma * bias + beta))]
    result = b.node("GroupNormalization", [operand, *whole], num_groups=groups, epsilon=epsilon)
    b.nodes.pop()
    parts = Parts(draw, len(shape))
    along = [b.constant(name, array.reshape(-1, *[1] * (len(shape) - 2)).astype(np.float32)) for name, array in (("gamma", gamma), ("beta", beta))]
    normal = parts.add("InstanceNormalization", [parts.add("Reshape", [operand, split]), *few], epsilon=epsilon)
    product = parts.add("Mul", [parts.add("Reshape", [normal, joined]), along[0]])
    parts.add("Add", [along[1], product], result)
    return b.quantised(result, shape)


def _over_root(draw: Any, parts: Parts, x: str, root: str, out: str) -> None:
    """Append x over a root, in one of the ways that it is written."""
    form = draw.integer(0, 2)
    if form == 0:
        parts.add("Div", [x, root], out)
        return
    one = [draw.b.constant("one", np.float32(1))] if form == 1 else []
    inverse = parts.add("Div" if one else "Reciprocal", [*one, root])
    parts.add("Mul", [x, inverse] if draw.chance(0.5) else [inverse, x], out)


def _square(draw: Any, parts: Parts, x: str) -> str:
    by_power = draw.chance(0.5)
    return parts.add("Pow", [x, draw.b.constant("two", np.float32(2))]) if by_power else parts.add("Mul", [x, x])


def _in_parts(draw: Any, x: Activation) -> Activation:
    """The quotient of a normalisation whose mean square and radicand are quantised."""
    b, parts = draw.b, Parts(draw, len(x.shape))
    operand, row = b.dequantised(x), (*x.shape[:-1], 1)
    mean = b.node("ReduceMean", [operand], domain=RMS_DOMAIN)
    b.nodes.pop()
    parts.mean(_square(draw, parts, operand), mean)
    spread = b.quantised(mean, row, lowest_zero=True)
    least = b.constant("epsilon", 2 * spread.scale)  # no radicand is rounded to nothing, by whose root a quotient would be huge
    radicand = b.quantised(b.node("Add", [b.dequantised(spread), least]), row, lowest_zero=True)
    again, root = operand if draw.chance(0.5) else b.dequantised(x), b.dequantised(radicand)
    quotient = b.node("Div", [again, root], domain=RMS_DOMAIN)
    b.nodes.pop()
    parts.add("Div", [again, parts.add("Sqrt", [root])], quotient)
    return b.quantised(quotient, x.shape)


def rmsnorm(draw: Any, x: Activation) -> Activation:
    """RMSNormalization with and without a scale."""
    b, parts = draw.b, Parts(draw, len(x.shape))
    if draw.chance(0.25):
        return _in_parts(draw, x)
    operand, epsilon = b.dequantised(x), float(draw.rng.choice([1e-6, 1e-3]))
    scale = [b.constant("gamma", draw.rng.normal(1, 0.4, x.shape[-1:]).astype(np.float32))] if draw.chance(0.7) else []
    result = b.node("RMSNormalization", [operand, *scale], axis=-1, epsilon=epsilon)
    b.nodes.pop()
    mean = parts.mean(_square(draw, parts, operand))
    root = parts.add("Sqrt", [parts.add("Add", [mean, b.constant("epsilon", np.float32(epsilon))])])
    quotient = b.fresh("quotient") if scale else result
    _over_root(draw, parts, operand, root, quotient)
    if scale:
        parts.add("Mul", [*scale, quotient] if draw.chance(0.5) else [quotient, *scale], result)
    return b.quantised(result, x.shape)


NORMALISING: dict[str, Drawn] = {"lrn": lrn, "groupnorm": groupnorm, "rmsnorm": rmsnorm}

__all__ = ["NORMALISING"]
