"""Random operators that reduce whole axes into a normalised tensor, drawn onto a network that `verif.random.networks` builds.

    softmax     Softmax and LogSoftmax along any axis; Softmax of a function that nothing quantises
    layernorm   LayerNormalization over the last axes, or over the last one as elementary operators, with quantisations between or without
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from verif.random.network_builder import Activation
from verif.reference.recognise.layer import PART_DOMAIN

Drawn = Callable[[Any, Activation], Activation]
#: The operator LayerNormalization exists from this opset on; from the next on ReduceMean takes its axes as an input.
LAYER_OPSET, AXES_OPSET = 17, 18


def softmax(draw: Any, x: Activation) -> Activation:
    """Softmax along any axis, counted from either end, or its logarithm; its result has the usual scale of 1/256 now and then."""
    b, rank = draw.b, len(x.shape)
    axis = draw.integer(0, rank - 1) - (rank if draw.chance(0.5) else 0)
    if draw.chance(0.25):
        return b.quantised(b.node("LogSoftmax", [b.dequantised(x)], axis=axis), x.shape)
    operand = b.dequantised(x)
    if draw.chance(0.25):  # written in digits, as scores behind a mask are (FineSoftmax)
        operand = b.node(str(draw.rng.choice(["Tanh", "LeakyRelu", "Softplus"])), [operand])
    result = b.node("Softmax", [operand], axis=axis)
    if draw.chance(0.5):
        return b.quantised(result, x.shape, lowest_zero=True)
    dtype = b.dtype()
    scale, zero = np.float32(1 / 256), int(np.iinfo(dtype).min)
    names = b.constant("scale", scale), b.constant("zero", np.array(zero, dtype))
    return Activation(b.node("QuantizeLinear", [result, *names]), x.shape, *names, scale, zero, dtype)


class Parts:
    """Appends elementary operators without evaluating them: their results are those of the operators that they stand for."""

    def __init__(self, draw: Any, rank: int) -> None:
        self.draw, self.b, self.rank = draw, draw.b, rank

    def add(self, op: str, inputs: list[str], out: str = "", **attributes: Any) -> str:
        """Append a node; return its output."""
        out = out or self.b.fresh(op.lower())
        self.b.nodes.append(helper.make_node(op, inputs, [out], name=f"node_{out}", **attributes))
        return out

    def mean(self, name: str, out: str = "") -> str:
        """Append the mean along the last axis, named from either end."""
        axis = self.draw.integer(0, 1) * self.rank - 1
        if self.b.opset < AXES_OPSET:
            return self.add("ReduceMean", [name], out, axes=[axis], keepdims=1)
        return self.add("ReduceMean", [name, self.b.constant("axes", np.array([axis]))], out, keepdims=1)

    def centred(self, x: str) -> str:
        """Append the distance from the mean."""
        return self.add("Sub", [x, self.mean(x)])

    def variance(self, centred: str, out: str = "") -> str:
        """Append the mean square of a distance."""
        by_power = self.draw.chance(0.5)
        square = self.add("Pow", [centred, self.b.constant("two", np.float32(2))]) if by_power else self.add("Mul", [centred, centred])
        return self.mean(square, out)


def _elementary(draw: Any, x: str, result: str, rank: int, constants: list[str], epsilon: float) -> None:
    """Append the operators that a LayerNormalization over the last axis is made of."""
    parts = Parts(draw, rank)
    centred = parts.centred(x)
    root = parts.add("Sqrt", [parts.add("Add", [parts.variance(centred), draw.b.constant("epsilon", np.float32(epsilon))])])
    last = parts.add("Div", [centred, root], out="" if constants else result)
    for number, constant in enumerate(constants):
        op, at_end = ("Mul", "Add")[number], number == len(constants) - 1
        last = parts.add(op, [last, constant] if draw.chance(0.5) else [constant, last], out=result if at_end else "")


def _quantised_parts(draw: Any, x: Activation) -> Activation:
    """The quotient of a normalisation whose variance and radicand are quantised."""
    b, parts = draw.b, Parts(draw, len(x.shape))
    operand, row = b.dequantised(x), (*x.shape[:-1], 1)
    variance = b.node("ReduceMean", [operand], domain=PART_DOMAIN)
    b.nodes.pop()
    parts.variance(parts.centred(operand), variance)
    spread = b.quantised(variance, row, lowest_zero=True)
    radicand = b.quantised(b.node("Add", [b.dequantised(spread), b.constant("epsilon", np.float32(1e-3))]), row, lowest_zero=True)
    again = operand if draw.chance(0.5) else b.dequantised(x)
    root = b.dequantised(radicand)
    quotient = b.node("Div", [again, root], domain=PART_DOMAIN)
    b.nodes.pop()
    parts.add("Div", [parts.centred(again), parts.add("Sqrt", [root])], quotient)
    return b.quantised(quotient, x.shape)


def layernorm(draw: Any, x: Activation) -> Activation:
    """LayerNormalization with a scale and, mostly, a bias."""
    b, rank = draw.b, len(x.shape)
    if draw.chance(0.25):
        return _quantised_parts(draw, x)
    last_only = b.opset < LAYER_OPSET or draw.chance(0.8)
    axis = -1 if last_only else draw.integer(1, rank - 1) - rank
    shape = x.shape[axis:]
    constants = [b.constant("gamma", draw.rng.normal(1, 0.4, shape).astype(np.float32))]
    if draw.chance(0.7):
        constants.append(b.constant("beta", draw.rng.normal(0, 0.5, shape).astype(np.float32)))
    epsilon = float(draw.rng.choice([1e-5, 1e-3]))
    operand = b.dequantised(x)
    result = b.node("LayerNormalization", [operand, *constants], axis=axis, epsilon=epsilon)
    if b.opset < LAYER_OPSET or (axis == -1 and draw.chance(0.3)):
        b.nodes.pop()
        _elementary(draw, operand, result, rank, constants, epsilon)
    return b.quantised(result, x.shape)


ROWWISE: dict[str, Drawn] = {"softmax": softmax, "layernorm": layernorm}

__all__ = ["ROWWISE", "Parts"]
