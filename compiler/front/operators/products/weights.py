"""Constant weights of a product: integers whose output channels stand first, the scale of each channel, the zero point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from compiler.front.constraints import constant_weights, usable_weight_scale
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import RealConst


@dataclass(frozen=True, eq=False)
class Weights:
    """`array` (OC, ..) of int8 or uint8 (or int16, see `_beside_zeros`), `zero` of all channels, `scale` float32 (OC,) or (1,).

    Where scales vary along the reduction, `part` is the number of the set of positions with the same scales that each position is in, in the order of
    their first positions, and `scale` is (sets, OC).
    """

    array: np.ndarray
    scale: np.ndarray
    zero: int
    part: np.ndarray | None = None

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Weights:
        """Return the weights with their positions moved; `move` does it to an array of their shape, and to one of a single channel."""
        part = None if self.part is None else move(self.part[None])[0]
        return replace(self, array=np.ascontiguousarray(move(self.array)), part=part)


def weights_of(node: OnnxNode, value: object, described: str) -> Weights:
    """Return constant weights whose output channels are their first axis; `described` is what they are, for a message."""
    node.require(constant_weights, value, found=described)
    assert isinstance(value, RealConst)
    scale = value.scale.astype(np.float32)
    node.require(usable_weight_scale, scale, found=f"{scale.min()}")
    array, zero = _beside_zeros(value.array, value.zero)
    if all(size == 1 for size in scale.shape[1:]):
        return Weights(array, scale.reshape(-1), zero)
    columns = np.broadcast_to(scale, value.shape).reshape(len(array), -1).T
    distinct = dict.fromkeys(column.tobytes() for column in columns)
    numbers = {column: number for number, column in enumerate(distinct)}
    part = np.array([numbers[column.tobytes()] for column in columns]).reshape(value.shape[1:])
    return Weights(array, np.stack([np.frombuffer(column, np.float32) for column in distinct]), zero, part)


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
