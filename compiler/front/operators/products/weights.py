"""Constant weights of a product: integers whose output channels stand first, the scale of each channel, the zero point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.constraints import constant_weights, positive_weight_scale, scales_along_outputs
from compiler.front.state.step import Step
from compiler.front.state.values import RealConst


@dataclass(frozen=True, eq=False)
class Weights:
    """`array` (OC, ..) of int8 or uint8 (or int16, see `_beside_zeros`), `scale` float32 (OC,) or (1,), `zero` of all channels."""

    array: np.ndarray
    scale: np.ndarray
    zero: int


def weights_of(step: Step, value: object, described: str) -> Weights:
    """Return constant weights whose output channels are their first axis; `described` is what they are, for a message."""
    step.require(constant_weights, value, found=described)
    assert isinstance(value, RealConst)
    scale = value.scale.astype(np.float32)
    step.require(positive_weight_scale, scale, found=f"{scale.min()}")
    step.require(scales_along_outputs, scale.shape, found=f"scales of shape {scale.shape} for weights of shape {value.shape}, output channels first")
    array, zero = _beside_zeros(value.array, value.zero)
    return Weights(array, scale.reshape(-1), zero)


def _beside_zeros(array: np.ndarray, zero: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (integers, one zero point) of weights whose zero points may differ.

    Where they do the weights are what is left of them beside their zero points: bytes where these are within 256 neighbours, else int16.
    """
    if bool(np.all(zero == zero.flat[0])):
        return array, int(zero.flat[0])
    values = array.astype(np.int16) - zero.astype(np.int16)
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low >= -128 and high <= 127:
        return values.astype(np.int8), 0
    return ((values - low).astype(np.uint8), -low) if high - low <= 255 else (values, 0)
