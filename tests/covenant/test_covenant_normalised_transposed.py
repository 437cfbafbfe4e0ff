"""Normalisations that an optimiser moved a Transpose into: bytes equal the definition, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from compiler.front.rewrite.hoist_transposes import hoist_transposes
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference
from verif.reference.recognise.raised import raised

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}


def check(model, machine="edge16"):
    """Definition, IR and program give the same bytes, the onnxruntime's at most a step away; returns the IR."""
    inputs, graph = random_inputs(model, 5), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert check_program(graph, compile_network(graph, GRAPHS[machine]), GRAPHS[machine], inputs) > 0
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1
    assert len(np.unique(expected)) > 4
    return graph


def mean(x, y, axis, opset=17):
    return node("ReduceMean", f"{x} a{axis % 9}", y) if opset >= 18 else node("ReduceMean", x, y, axes=[axis])


def parts(opset):
    """As PaddleOCR's recognition networks have it: the variance quantised twice, the transposition between Sub and what reads it."""
    shape, out = (2, 12, 5), (2, 5, 12)
    nodes = [
        dequantize("x", "d", "x"), mean("d", "m", 1, opset), node("Sub", "d m", "c"), node("Transpose", "c", "t", perm=[0, 2, 1]),
        node("Pow", "t two", "p"), mean("p", "v", -1, opset), quantize("v", "qv", "v"), dequantize("qv", "dv", "v"), node("Add", "dv eps", "e"),
        quantize("e", "qe", "e"), dequantize("qe", "de", "e"), node("Sqrt", "de", "s"), node("Div", "t s", "n"), quantize("n", "y", "y"),
    ]  # fmt: skip
    constants = {**parameters(x=(0.0113, 127), v=(0.004, 0), e=(0.004, 0), y=(0.0157, 121)), "two": np.float32(2), "eps": np.float32(0.01),
                 "a1": np.array([1]), "a8": np.array([-1])}  # fmt: skip
    return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, constants, opset=opset)


def whole(perm, axis):
    """A whole LayerNormalization with nothing quantised in between; the epsilon is added after the transposition."""
    shape = (2, 12, 5, 3)
    out = tuple(shape[p] for p in perm)
    nodes = [
        dequantize("x", "d", "x"), mean("d", "m", axis), node("Sub", "d m", "c"), node("Transpose", "c", "t", perm=perm), node("Mul", "t t", "p"),
        mean("p", "v", -1), node("Add", "v eps", "e"), node("Sqrt", "e", "s"), node("Div", "t s", "n"), node("Mul", "n gamma", "g"),
        node("Add", "g beta", "b"), quantize("b", "y", "y"),
    ]  # fmt: skip
    rng = np.random.default_rng(axis)
    constants = {**parameters(x=(0.0113, 127), y=(0.0197, 121)), "eps": np.float32(1e-5),
                 "gamma": rng.uniform(0.5, 1.5, out[-1]).astype(np.float32), "beta": rng.normal(0, 0.3, out[-1]).astype(np.float32)}  # fmt: skip
    return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, constants)


@pytest.mark.parametrize("opset", [17, 18])
def test_parts_of_a_layer_normalization(opset):
    kinds = {type(n.attrs).__name__ for n in check(parts(opset), "tiny" if opset == 17 else "edge16").nodes}
    assert {"Variance", "CentredQuotient"} <= kinds and "Reduction" not in kinds


@pytest.mark.parametrize(("perm", "axis"), [((0, 2, 3, 1), 1), ((3, 0, 1, 2), 2)])
def test_a_whole_layer_normalization(perm, axis):
    assert "LayerNormalization" in {type(n.attrs).__name__ for n in check(whole(perm, axis)).nodes}


def test_what_is_only_quantised_stays():
    nodes = [dequantize("x", "d", "x"), mean("d", "m", 1), node("Transpose", "m", "t", perm=[0, 2, 1]), quantize("t", "y", "y")]
    model = model_of(nodes, {"x": (U8, (2, 6, 5))}, {"y": (U8, (2, 5, 1))}, parameters(x=(0.0113, 127), y=(0.0057, 121)))
    inferred = onnx.shape_inference.infer_shapes(model)
    assert hoist_transposes(inferred) is inferred
    check(model)


def test_floats_keep_their_values():
    """Both rewritings are valid networks, and on onnxruntime they give what the original gives there (its sums have another order: a step)."""
    for model in (parts(17), parts(18), whole((0, 2, 3, 1), 1)):
        inferred = onnx.shape_inference.infer_shapes(model)
        inputs = random_inputs(model, 7)
        expected = Golden(model).run(inputs)["y"]
        for changed in (hoist_transposes(inferred), raised(model)):
            assert [n.op_type for n in changed.graph.node] != [n.op_type for n in model.graph.node]
            onnx.checker.check_model(onnx.shape_inference.infer_shapes(changed, strict_mode=True), full_check=True)
            assert np.abs(Golden(changed).run(inputs)["y"].astype(int) - expected).max() <= 1


def test_a_sum_of_what_cannot_be_transposed_stays():
    """A constant of several numbers, or a float of other rank, does not pass."""
    nodes = [dequantize("x", "d", "x"), mean("d", "m", 1), node("Sub", "d m", "c"), node("Mul", "c several", "k"),
             node("Transpose", "k", "t", perm=[0, 2, 1]), node("Sqrt", "t", "y")]  # fmt: skip
    constants = {**parameters(x=(0.0113, 127)), "several": np.ones(5, np.float32)}
    model = onnx.shape_inference.infer_shapes(model_of(nodes, {"x": (U8, (2, 6, 5))}, {"y": (F32, (2, 5, 6))}, constants))
    assert hoist_transposes(model) is model and raised(model) is model
