"""BatchNormalization: one factor and one addend a channel.

After a product with constant weights that is not quantised yet they join its scales and its bias, as do Mul, Div and Add of one constant a channel
(which training with simulated quantisation leaves around a BatchNormalization). On its own it is a depthwise
convolution whose weights are all 255 steps of 1/255, so that the addend is rounded to 1/255 of a step of its input's integers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.constraints import finite_constant, inference_only, one_value_a_channel, quantised_operand
from compiler.front.operators.products.linear import Product
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Const, Pending, Real, RealConst, Value

#: The weight that stands for 1.
UNIT = 255


def factors(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return (factor, addend) a channel, float64: scale / sqrt(var + epsilon) and bias - mean * factor."""
    scale, bias, mean, variance = (np.asarray(step.constant(i), np.float64).reshape(-1) for i in range(1, 5))
    factor = scale / np.sqrt(variance + step.attribute("epsilon", 1e-5))
    return factor, bias - mean * factor


def _affine(step: Step, value: Pending, factor: np.ndarray, addend: np.ndarray) -> Pending:
    assert value.bias is not None and value.bias.affine is not None
    return replace(value.bias.affine(step, factor, addend), origin=(*value.origin, step.label))


def a_channel(step: Step) -> Pending | None:
    """Return Mul, Div or Add of a product and one constant a channel, its channels being the second axis; None where the node is none of these."""
    if step.op not in ("Add", "Div", "Mul") or len(step.values) != 2:
        return None
    value, constant = step.values
    if step.op != "Div" and isinstance(constant, Pending):
        value, constant = constant, value
    if not isinstance(value, Pending) or not isinstance(constant, Const | RealConst) or value.bias is None or value.bias.affine is None:
        return None
    channels, rank, own = value.bias.channels, len(value.shape), tuple(constant.shape)
    fits = rank > 1 and rank - value.bias.axis_from_end == 1 and channels > 1 and own[max(len(own) - rank + 1, 0) :] == (channels, *[1] * (rank - 2))
    if not fits or constant.array.size != channels or len(own) > rank or (step.op == "Add" and value.bias.add is not None):
        return None
    numbers = (constant.real() if isinstance(constant, RealConst) else constant.array).astype(np.float64).reshape(-1)
    one = np.ones(channels)
    if step.op == "Add":
        return _affine(step, value, one, numbers)
    with np.errstate(divide="ignore"):
        factor = numbers if step.op == "Mul" else 1 / numbers
    step.require(finite_constant, factor, found=f"a number that is infinite in {step.op} by a constant of shape {own}")
    return _affine(step, value, factor, 0 * one)


def batch_normalization(step: Step) -> list[Value]:
    """BatchNormalization of a dequantised tensor, or of the float result of a product."""
    value = step.value(0)
    step.require(inference_only, step.attribute("training_mode", 0), len([o for o in step.node.output if o]), found="a training mode")
    factor, addend = factors(step)
    if isinstance(value, Pending) and value.bias is not None and value.bias.affine is not None and len(value.shape) > 1:
        channels = value.bias.channels
        fits = factor.size == channels and len(value.shape) - value.bias.axis_from_end == 1
        step.require(one_value_a_channel, fits, found=f"{factor.size} values for a result of shape {value.shape}")
        return [_affine(step, value, factor, addend)]
    if not isinstance(value, Real):
        step.refuse(quantised_operand, step.describe(0))
    fits = len(value.shape) > 1 and factor.size == value.shape[1]
    step.require(one_value_a_channel, fits, found=f"{factor.size} values for an input of shape {value.shape}")
    view = default_view(value.shape)
    unit = Product(
        step=step, tensor=value.tensor, view=view, x_scale=value.scale, x_zero=value.zero,
        weight=np.full((view[1], 1, 1, 1), UNIT, np.uint8), w_scale=np.array([1 / UNIT], np.float32), w_zero=0, out_view=view,
        shape=value.shape, axis_from_end=len(value.shape) - 1, group=view[1],
    )  # fmt: skip
    return [unit.with_affine(step, factor, addend).pending()]


__all__ = ["a_channel", "batch_normalization"]
