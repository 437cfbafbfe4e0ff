"""A Gemm with a computed third operand becomes a product and an addition of the same numbers; one with a constant stays."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.front.reading.load import definition, prepare_model
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

#: Whole numbers, so that the order of a sum changes nothing.
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("attributes", [{}, {"alpha": 3.0, "beta": 5.0}, {"transB": 1, "beta": -2.0}, {"transA": 1, "beta": 0.0}])
@pytest.mark.parametrize("shape", [(2, 5), (5,), (1, 5), (2, 1), (1,)])
def test_the_numbers_stay(shape, attributes):
    a = RNG.integers(-9, 9, (8, 2) if "transA" in attributes else (2, 8)).astype(np.float32)
    b = RNG.integers(-9, 9, (5, 8) if "transB" in attributes else (8, 5)).astype(np.float32)
    nodes = [node("Relu", "c", "r"), node("Gemm", "a b r", "g", **attributes), node("Neg", "g", "y")]
    model = model_of(nodes, {"a": (F32, a.shape), "c": (F32, shape)}, {"y": (F32, (2, 5))}, {"b": b})
    written, _ = prepare_model(model)
    kinds = [item.op_type for item in written.graph.node]
    assert kinds == ["Relu", "Gemm", *(["Mul"] if "beta" in attributes else []), "Add", "Neg"]
    assert [len(item.input) for item in written.graph.node if item.op_type == "Gemm"] == [2]
    samples = {"a": a, "c": RNG.integers(-9, 9, shape).astype(np.float32)}
    np.testing.assert_array_equal(Golden(written).run(samples)["y"], Golden(model).run(samples)["y"])


def test_a_constant_stays_the_bias():
    """However it is written: an initializer, dequantised, computed from constants; a graph input is none."""
    constants = {**parameters(c=(0.5, np.int8(0))), "b": np.ones((8, 5), np.float32), "q": np.ones(5, np.int8), "k": np.ones(5, np.float32)}
    nodes = [
        node("Gemm", "a b k", "g1"), dequantize("q", "d", "c"), node("Gemm", "a b d", "g2"), node("Neg", "d", "n"), node("Gemm", "a b n", "g3"),
        node("Gemm", "a b", "g4"), node("Gemm", "a b c", "g5"), node("Sum", "g1 g2 g3 g4 g5", "y"),
    ]
    model = model_of(nodes, {"a": (F32, (2, 8)), "c": (F32, (5,))}, {"y": (F32, (2, 5))}, constants)
    written, _ = prepare_model(model)
    assert [(item.name, len(item.input)) for item in written.graph.node if item.op_type == "Gemm"] == [
        ("n_g1", 3), ("n_g2", 3), ("n_g3", 3), ("n_g4", 2), ("n_g5", 2),
    ]


@pytest.mark.parametrize(("shape", "beta"), [((2, 5), 1.0), ((5,), 1.0), ((1, 5), -0.5), ((2, 1), 2.0)])
def test_the_definition_adds_in_float32(shape, beta):
    """Both witnesses of a quantised one, which onnxruntime computes in float: at most a step apart, rarely."""
    rng = np.random.default_rng(7)
    constants = {**parameters(x=(0.05, 120), c=(0.02, 100), y=(0.04, 130), w=(0.01, np.int8(0))), "w": rng.integers(-127, 128, (8, 5)).astype(np.int8)}
    nodes = [dequantize("x", "a", "x"), dequantize("c", "b", "c"), dequantize("w", "d", "w"), node("Gemm", "a d b", "g", beta=beta), quantize("g", "y", "y")]
    model = model_of(nodes, {"x": (U8, (2, 8)), "c": (U8, shape)}, {"y": (U8, (2, 5))}, constants)
    samples = {"x": rng.integers(0, 256, (2, 8), np.uint8), "c": rng.integers(0, 256, shape, np.uint8)}
    got, expected = Reference(definition(model)).run(samples)["y"], Golden(model).run(samples)["y"]
    sums = (samples["x"].astype(np.int64) - 120) @ constants["w"].astype(np.int64)
    addend = np.float32(beta) * ((samples["c"].astype(np.float32) - 100) * np.float32(0.02))
    numbers = sums.astype(np.float32) * (np.float32(0.05) * np.float32(0.01)) + addend
    np.testing.assert_array_equal(got, np.clip(np.rint(numbers / np.float32(0.04)) + 130, 0, 255).astype(np.uint8))
    assert np.abs(got.astype(int) - expected).max() <= 1 and np.mean(got != expected) <= 0.2
