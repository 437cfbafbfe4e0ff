"""Combinations of tensors, reductions, normalisations: the definition against onnxruntime, element by element.

Measured with onnxruntime 1.32 on the networks of these tests (each test prints its own count):

    Sub, Min, Max, PRelu, constants of float32, decomposed activations    equal
    Add, Mul                                                              equal, or one step at exact halves
    Sum, Mean, additions with nothing between; Div by a tensor            equal, or one step at exact halves
    BatchNormalization                                                    1 in 1,000 by one step: the addend is rounded to 1/255 step
    ReduceMean, ReduceSum                                                 one step at exact halves: onnxruntime sums float32 numbers
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.elementwise import ELEMENTWISE
from verif.random.networks import random_inputs, random_network
from verif.reference import Reference

#: Elements that may differ, one in so many; None: none at all.
LIMITS = {"batchnorm": 200, "combine": 5000, "excite": 5000, "constant": 2000, "reduce": 100, "activation": 5000, "several": None, "prelu": None,
          "sums": 5000, "quotient": 5000}  # fmt: skip


def steps(model, inputs) -> np.ndarray:
    """Steps between the definition and onnxruntime, all outputs in one array."""
    ours, theirs = Reference(model).run(inputs), Golden(model).run(inputs)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    found = []
    for name, array in ours.items():
        assert (array.dtype, array.shape) == (theirs[name].dtype, theirs[name].shape)
        writer = next(n for n in model.graph.node if n.output[0] == name)
        step = float(constants[writer.input[1]]) if writer.op_type == "DequantizeLinear" else 1.0
        found.append(np.rint(np.abs(array.astype(np.float64) - theirs[name]) / step).ravel())
    return np.concatenate(found)


@pytest.mark.parametrize("op", list(ELEMENTWISE))
def test_networks(op):
    found = []
    for seed in range(60):
        model = random_network(seed, ops=(op,), form="qdq", max_nodes=1, mixed_types=False, weight_bits=7, activations=("relu",))
        found.append(steps(model, random_inputs(model, seed, samples=2)))
    every = np.concatenate(found)
    print(f"{op}: {int((every != 0).sum())} of {every.size} elements differ")
    assert every.size > 1000
    assert every.max() <= 1
    assert (every != 0).sum() <= (0 if LIMITS[op] is None else max(1, every.size // LIMITS[op]))


@pytest.mark.parametrize("op", ["QLinearMul", "QLinearAdd"])
def test_qlinear_combinations(op):
    rng = np.random.default_rng(5)
    scales = [np.float32(s) for s in rng.uniform(0.01, 0.04, 3)]
    constants = parameters(x=(scales[0], 120), v=(scales[1], 140), y=(scales[2] * 3, 115))
    model = model_of([node(op, "x sx zx v sv zv sy zy", "y", domain="com.microsoft")], {"x": (U8, (2, 9, 8, 8)), "v": (U8, (2, 9, 1, 1))},
                     {"y": (U8, (2, 9, 8, 8))}, constants)  # fmt: skip
    found = steps(model, random_inputs(model, 1, samples=16))
    print(f"{op}: {int((found != 0).sum())} of {found.size} elements differ")
    assert found.max() <= 1
    assert (found != 0).sum() <= found.size // 2000


@pytest.mark.parametrize(("op", "attributes"), [("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.1})])
def test_qlinear_functions(op, attributes):
    constants = parameters(x=(0.031, 120), y=(0.0117, 20))
    model = model_of([node(op, "x sx zx sy zy", "y", domain="com.microsoft", **attributes)], {"x": (U8, (1, 256))}, {"y": (U8, (1, 256))}, constants)
    assert steps(model, {"x": np.arange(256, dtype=np.uint8)[None]}).max() == 0


def test_division_by_hand():
    # x' = (7 - 3) * 0.5 = 2; by one number: 2 / 3 / 0.25 = 2.67; a channel: 2 * float32(1 / 3) / 0.25 = 2.67, 2 * 1 / 4 / 0.25 = 2.
    constants = {**parameters(x=(0.5, 3), y=(0.25, 10)), "one": np.float32(3), "two": np.float32([3, 4]).reshape(2, 1, 1)}
    for divisor, expected in (("one", [13, 13]), ("two", [13, 12])):
        nodes = [dequantize("x", "d", "x"), node("Div", f"d {divisor}", "q"), quantize("q", "y", "y")]
        model = model_of(nodes, {"x": (U8, (1, 2, 1, 1))}, {"y": (U8, (1, 2, 1, 1))}, constants)
        assert Reference(model).run({"x": np.full((1, 2, 1, 1), 7, np.uint8)})["y"].ravel().tolist() == expected


def test_batch_normalization_by_hand():
    # k = 2 / sqrt(3.99999 + 1e-5) = 1, d = 1 - 0.5 * 1 = 0.5; x' = (7 - 3) * 0.5 = 2; (2 * 1 + 0.5) / 0.25 = 10. With gamma 0: d = 1, 4.
    constants = {**parameters(x=(0.5, 3), y=(0.25, 10)), "g": np.float32([2, 0]), "b": np.float32([1, 1]), "m": np.float32([0.5, 9]),
                 "v": np.float32([3.99999, 1])}  # fmt: skip
    nodes = [dequantize("x", "d", "x"), node("BatchNormalization", "d g b m v", "n"), quantize("n", "y", "y")]
    model = model_of(nodes, {"x": (U8, (1, 2, 1, 1))}, {"y": (U8, (1, 2, 1, 1))}, constants)
    assert Reference(model).run({"x": np.full((1, 2, 1, 1), 7, np.uint8)})["y"].ravel().tolist() == [20, 14]


def test_reductions_by_hand():
    # x - 3 = [[1, 2], [3, 6]], times 0.5: means of rows 0.75, 2.25; sum of all 6; largest of columns 3, 6 -> 1.5, 3.
    x = np.array([[[4, 5], [6, 9]]], np.uint8)
    constants = {**parameters(x=(0.5, 3), y=(0.25, 10)), "all": np.array([1, 2], np.int64)}
    cases = {"mean": (node("ReduceMean", "d", "r", axes=[-1], keepdims=0), (1, 2), [13, 19]),
             "sum": (node("ReduceSum", "d all", "r"), (1, 1, 1), [34]), "max": (node("ReduceMax", "d", "r", axes=[1]), (1, 1, 2), [16, 22])}  # fmt: skip
    for reduced, shape, expected in cases.values():
        model = model_of([dequantize("x", "d", "x"), reduced, quantize("r", "y", "y")], {"x": (U8, (1, 2, 2))}, {"y": (U8, shape)}, constants)
        assert Reference(model).run({"x": x})["y"].ravel().tolist() == expected


def test_a_cast_to_integers_is_refused():
    nodes = [dequantize("x", "d", "x"), node("Cast", "d", "c", to=6), node("Cast", "c", "y", to=1)]
    model = model_of(nodes, {"x": (U8, (1, 2))}, {"y": (F32, (1, 2))}, parameters(x=(0.5, 3)))
    with pytest.raises(ValueError, match="found a cast to another type"):
        Reference(model).run({"x": np.zeros((1, 2), np.uint8)})
