"""Constant weights of a product: integers whose output channels stand first, the scale of each channel, the zero point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.constraints import constant_weights, one_weight_zero, positive_weight_scale, scales_along_outputs
from compiler.front.state.step import Step
from compiler.front.state.values import RealConst


@dataclass(frozen=True, eq=False)
class Weights:
    """`array` (OC, ..) of int8 or uint8, `scale` float32 (OC,) or (1,), `zero` of all channels."""

    array: np.ndarray
    scale: np.ndarray
    zero: int


def weights_of(step: Step, value: object, described: str) -> Weights:
    """Return constant weights whose output channels are their first axis; `described` is what they are, for a message."""
    step.require(constant_weights, value, found=described)
    assert isinstance(value, RealConst)
    step.require(one_weight_zero, value.zero, found=f"zero points from {value.zero.min()} to {value.zero.max()}")
    scale = value.scale.astype(np.float32)
    step.require(positive_weight_scale, scale, found=f"{scale.min()}")
    step.require(scales_along_outputs, scale.shape, found=f"scales of shape {scale.shape} for weights of shape {value.shape}, output channels first")
    return Weights(value.array, scale.reshape(-1), int(value.zero.flat[0]))
