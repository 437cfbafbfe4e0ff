"""Random element-wise operators, reductions and normalisations, drawn onto a network that `verif.random.networks` builds.

    combine     Add, Sub, Mul, Min, Max of two tensors of one shape
    excite      a tensor times (or another combination with) a function of its averages: squeeze and excitation
    constant    a combination with a constant of any shape that broadcasts, quantised or float
    several     Min or Max of three tensors
    sums        Sum, Mean, or Adds and Subs with nothing between, of three to five operands
    quotient    a tensor over another that is never zero, or over its averages
    prelu       PRelu with a slope a channel, or one
    batchnorm   BatchNormalization, on its own or behind a convolution
    reduce      ReduceMean, ReduceSum, ReduceMax over some axes, GlobalMaxPool
    activation  functions written as several operators with a quantisation between each: SiLU, HardSwish, GELU
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from verif.random.network_builder import LIMITS, Activation

Drawn = Callable[[Any, Activation], Activation]


def _other(draw: Any, x: Activation) -> Activation:
    """A second tensor of the shape of x."""
    return draw.conv(x, "conv", keep=True) if len(x.shape) > 2 else draw.matrix(x, "MatMul")


def combine(draw: Any, x: Activation) -> Activation:
    """Two tensors of one shape."""
    b = draw.b
    other = _other(draw, x)
    if other.shape != x.shape:
        x = draw.matrix(x, "MatMul")
        other = draw.b.quantised(b.node("Abs", [b.dequantised(x)]), x.shape)
        x, other = other, x
    op = str(draw.rng.choice(["Add", "Sub", "Mul", "Min", "Max", "Sum"]))
    result, lowest = draw.activated(b.node(op, [b.dequantised(x), b.dequantised(other)]))
    return b.quantised(result, x.shape, lowest_zero=lowest)


def excite(draw: Any, x: Activation) -> Activation:
    """A tensor and a function of its averages, as MobileNetV3's blocks have."""
    b = draw.b
    if len(x.shape) < 3:
        return combine(draw, x)
    gate = draw.pool(x, "GlobalAveragePool")
    if draw.chance(0.7):
        gate = draw.conv(gate, "pointwise", keep=True)
        gate = b.quantised(b.node(str(draw.rng.choice(["HardSigmoid", "Sigmoid"])), [b.dequantised(gate)]), gate.shape)
    op = "Mul" if draw.chance(0.7) else str(draw.rng.choice(["Add", "Sub", "Max"]))
    operands = [b.dequantised(x), b.dequantised(gate)]
    return b.quantised(b.node(op, operands if draw.chance(0.6) else operands[::-1]), x.shape)


def constant(draw: Any, x: Activation) -> Activation:
    """A tensor and a constant whose every axis is that of the tensor or 1."""
    b, rng = draw.b, draw.rng
    shape = [d if draw.chance(0.6) else 1 for d in x.shape]
    shape = shape[draw.integer(0, 1):] if draw.chance(0.5) else shape
    if draw.chance(0.6):
        low, high = LIMITS[x.dtype]
        zero = int(rng.integers(low, high + 1))
        names = b.constant("k", rng.integers(low, high + 1, shape).astype(x.dtype)), b.constant("ks", np.float32(rng.uniform(0.002, 0.02))), b.constant(
            "kz", np.array(zero, x.dtype))
        other = b.node("DequantizeLinear", list(names))
    else:
        other = b.constant("k", (rng.choice([-1, 1], shape) * rng.uniform(0.3, 2, shape)).astype(np.float32))
    op = str(rng.choice(["Add", "Sub", "Mul", "Min", "Max"])) if draw.chance(0.9) else "Div"
    operands = [b.dequantised(x), other]
    if op == "Div" and not (b.values[other].real() != 0).all():
        op = "Mul"
    return b.quantised(b.node(op, operands if op == "Div" or draw.chance(0.6) else operands[::-1]), x.shape)


def several(draw: Any, x: Activation) -> Activation:
    """Min or Max of three tensors."""
    b = draw.b
    if len(x.shape) < 3:
        return combine(draw, x)
    tensors = [x, _other(draw, x), _other(draw, x)]
    return b.quantised(b.node("Min" if draw.chance(0.5) else "Max", [b.dequantised(t) for t in tensors]), x.shape)


def sums(draw: Any, x: Activation) -> Activation:
    """Three to five operands: tensors, one of them twice now and then, one that broadcasts, constants."""
    b = draw.b
    other = _other(draw, x)
    if other.shape != x.shape:
        x, other = other, b.quantised(b.node("Tanh", [b.dequantised(other)]), other.shape)
    operands = [b.dequantised(x), b.dequantised(other)]
    for _ in range(draw.integer(1, 3)):
        if draw.chance(0.3):
            shape = (x.shape[1], *[1] * (len(x.shape) - 2)) if draw.chance(0.6) else ()
            operands.append(b.constant("addend", np.asarray(draw.rng.uniform(-2, 2, shape), np.float32)))
        elif draw.chance(0.3) and len(x.shape) > 2:
            operands.append(b.dequantised(draw.pool(x, "GlobalAveragePool")))
        else:
            operands.append(b.dequantised(_other(draw, x) if draw.chance(0.6) and len(x.shape) > 2 else x))
    order = [operands[i] for i in draw.rng.permutation(len(operands))]
    op = str(draw.rng.choice(["Sum", "Mean", "chain"]))
    while op == "chain" and len(order) > 1:
        i = draw.integer(0, len(order) - 2)
        order[i : i + 2] = [b.node("Add" if draw.chance(0.7) else "Sub", order[i : i + 2])]
    result, lowest = draw.activated(order[0] if op == "chain" else b.node(op, order))
    return b.quantised(result, x.shape, lowest_zero=lowest)


