"""Binary and Reduction nodes in plain numpy, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.network import NUMPY_TYPES, Network, Node

F = np.float32


def binary(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Binary node."""
    a = node.attrs
    assert isinstance(a, Binary)
    y = graph.tensors[node.outputs[0]]
    arrays = [values[name] for name in node.inputs]
    if a.constant is not None:
        arrays.insert(0 if a.constant_first else 1, a.constant)
    scales = np.broadcast_to(a.a_scale.astype(F), (y.shape[1],))[None, :, None, None]
    p = (arrays[0].astype(np.int64) - a.a_zero).astype(F) * scales
    q = (arrays[1].astype(np.int64) - a.b_zero).astype(F) * F(a.b_scale)
    combined = {"add": p + q, "mul": p * q, "min": np.where(p < q, p, q), "max": np.where(p > q, p, q)}[a.kind]
    value = combined.astype(F) / F(a.y_scale)
    return np.clip(np.rint(value.astype(np.float64)) + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[y.dtype])


def reduction(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of a Reduction node."""
    a = node.attrs
    assert isinstance(a, Reduction)
    sums = (values[node.inputs[0]].astype(np.int64) - a.x_zero).sum(axis=a.axes, keepdims=True)
    scale = F(F(a.x_scale) / F(F(a.y_scale) * F(a.divisor)))
    value = sums.astype(np.int32).astype(F) * scale
    return np.clip(np.rint(value.astype(np.float64)) + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[graph.tensors[node.outputs[0]].dtype])
