"""`covenant quantize` of a network whose LayerNormalization is written out: one operator, quantised once before and once behind."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.quantise import quantise
from covenant.quantise.prepare import prepared
from covenant.report import judge_network
from tests.support.models import F32, model_of, node
from verif.golden import open_session

SHAPE = (2, 5, 24)
TINY = load_graph("tiny")


def network(*, affine=True, opset=13, whole=True):
    rng = np.random.default_rng(1)
    nodes = [
        node("MatMul", "x w", "f"), node("ReduceMean", "f", "m", axes=[-1]), node("Sub", "f m", "c"), node("Mul", "c c", "p"),
        node("ReduceMean", "p", "v", axes=[-1]), node("Add", "v eps", "e"), node("Sqrt", "e", "s"),
        node("Div", "c s", "n" if affine else "y"), *([node("Mul", "n gamma", "g"), node("Add", "g beta", "y")] if affine else []),
    ]  # fmt: skip
    if not whole:
        nodes[-1:] = [node("Add", "s s", "t"), node("Div", "c t", "y")]
    constants = {
        "w": rng.normal(0, 0.2, (24, 24)).astype(np.float32), "eps": np.float32(1e-5), "gamma": rng.uniform(0.5, 1.5, 24).astype(np.float32),
        "beta": rng.normal(0, 0.3, 24).astype(np.float32),
    }  # fmt: skip
    return model_of(nodes, {"x": (F32, SHAPE)}, {"y": (F32, SHAPE)}, constants, opset=opset)


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("affine", [True, False])
def test_one_operator(affine, opset):
    model = network(affine=affine, opset=opset)
    samples = [{"x": np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)} for seed in range(4)]
    made = prepared(model, name="n")
    assert [n.op_type for n in made.graph.node] == ["MatMul", "LayerNormalization"]
    expected, found = (open_session(m).run(None, samples[0])[0] for m in (model, made))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    quantised = quantise(made, samples, name="n").model
    assert [type(n.attrs).__name__ for n in read_network(quantised).nodes if type(n.attrs).__name__ != "Reshape"] == ["Conv", "LayerNormalization"]


def test_what_is_no_whole_one_stays():
    made = prepared(network(affine=False, whole=False), name="n")
    assert "LayerNormalization" not in {n.op_type for n in made.graph.node} and {n.domain for n in made.graph.node} == {""}


@pytest.mark.parametrize(("axes", "operators", "machine"), [
    ([1], ["Transpose", "LayerNormalization", "Transpose"], ["Move", "LayerNormalization", "Move"]), ([2, 3], ["InstanceNormalization"], ["GroupNormalization"]),
], ids=["channels first", "images"])  # fmt: skip
@pytest.mark.parametrize("opset", [13, 17])
def test_images(axes, operators, machine, opset):
    """Channels first, as in ConvNeXt, are between transpositions for the quantiser; means over images are instances."""
    shape, rng = (1, 6, 5, 4), np.random.default_rng(2)
    nodes = [
        node("Conv", "x w", "f"), node("ReduceMean", "f", "m", axes=axes), node("Sub", "f m", "c"), node("Pow", "c two", "p"), node("ReduceMean", "p", "v", axes=axes),
        node("Add", "v eps", "e"), node("Sqrt", "e", "s"), node("Div", "c s", "n"), node("Mul", "gamma n", "g"), node("Add", "g beta", "y"),
    ]  # fmt: skip
    constants = {
        "w": rng.normal(0, 0.4, (6, 6, 1, 1)).astype(np.float32), "two": np.float32(2), "eps": np.float32(1e-3),
        "gamma": rng.uniform(0.5, 1.5, (6, 1, 1)).astype(np.float32), "beta": rng.normal(0, 0.3, (6, 1, 1)).astype(np.float32),
    }
    model = model_of(nodes, {"x": (F32, shape)}, {"y": (F32, shape)}, constants, opset=opset)
    samples = [{"x": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)} for seed in range(4)]
    made = prepared(model, name="n")
    assert [n.op_type for n in made.graph.node] == ["Conv", *operators]
    expected, found = (open_session(m).run(None, samples[0])[0] for m in (model, made))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    quantised = quantise(made, samples, name="n").model
    graph = read_network(quantised)
    assert [n.op for n in graph.nodes if n.op not in ("Reshape", "Unary")] == ["Conv", *machine]
    program = compile_network(graph, TINY)
    report, _ = judge_network(CompiledNetwork("n", TINY, program, quantised), samples, on="iss")
    assert report["exact"], report["outputs"]
