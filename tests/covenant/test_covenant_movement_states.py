"""Movement of values in every state the importer knows: float inputs, unquantised results, functions, constants; on the functional simulator."""

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize

P = parameters(x=(0.05, 7), y=(0.08, 20), w=(0.01, np.int8(0)))
RNG = np.random.default_rng(1)
W = RNG.integers(-128, 128, (5, 3, 1, 1)).astype(np.int8)
X = {"x": (F32, (1, 3, 4, 4))}
START = [quantize("x", "q", "x"), dequantize("q", "d", "x")]
END = [quantize("r", "yq", "y"), dequantize("yq", "y", "y")]
CONV = [*START, dequantize("w", "wd", "w"), node("Conv", "d wd", "c")]


def _ints(*values):
    return np.array(values, np.int64)


#: nodes, inputs, shape of the output, constants, operators of the IR
CASES = {
    "float input": (
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Slice", "t a b c", "r"), *END],
        X, (1, 3, 4, 3), {"a": _ints(1), "b": _ints(9), "c": _ints(1)}, {"Move"},
    ),
    "float input, clipped": (
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Relu", "t", "r"), *END], X, (1, 4, 4, 3), {}, {"Move", "Unary"},
    ),
    "float input and a tensor": ([*START, node("Concat", "x d", "r", axis=1), *END], X, (1, 6, 4, 4), {}, {"Move", "Unary"}),
    "result of a convolution": ([*CONV, node("Transpose", "c", "r", perm=[0, 2, 3, 1]), *END], X, (1, 4, 4, 5), {"w": W}, {"Conv", "Move"}),
    "two results, clipped together": (
        [*CONV, node("MaxPool", "d", "m", kernel_shape=[1, 1]), node("Concat", "c m", "j", axis=1), node("Relu", "j", "r"), *END],
        X, (1, 8, 4, 4), {"w": W}, {"Conv", "MaxPool", "Unary", "Move"},
    ),
    "parts of a result": (
        [*CONV, node("Slice", "c a b k", "s"), node("Slice", "c b z k", "t"), node("Concat", "t s", "r", axis=1), *END],
        X, (1, 5, 4, 4), {"w": W, "a": _ints(0), "b": _ints(2), "z": _ints(5), "k": _ints(1)}, {"Conv", "Move"},
    ),
    "parts of a result that overlap": (
        [*CONV, node("Slice", "c a b k", "s"), node("Slice", "c k z k", "t"), node("Concat", "t s", "r", axis=1), *END],
        X, (1, 8, 4, 4), {"w": W, "a": _ints(0), "b": _ints(4), "z": _ints(5), "k": _ints(1)}, {"Conv", "Move"},
    ),
    "parts of a part of a result": (
        [*CONV, node("Slice", "c a b k", "s"), node("Slice", "s a e k", "t"), node("Slice", "s k b k", "u"),
         node("Concat", "u s t", "r", axis=1), *END],
        X, (1, 9, 4, 4), {"w": W, "a": _ints(0), "b": _ints(4), "e": _ints(2), "k": _ints(1)}, {"Conv", "Move"},
    ),
    "a part of a result, moved": (
        [*CONV, node("Slice", "c a b k", "s"), node("Transpose", "s", "r", perm=[0, 2, 3, 1]), *END],
        X, (1, 4, 4, 2), {"w": W, "a": _ints(0), "b": _ints(2), "k": _ints(1)}, {"Conv", "Move"},
    ),
    "some channels of a result and zeros": (
        [*CONV, node("Slice", "c a k k", "s"), node("Slice", "c b z k", "t"), node("Concat", "t n s", "r", axis=1), *END],
        X, (1, 4, 4, 4), {"w": W, "a": _ints(0), "b": _ints(3), "z": _ints(5), "k": _ints(1), "n": np.zeros((1, 1, 4, 4), np.float32)}, {"Conv", "Move"},
    ),
    "some channels of a result": (
        [*CONV, node("Slice", "c a k k", "s"), node("Slice", "c b z k", "t"), node("Concat", "t s", "r", axis=1), *END],
        X, (1, 3, 4, 4), {"w": W, "a": _ints(0), "b": _ints(3), "z": _ints(5), "k": _ints(1)}, {"Conv"},
    ),
    "function of a tensor": (
        [*START, node("Sigmoid", "d", "f"), node("Transpose", "f", "t", perm=[0, 1, 3, 2]), node("Sqrt", "t", "r"), *END],
        X, (1, 3, 4, 4), {}, {"Move", "Unary"},
    ),
    "functions beside each other": (
        [*START, node("Sigmoid", "d", "f"), node("Tanh", "d", "g"), node("Concat", "f g d", "r", axis=2), *END], X, (1, 3, 12, 4), {}, {"Move", "Unary"},
    ),
    "float constant": (
        [*START, node("Concat", "k d", "r", axis=1), *END], X, (1, 5, 4, 4), {"k": RNG.normal(size=(1, 2, 4, 4)).astype(np.float32)}, {"Move", "Unary"},
    ),
    "quantised constant": (
        [*START, dequantize("k", "kd", "x"), node("Concat", "d kd", "j", axis=3), quantize("j", "yq", "x"), dequantize("yq", "y", "x")],
        X, (1, 3, 4, 6), {"k": RNG.integers(0, 256, (1, 3, 4, 2)).astype(np.uint8)}, {"Move"},
    ),
    "padding before a convolution": (
        [*START, node("Pad", "d p", "f"), quantize("f", "fq", "x"), dequantize("fq", "fd", "x"), dequantize("w", "wd", "w"),
         node("Conv", "fd wd", "r", strides=[2, 2]), *END],
        X, (1, 5, 3, 3), {"p": _ints(0, 0, 1, 1, 0, 0, 1, 1), "w": W}, {"Conv"},
    ),
    "padding with minus infinity before a maximum": (
        [*START, node("Pad", "d p i", "f"), node("MaxPool", "f", "r", kernel_shape=[2, 2]), *END],
        X, (1, 3, 4, 4), {"p": _ints(0, 0, 1, 0, 0, 0, 0, 1), "i": np.float32(-np.inf)}, {"MaxPool", "Unary"},
    ),
    "one dimension": (
        [*START, node("Reshape", "d s", "e"), node("ConvTranspose", "e wd", "r", strides=[2]), *END[:1], END[1], dequantize("w", "wd", "w")],
        X, (1, 5, 33), {"s": _ints(1, 3, 16), "w": RNG.integers(-128, 128, (3, 5, 3)).astype(np.int8)}, {"Conv", "Move"},
    ),
}  # fmt: skip


