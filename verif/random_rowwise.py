"""Random operators that reduce whole axes into a normalised tensor, drawn onto a network that `verif.random_networks` builds.

    softmax     Softmax along any axis
    layernorm   LayerNormalization over the last axes, or over the last one as elementary operators
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from verif.network_builder import Activation

Drawn = Callable[[Any, Activation], Activation]
#: The operator LayerNormalization exists from this opset on; from the next on ReduceMean takes its axes as an input.
LAYER_OPSET, AXES_OPSET = 17, 18


def softmax(draw: Any, x: Activation) -> Activation:
    """Softmax along any axis, counted from either end; its result has the usual scale of 1/256 now and then."""
    b, rank = draw.b, len(x.shape)
    axis = draw.integer(0, rank - 1) - (rank if draw.chance(0.5) else 0)
    result = b.node("Softmax", [b.dequantised(x)], axis=axis)
    if draw.chance(0.5):
        return b.quantised(result, x.shape, lowest_zero=True)
    dtype = b.dtype()
    scale, zero = np.float32(1 / 256), int(np.iinfo(dtype).min)
    names = b.constant("scale", scale), b.constant("zero", np.array(zero, dtype))
    return Activation(b.node("QuantizeLinear", [result, *names]), x.shape, *names, scale, zero, dtype)


def _elementary(draw: Any, x: str, result: str, rank: int, constants: list[str], epsilon: float) -> None:
    """Append the operators that a LayerNormalization over the last axis is made of."""
    b = draw.b

    def add(op: str, inputs: list[str], out: str = "", **attributes: Any) -> str:
        out = out or b.fresh(op.lower())
        b.nodes.append(helper.make_node(op, inputs, [out], name=f"node_{out}", **attributes))
        return out

    def mean(name: str) -> str:
        axis = draw.integer(0, 1) * rank - 1
        if b.opset < AXES_OPSET:
            return add("ReduceMean", [name], axes=[axis], keepdims=1)
        return add("ReduceMean", [name, b.constant("axes", np.array([axis]))], keepdims=1)

    centred = add("Sub", [x, mean(x)])
    square = add("Mul", [centred, centred]) if draw.chance(0.5) else add("Pow", [centred, b.constant("two", np.float32(2))])
    root = add("Sqrt", [add("Add", [mean(square), b.constant("epsilon", np.float32(epsilon))])])
    last = add("Div", [centred, root], out="" if constants else result)
    for number, constant in enumerate(constants):
        op, at_end = ("Mul", "Add")[number], number == len(constants) - 1
        last = add(op, [last, constant] if draw.chance(0.5) else [constant, last], out=result if at_end else "")


def layernorm(draw: Any, x: Activation) -> Activation:
    """LayerNormalization with a scale and, mostly, a bias."""
    b, rank = draw.b, len(x.shape)
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

__all__ = ["ROWWISE"]
