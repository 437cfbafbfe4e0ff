"""Interpolation nodes in plain numpy integers, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir.interpolation import Interpolation
from compiler.ir.network import NUMPY_TYPES, Network, Node


def interpolated(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of an Interpolation node."""
    a, y = node.attrs, graph.tensors[node.outputs[0]]
    assert isinstance(a, Interpolation)
    x = np.zeros(1, np.int64)
    for name, zero in reversed(list(zip(node.inputs, a.zeros, strict=True))):
        x = 256 * x + values[name].astype(np.int64) - zero
    number = np.einsum("oc,nchw->nohw", a.weights.astype(np.int64), x, optimize=True).astype(np.float32)
    if a.part:
        counted = np.rint(number.astype(np.float64) / 2**a.shift).astype(np.int64) + a.offset
        assert counted.min() >= 0 and counted.max() < 65536
        return (counted // 256 if a.part == "high" else counted % 256).astype(np.uint8)
    steps = np.rint((number * np.float32(a.scale)).astype(np.float64))
    return np.clip(steps + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[y.dtype])