def _sorted(nodes):
    """Nodes in topological order: dequantised weights first."""
    return sorted(nodes, key=lambda n: n.output[0] != "wd")


@pytest.mark.parametrize("arch", ["tiny", "edge16"])
@pytest.mark.parametrize("name", CASES)
def test_states(name, arch):
    nodes, inputs, shape, constants, ops = CASES[name]
    model, graph = model_of(_sorted(nodes), inputs, {"y": (F32, shape)}, {**P, **constants}), load_graph(arch)
    ir = read_network(model, name=name)
    program = compile_network(ir, graph)
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=3, count=2), on="iss")
    assert report["exact"], report["outputs"]
    assert report["outputs"]["y"]["elements"] == 2 * int(np.prod(shape))
    assert report["outputs"]["y"]["onnxruntime"]["max_abs_diff_steps"] <= 1
    assert {n.op for n in ir.nodes} - {"Reshape"} == ops
    convolutions = sum(n.op_type in ("Conv", "ConvTranspose") for n in model.graph.node)
    computed = [n.outputs[0] for n in ir.nodes if n.op == "Conv"]
    if name == "some channels of a result and zeros":
        assert [ir.tensors[t].shape[1] for t in computed] == [2, 1], "as many channels as are read"
    else:
        assert "ConvTranspose" in str(nodes) or len(computed) == convolutions, "a result is computed once for all its parts"
    if name in ("a part of a result, moved", "some channels of a result"):
        assert ir.tensors[computed[0]].shape[1] == {"a": 2, "s": 3}[name[0]], "as many channels as are read"


def test_qlinear_concat():
    constants = {**P, "k": RNG.integers(0, 256, (1, 2, 4, 4)).astype(np.uint8)}
    nodes = [node("QLinearConcat", "sy zy x sx zx k sy zy x sy zy", "y", axis=1, domain="com.microsoft")]
    model, graph = model_of(nodes, {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 8, 4, 4))}, constants), load_graph("tiny")
    program = compile_network(read_network(model, name="qlinear"), graph)
    report, _ = judge_network(CompiledNetwork("qlinear", graph, program, model), draw(model_inputs(model), seed=3, count=2), on="iss")
    assert report["exact"] and report["outputs"]["y"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
