"""Weights as files have them: behind movements, shared. Bytes equal the definition, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from tests.support.products import check

SCALES = np.random.default_rng(5).uniform(0.004, 0.02, 6).astype(np.float32)


def matrix(movement, *, scale=SCALES, **attributes):
    """MatMul of x (5, 8) and weights that `movement` (nodes from w's dequantised "d" to "m", their constants) makes (8, 6) of."""
    stored, nodes, constants = movement
    rng = np.random.default_rng(8)
    constants = {
        **parameters(x=(0.02, 128), w=(scale, np.zeros(np.shape(scale), np.int8)), y=(0.05, 120)), "w": rng.integers(-128, 128, stored, np.int8), **constants,
    }
    nodes = [dequantize("x", "xd", "x"), dequantize("w", "d", "w", **attributes), *nodes, node("MatMul", "xd m", "p"), quantize("p", "y", "y")]
    return model_of(nodes, {"x": (U8, (5, 8))}, {"y": (U8, (5, 6))}, constants, opset=21)


@pytest.mark.parametrize(("movement", "axis"), [
    (((6, 8), [node("Transpose", "d", "m")], {}), 0),
    (((6, 8), [node("Identity", "d", "i"), node("Transpose", "i", "m")], {}), 0),
    (((1, 8, 6, 1), [node("Squeeze", "d", "m")], {}), 2),
    (((8, 2, 3), [node("Reshape", "d s", "m")], {"s": np.array([8, 6])}), None),
    (((1, 8, 6), [node("Reshape", "d s", "m")], {"s": np.array([8, 6])}), -1),
    (((2, 4, 6), [node("Flatten", "d", "m", axis=2)], {}), 2),
    (((8, 6), [node("Unsqueeze", "d a", "u"), node("Squeeze", "u a", "m")], {"a": np.array([0])}), 1),
    (((8, 6), [node("Gather", "d i", "m", axis=1)], {"i": np.array([5, 0, 1, 1, 2, 4])}), 1),
    (((20, 6), [node("Slice", "d b e", "m")], {"b": np.array([3]), "e": np.array([11])}), 1),
    (((4, 6), [node("Concat", "d d", "m", axis=0)], {}), 1),
    (((4, 6), [node("Tile", "d t", "m")], {"t": np.array([2, 1])}), 1),
    (((8, 1), [node("Expand", "d t", "m")], {"t": np.array([8, 6])}), None),
])  # fmt: skip
def test_movements_of_weights(movement, axis):
    attributes = {"scale": np.float32(0.01)} if axis is None else {"axis": axis}
    check(matrix(movement, **attributes), iss=movement[1][0].op_type in ("Transpose", "Gather"))


def test_packed_projections():
    """One constant of three projections, split: each has its own scales."""
    rng = np.random.default_rng(1)
    scales = rng.uniform(0.004, 0.02, 18).astype(np.float32)
    constants = {
        **parameters(x=(0.02, 128), w=(scales, np.zeros(18, np.int8)), y=(0.05, 120)), "w": rng.integers(-128, 128, (8, 18), np.int8), "parts": np.array([6, 4, 8]),
    }
    split = node("Split", "w_ parts", "q", axis=1)
    split.output.extend(["k", "v"])
    nodes = [dequantize("x", "xd", "x"), dequantize("w", "w_", "w", axis=1), split, node("MatMul", "xd v", "p"), quantize("p", "y", "y")]
    check(model_of(nodes, {"x": (U8, (5, 8))}, {"y": (U8, (5, 8))}, constants, opset=21))


def test_weights_shared_by_two_products():
    """A matrix that two products read, one of them its transpose."""
    rng = np.random.default_rng(2)
    constants = {**parameters(x=(0.02, 128), w=(0.01, np.int8(3)), y=(0.05, 120)), "w": rng.integers(-128, 128, (8, 8), np.int8)}
    nodes = [
        dequantize("x", "xd", "x"), dequantize("w", "w_", "w"), node("MatMul", "xd w_", "p"), quantize("p", "q", "y"), dequantize("q", "r", "y"),
        node("Gemm", "r w_", "g", transB=1), quantize("g", "y", "y"),
    ]
    check(model_of(nodes, {"x": (U8, (5, 8))}, {"y": (U8, (5, 8))}, constants))
