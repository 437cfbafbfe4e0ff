"""LRN, GroupNormalization, RMSNormalization and its parts in plain numpy float32, written for the tests alone."""

from __future__ import annotations

import numpy as np

from compiler.ir.network import NUMPY_TYPES, Network, Node
from compiler.ir.normalise import LRN, GroupNormalization, MeanSquare, RMSNormalization, RootQuotient
from tests.compiler.ir_rowwise_reference import about_mean, one_over_root, reciprocal

F = np.float32
NORMALISING = (LRN, GroupNormalization, RMSNormalization, MeanSquare, RootQuotient)


def _lrn(a: LRN, d: np.ndarray) -> np.ndarray:
    squares = (d.astype(np.int64) ** 2).cumsum(1)
    squares = np.concatenate([np.zeros_like(squares[:, :1]), squares], 1)
    first, last = a.window(d.shape[1])
    v = (squares[:, last + 1] - squares[:, first]).astype(np.int32).astype(F) * F(a.factor) + F(a.bias)
    power = reciprocal(v) if a.beta == 1 else one_over_root(v)
    if a.beta == 0.75:
        power = power * one_over_root(v * power)
    return (d.astype(F) * F(a.x_scale)) * power


def _group_normalization(a: GroupNormalization, x: np.ndarray, d: np.ndarray) -> np.ndarray:
    rows = d.reshape(d.shape[0], a.groups, -1).astype(np.int64)
    n = rows.shape[2]
    total = rows.sum(2, keepdims=True).astype(np.int32).astype(F)
    upper, lower = ((part.sum(2, keepdims=True)).astype(np.int32).astype(F) for part in (rows * rows // 255, rows * rows % 255))
    mean, spread, part = about_mean(total, F(255) * upper + lower, n, a.x_zero, np.iinfo(x.dtype))
    r = one_over_root(np.maximum(spread * part + F(a.epsilon_steps), F(a.epsilon_steps)))
    r, mean = (np.repeat(each.reshape(d.shape[0], a.groups), d.shape[1] // a.groups, 1)[:, :, None, None] for each in (r, mean))
    m = r * a.gamma[:, None, None]
    return d.astype(F) * m + (a.beta[:, None, None] - mean * m)


def normalised(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    """Result of one of these nodes."""
    a, y, x = node.attrs, graph.tensors[node.outputs[0]], values[node.inputs[0]]
    assert isinstance(a, NORMALISING)
    d = x.astype(np.int32) - a.x_zero
    total = (d.astype(np.int64) ** 2).sum(1, keepdims=True).astype(np.int32)
    with np.errstate(over="ignore"):
        if isinstance(a, LRN):
            result = _lrn(a, d)
        elif isinstance(a, GroupNormalization):
            result = _group_normalization(a, x, d)
        elif isinstance(a, MeanSquare):
            result = total.astype(F) * F(a.x_scale**2 / d.shape[1])
        elif isinstance(a, RMSNormalization):
            result = (d.astype(F) * a.gamma[:, None, None]) * one_over_root(total.astype(F) * (F(1) / F(d.shape[1])) + F(a.epsilon_steps))
        else:
            e = (values[node.inputs[1]].astype(np.int32) - a.e_zero).astype(F) * F(a.e_scale)
            result = (d.astype(F) * F(a.x_scale)) * one_over_root(np.maximum(e, F(2.0**-64)))
        steps = np.rint((result / F(a.y_scale)).astype(np.float64))
    return np.clip(steps + a.y_zero, a.y_low, a.y_high).astype(NUMPY_TYPES[y.dtype])
