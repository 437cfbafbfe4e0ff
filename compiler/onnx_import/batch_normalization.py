"""BatchNormalization: one factor and one addend a channel.

After a product with constant weights that is not quantised yet they join its scales and its bias. On its own it is a depthwise
convolution whose weights are all 255 steps of 1/255, so that the addend is rounded to 1/255 of a step of its input's integers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.constraints import inference_only, one_value_a_channel, quantised_operand
from compiler.onnx_import.builder import default_view
from compiler.onnx_import.linear import Product
from compiler.onnx_import.step import Step
from compiler.onnx_import.values import Pending, Real, Value

#: The weight that stands for 1.
UNIT = 255


def factors(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return (factor, addend) a channel, float64: scale / sqrt(var + epsilon) and bias - mean * factor."""
    scale, bias, mean, variance = (np.asarray(step.constant(i), np.float64).reshape(-1) for i in range(1, 5))
    factor = scale / np.sqrt(variance + step.attribute("epsilon", 1e-5))
    return factor, bias - mean * factor


def batch_normalization(step: Step) -> list[Value]:
    """BatchNormalization of a dequantised tensor, or of the float result of a product."""
    value = step.value(0)
    step.require(inference_only, step.attribute("training_mode", 0), len([o for o in step.node.output if o]), found="a training mode")
    factor, addend = factors(step)
    if isinstance(value, Pending) and value.bias is not None and value.bias.affine is not None and len(value.shape) > 1:
        channels = value.bias.channels
        fits = factor.size == channels and len(value.shape) - value.bias.axis_from_end == 1
        step.require(one_value_a_channel, fits, found=f"{factor.size} values for a result of shape {value.shape}")
        return [replace(value, emit=value.bias.affine(step, factor, addend), bias=None, origin=(*value.origin, step.label))]
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


__all__ = ["batch_normalization"]
