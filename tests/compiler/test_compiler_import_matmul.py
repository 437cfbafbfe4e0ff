"""ONNX's products of two computed matrices: programs on the ISS equal the definition and onnxruntime, byte for byte."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.support.models import F32, I8, I32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

TINY = load_graph("tiny")


def qdq(op, shapes, zeros=(3, -5), *, bias=None, **attributes):
    """A float model: quantise both inputs, multiply, quantise."""
    first, second = (np.asarray(z, np.int8 if z < 0 or z == 3 else np.uint8) for z in zeros)
    constants = parameters(a=(0.02, first), b=(0.03, second), y=(0.05, np.int8(7)))
    inputs = "da db"
    if bias is not None:
        constants["bias"], inputs = np.asarray(bias, np.float32), "da db bias"
    nodes = [
        quantize("a", "qa", "a"), dequantize("qa", "da", "a"), quantize("b", "qb", "b"), dequantize("qb", "db", "b"),
        node(op, inputs, "p", **attributes), quantize("p", "qy", "y"), dequantize("qy", "y", "y"),
    ]
    trial = [np.zeros(s).T if attributes.get(t) else np.zeros(s) for s, t in zip(shapes, ("transA", "transB"), strict=True)]
    return model_of(nodes, {"a": (F32, shapes[0]), "b": (F32, shapes[1])}, {"y": (F32, np.matmul(*trial).shape)}, constants)


def check(model, arrays, *, golden=True, architecture=TINY):
    """Compare the ISS with the definition, and with onnxruntime unless it has no integer kernel; returns the graph."""
    graph = read_network(model)
    found = run_on_iss(compile_network(graph, architecture), architecture, arrays)
    expected = Reference(model).run(arrays)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        if golden:
            np.testing.assert_array_equal(found[name], Golden(model).run(arrays)[name])
    return graph


def reals(shapes, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in zip("ab", shapes, strict=True)}


SHAPES = [
    ((6, 10), (10, 5)),
    ((2, 3, 7, 20), (2, 3, 20, 9)),
    ((2, 3, 7, 20), (20, 9)),
    ((1, 7, 5), (3, 5, 4)),
    ((2, 1, 3, 5), (4, 5, 6)),
    ((4, 1, 6), (4, 6, 1)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("zeros", [(3, -5), (120, 130), (120, -5)], ids=["i8i8", "u8u8", "u8i8"])
def test_matmul_of_two_tensors(shapes, zeros):
    graph = check(qdq("MatMul", shapes, zeros), reals(shapes))
    assert [n.op for n in graph.nodes if n.op == "MatMul"] == ["MatMul"]


@pytest.mark.parametrize("shapes", [((5,), (5, 4)), ((3, 5), (5,)), ((2, 3, 5), (5,))], ids=str)
def test_a_vector_loses_its_dimension(shapes):
    graph = check(qdq("MatMul", shapes), reals(shapes), golden=False)
    assert graph.outputs[0].shape == np.matmul(*(np.zeros(s) for s in shapes)).shape


@pytest.mark.parametrize("shapes,attributes", [(((6, 10), (5, 10)), {"transB": 1}), (((10, 6), (10, 5)), {"transA": 1}), (((6, 10), (10, 5)), {})])
def test_gemm_of_two_tensors(shapes, attributes):
    check(qdq("Gemm", shapes, **attributes), reals(shapes))


def test_gemm_adds_a_constant_in_steps_of_the_sum():
    shapes = ((6, 10), (10, 5))
    check(qdq("Gemm", shapes, bias=[1, -2, 0.5, 0.013, 0], alpha=0.5, beta=2.0), reals(shapes), golden=False)


def integers(shapes, dtype, seed=2):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    return {name: rng.integers(info.min, info.max + 1, shape).astype(dtype) for name, shape in zip("ab", shapes, strict=True)}


@pytest.mark.parametrize("dtype,kind", [(np.int8, I8), (np.uint8, U8)], ids=["i8", "u8"])
def test_qlinear_matmul_of_two_tensors(dtype, kind):
    shapes = ((3, 4, 9), (3, 9, 6))
    constants = parameters(a=(0.02, dtype(3)), b=(0.03, dtype(8)), y=(0.2, dtype(7)))
    model = model_of([node("QLinearMatMul", "a sa za b sb zb sy zy", "y")], {"a": (kind, shapes[0]), "b": (kind, shapes[1])}, {"y": (kind, (3, 4, 6))}, constants)
    check(model, integers(shapes, dtype))


def test_matmul_integer_of_two_tensors():
    shapes = ((4, 9), (9, 6))
    constants = {"za": np.uint8(3), "zb": np.uint8(200)}
    model = model_of([node("MatMulInteger", "a b za zb", "y")], {"a": (U8, shapes[0]), "b": (U8, shapes[1])}, {"y": (I32, (4, 6))}, constants)
    check(model, integers(shapes, np.uint8))


def test_a_computed_product_feeds_the_next():
    shapes = ((2, 9, 5), (2, 5, 9))
    constants = parameters(a=(0.02, np.int8(3)), b=(0.03, np.int8(-5)), y=(0.05, np.int8(7)), w=(0.4, np.int8(1)))
    nodes = [
        quantize("a", "qa", "a"), dequantize("qa", "da", "a"), quantize("b", "qb", "b"), dequantize("qb", "db", "b"),
        node("MatMul", "da db", "p"), quantize("p", "qp", "y"), dequantize("qp", "dp", "y"),
        node("MatMul", "db dp", "v"), quantize("v", "qv", "w"), dequantize("qv", "y", "w"),
    ]
    model = model_of(nodes, {"a": (F32, shapes[0]), "b": (F32, shapes[1])}, {"y": (F32, (2, 5, 9))}, constants)
    for name in ("tiny", "edge16", "wide"):
        check(model, reals(shapes), architecture=load_graph(name))
