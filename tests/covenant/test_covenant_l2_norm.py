"""L2 normalisations, the operator and spelled out: bytes equal the definition, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}
NUMBERS = {**parameters(x=(0.0113, 127), y=(0.0057, 121)), "eps": np.float32(1e-12), "one": np.float32(1), "two": np.float32(2), "last": np.array([-1])}


def check(model, machine="edge16", *, zeros=False, golden=True):
    """The machine's bytes are the definition's, at most a step from onnxruntime's; returns them. `zeros`: the first row has no other numbers."""
    inputs = random_inputs(model, 5)
    if zeros:
        inputs["x"][0] = 127
    return run(model, machine, inputs, golden=golden)


def run(model, machine, inputs, *, golden=True):
    graph = read_network(model)
    assert "RMSNormalization" in {type(n.attrs).__name__ for n in graph.nodes}
    program = compile_network(graph, GRAPHS[machine])
    report, found = judge_network(CompiledNetwork("l2", GRAPHS[machine], program, model), [inputs], on="iss")
    assert report["exact"], report
    assert not golden or np.abs(found[0]["y"].astype(int) - Golden(model).run(inputs)["y"]).max() <= 1
    return found[0]["y"]


def model(nodes, size, **constants):
    named = [dequantize("x", "d", "x"), *nodes, quantize("n", "y", "y")]
    return model_of(named, {"x": (U8, size)}, {"y": (U8, size)}, {**NUMBERS, **constants})


SPELLINGS = {
    "torch": [node("ReduceL2", "d", "l", axes=[-1]), node("Clip", "l eps", "c"), node("Expand", "c shape", "e"), node("Div", "d e", "n")],
    "max": [node("ReduceL2", "d", "l", axes=[2]), node("Max", "eps l", "c"), node("Div", "d c", "n")],
    "plain": [node("ReduceL2", "d", "l", axes=[-1]), node("Div", "d l", "n")],
    "added": [node("ReduceL2", "d", "l", axes=[-1]), node("Add", "l eps", "c"), node("Reciprocal", "c", "r"), node("Mul", "r d", "n")],
    "squares": [node("Mul", "d d", "p"), node("ReduceSum", "p last", "s"), node("Max", "s eps", "m"), node("Sqrt", "m", "c"),
                node("Div", "one c", "r"), node("Mul", "d r", "n")],
    "sum of squares": [node("ReduceSumSquare", "d", "s", axes=[-1]), node("Sqrt", "s", "c"), node("Div", "d c", "n")],
    "power": [node("Pow", "d two", "p"), node("ReduceSum", "p last", "s"), node("Add", "s tiny", "m"), node("Sqrt", "m", "c"), node("Div", "d c", "n")],
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelled_out(name):
    shape = (2, 5, 24)
    bounded = name in ("torch", "max", "added", "squares")
    check(model(SPELLINGS[name], shape, shape=np.array(shape), tiny=np.float32(1e-20)), "tiny" if len(name) % 2 else "edge16", zeros=bounded)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_the_operator_along_any_axis(axis):
    """A row of zeros is itself (onnxruntime says so too)."""
    found = check(model([node("LpNormalization", "d", "n", axis=axis)], (2, 6, 5, 7)), zeros=True)
    assert (found[0] == 121).all()


def test_long_rows():
    check(model([node("LpNormalization", "d", "n")], (2, 3000), **parameters(y=(0.0007, 121))))


def test_a_row_with_one_number():
    """One step among many zeros: the mean of the squares is small, and the epsilon far below it."""
    x = np.full((3, 2048), 127, np.uint8)
    x[0, 7], x[1, 9], x[2, :2] = 128, 126, (255, 0)
    found = run(model([node("LpNormalization", "d", "n")], (3, 2048), **parameters(y=(0.0083, 121))), "edge16", {"x": x})
    one = round(1 / 0.0083)
    assert (found[0, 7], found[1, 9]) == (121 + one, 121 - one) and (found[0, :7] == 121).all()
    norm = 0.0083 * (128**2 + 127**2) ** 0.5
    assert found[2, :2].tolist() == [121 + round(128 / norm), 121 - round(127 / norm)]


def test_one_side_transposed_before_its_quantisation():
    """Swin-V2: the norm of a tensor, transposed; the tensor itself transposed and quantised again, divided by it."""
    nodes = [
        dequantize("x", "d", "x"), node("ReduceL2", "d", "l", axes=[3]), node("Transpose", "l", "t", perm=[0, 2, 1, 3]), node("Clip", "t eps", "c"),
        node("Expand", "c shape", "e"), node("Transpose", "d", "u", perm=[0, 2, 1, 3]), quantize("u", "qu", "x"), dequantize("qu", "du", "x"),
        node("Div", "du e", "n"), node("Transpose", "n", "o", perm=[0, 1, 3, 2]), quantize("o", "y", "y"),
    ]  # fmt: skip
    constants = {**NUMBERS, "shape": np.array([2, 3, 4, 16])}
    check(model_of(nodes, {"x": (U8, (2, 4, 3, 16))}, {"y": (U8, (2, 3, 16, 4))}, constants))


@pytest.mark.parametrize(("nodes", "message"), [
    (SPELLINGS["max"], "(LpNormalization): The bound of an L2 norm must be at most one step of the input's scale, a number added to it 2^-24 steps."
                       " Found at least 0.5, for an input of scale 0.011300000362098217."),
    ([node("LpNormalization", "d", "n", p=1)], "(LpNormalization): LpNormalization must be by the norm of squares (p = 2). Found p = 1."),
])  # fmt: skip
def test_what_is_none_is_refused(nodes, message):
    with pytest.raises(UnsupportedError) as error:
        read_network(model(nodes, (2, 5, 24), eps=np.float32(0.5)))
    assert message in str(error.value)