def quotient(draw: Any, x: Activation) -> Activation:
    """A tensor over another one, of its shape or of one element a channel, whose numbers are all of one sign."""
    b = draw.b
    other = draw.pool(x, "GlobalAveragePool") if len(x.shape) > 2 and draw.chance(0.3) else _other(draw, x)
    size = b.quantised(b.node("Abs", [b.dequantised(other)]), other.shape)
    largest = float(np.abs(b.values[other.name].array.astype(np.float64) - other.zero).max() * other.scale) or 1.0
    least = b.constant("least", np.float32(largest * draw.rng.uniform(0.05, 0.5)))
    away = b.quantised(b.node("Add", [b.dequantised(size), least]), other.shape)
    if draw.chance(0.4):
        away = b.quantised(b.node("Neg", [b.dequantised(away)]), other.shape)
    if x.shape != other.shape and other.shape[:2] != x.shape[:2]:
        x = b.quantised(b.node("Tanh", [b.dequantised(other)]), other.shape)
    result, lowest = draw.activated(b.node("Div", [b.dequantised(x), b.dequantised(away)]))
    return b.quantised(result, x.shape, lowest_zero=lowest)


def prelu(draw: Any, x: Activation) -> Activation:
    """PRelu."""
    b = draw.b
    shape = (x.shape[1], *[1] * (len(x.shape) - 2)) if draw.chance(0.7) else (1,)
    low, high = (-0.5, 1.0) if draw.chance(0.8) else (1.0, 1.7)
    slope = b.constant("slope", draw.rng.uniform(low, high, shape).astype(np.float32))
    return b.quantised(b.node("PRelu", [b.dequantised(x), slope]), x.shape)


def batchnorm(draw: Any, x: Activation) -> Activation:
    """BatchNormalization of a tensor, or of a convolution before it is quantised."""
    b, rng = draw.b, draw.rng
    real, shape = b.dequantised(x), x.shape
    if len(shape) > 2 and draw.chance(0.5):
        names, _, _ = b.weights((draw.integer(1, draw.size.channels), shape[1], *[1] * (len(shape) - 2)), 0)
        weight = b.node("DequantizeLinear", names, axis=0)
        real, shape = b.node("Conv", [real, weight]), (shape[0], len(b.values[names[0]].array), *shape[2:])
    channels = shape[1]
    factors = rng.normal(1, 0.5, channels) * (rng.random(channels) > 0.05)
    sizes = (factors, rng.normal(0, 1, channels), rng.normal(0, 1, channels), rng.uniform(0.2, 3, channels))
    numbers = [b.constant(n, a.astype(np.float32)) for n, a in zip(("gamma", "beta", "mean", "variance"), sizes, strict=True)]
    result, lowest = draw.activated(b.node("BatchNormalization", [real, *numbers]))
    return b.quantised(result, shape, lowest_zero=lowest)


def reduce(draw: Any, x: Activation) -> Activation:
    """A reduction that keeps the rank, over axes behind the batch."""
    b, rank = draw.b, len(x.shape)
    if rank > 2 and draw.chance(0.1):
        op, axes = "GlobalMaxPool", list(range(2, rank))
        result = b.node(op, [b.dequantised(x)])
    else:
        op = str(draw.rng.choice(["ReduceMean", "ReduceSum", "ReduceMax"]))
        axes = sorted({draw.integer(1, rank - 1) for _ in range(2)})
        given = [a - rank if draw.chance(0.3) else a for a in axes]
        as_input = op == "ReduceSum" or b.opset >= 18
        inputs = [b.dequantised(x), *([b.constant("axes", np.array(given, np.int64))] if as_input else [])]
        result = b.node(op, inputs, **({} if as_input else {"axes": given}))
    return b.quantised(result, tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def activation(draw: Any, x: Activation) -> Activation:
    """A function of x that is written as several operators, each quantised."""
    b = draw.b

    def scalar(value: float) -> str:
        return b.constant("c", np.float32(value))

    def step(op: str, *operands: Activation | str, **attributes: Any) -> Activation:
        names = [b.dequantised(o) if isinstance(o, Activation) else o for o in operands]
        return b.quantised(b.node(op, names, **attributes), x.shape)

    kind = str(draw.rng.choice(["silu", "hardswish", "gelu", "quotient"]))
    if kind == "silu":
        return step("Mul", x, step("Sigmoid", x))
    if kind == "hardswish":
        clipped = step("Clip", step("Add", x, scalar(3)), scalar(0), scalar(6))
        return step("Div", step("Mul", x, clipped), scalar(6))
    if kind == "gelu":
        half = step("Mul", x, step("Add", step("Erf", step("Div", x, scalar(2**0.5))), scalar(1)))
        return step("Mul", half, scalar(0.5))
    return step("Div", x, step("Add", step("Exp", step("Neg", step("Abs", x))), scalar(1)))


ELEMENTWISE: dict[str, Drawn] = {
    "combine": combine, "excite": excite, "constant": constant, "several": several, "sums": sums, "quotient": quotient, "prelu": prelu,
    "batchnorm": batchnorm, "reduce": reduce, "activation": activation,
}  # fmt: skip

__all__ = ["ELEMENTWISE"]
