"""Activations in the decompositions that exporters write, and as the functions that newer opsets have: one table each, of all 256 numbers the definition's."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.front.reading.load import definition
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

CONSTANTS = {
    "half": np.float32(0.5), "nhalf": np.float32(-0.5), "one": np.float32(1), "neg": np.float32([-1]), "two": np.float32(2), "three": np.float32(3),
    "six": np.float32([[6]]), "zero": np.float32(0), "sixth": np.float32(1 / 6), "root": np.float32(2**0.5), "over": np.float32(2**-0.5),
    "k": np.float32(0.044715), "c": np.float32(0.7978845608), "q": np.float32(1.702), "slope": np.float32(0.1),
}  # fmt: skip


def _steps(text):
    """Nodes from `Operator operands -> result` a line."""
    found = []
    for line in text.split(";"):
        left, result = line.strip().split(" -> ")
        operator, operands = left.split(" ", 1)
        found.append(node(operator, operands, result))
    return found


DECOMPOSED = {
    "SiLU": "Sigmoid d -> s; Mul d s -> p",
    "SiLU, exponential": "Neg d -> n; Exp n -> e; Add e one -> a; Div d a -> p",
    "SiLU, reciprocal": "Neg d -> n; Exp n -> e; Add one e -> a; Reciprocal a -> r; Mul r d -> p",
    "SiLU, one over": "Mul d neg -> n; Exp n -> e; Add one e -> a; Div one a -> r; Mul r d -> p",
    "SiLU, tanh": "Mul d half -> h; Tanh h -> t; Add t one -> a; Mul a h -> p",
    "sigmoid": "Neg d -> n; Exp n -> e; Add e one -> a; Reciprocal a -> p",
    "HardSigmoid, clip": "Add d three -> a; Clip a zero0 six0 -> b; Div b six -> p",
    "HardSigmoid, max of min": "Add d three -> a; Min a six -> b; Max b zero -> e; Mul e sixth -> p",
    "HardSwish, clip": "Add d three -> a; Clip a zero0 six0 -> b; Mul d b -> m; Div m six -> p",
    "HardSwish, min of max": "Add d three -> a; Max a zero -> b; Min b six -> e; Mul e sixth -> m; Mul d m -> p",
    "HardSwish, min of relu": "Add three d -> a; Relu a -> b; Min six b -> e; Mul d e -> m; Div m six -> p",
    "HardSwish, HardSigmoid": "HardSigmoid d -> s; Mul s d -> p",
    "ReLU6, min of max": "Max d zero -> m; Min six m -> p",
    "Hardtanh": "Max d neg -> m; Min m one -> p",
    "GELU": "Div d root -> a; Erf a -> e; Add e one -> b; Mul d b -> m; Mul m half -> p",
    "GELU, half first": "Mul d half -> h; Mul d over -> a; Erf a -> e; Add one e -> b; Mul b h -> p",
    "GELU, half of the sum": "Mul d over -> a; Erf a -> e; Add one e -> b; Mul b half -> h; Mul d h -> p",
    "GELU, tanh": "Pow d three -> a; Mul a k -> b; Add d b -> e; Mul e c -> f; Tanh f -> t; Add t one -> g; Mul d half -> h; Mul g h -> p",
    "GELU, tanh of products": "Mul d d -> o; Mul o d -> a; Mul a k -> b; Add d b -> e; Mul e c -> f; Tanh f -> t; Add t one -> g; Mul d g -> h; Mul h half -> p",
    "GELU, tanh of a factor": "Mul d d -> o; Mul o k -> a; Add a one -> b; Mul d b -> e; Mul e c -> f; Tanh f -> t; Add t one -> g; Mul d g -> h; Mul h half -> p",
    "GELU, quick": "Mul d q -> a; Sigmoid a -> s; Mul d s -> p",
    "GELU, quick by exponential": "Mul d q -> a; Neg a -> n; Exp n -> e; Add e one -> b; Div d b -> p",
    "Mish": "Softplus d -> s; Tanh s -> t; Mul d t -> p",
    "Mish, logarithm": "Exp d -> e; Add e one -> a; Log a -> l; Tanh l -> t; Mul d t -> p",
    "Mish, quotient": "Exp d -> e; Add e one -> a; Mul a a -> s; Sub s one -> u; Add s one -> v; Div u v -> w; Mul d w -> p",
    "softplus": "Exp d -> e; Add e one -> a; Log a -> p",
    "softplus, stable": "Abs d -> b; Neg b -> n; Exp n -> e; Add e one -> a; Log a -> l; Relu d -> r; Add r l -> p",
    "log sigmoid": "Sigmoid d -> s; Log s -> p",
    "tanh": "Mul d two -> m; Sigmoid m -> s; Mul s two -> t; Sub t one -> p",
    "ELU": "Min d zero -> m; Exp m -> e; Sub e one -> a; Relu d -> r; Add a r -> p",
    "leaky, max": "Mul d slope -> m; Max m d -> p",
    "PReLU, two sides": "Relu d -> r; Neg d -> n; Relu n -> o; Mul o nhalf -> m; Add r m -> p",
    "relu, absolute": "Abs d -> a; Add a d -> b; Mul b half -> p",
    "squared relu": "Relu d -> r; Mul r r -> p",
    "softsign": "Abs d -> a; Add a one -> b; Div d b -> p",
    "over a root": "Mul d d -> a; Add a one -> b; Sqrt b -> s; Div d s -> p",
    "by a power": "Mul d d -> a; Add a one -> b; Pow b nhalf -> s; Mul d s -> p",
    "tanh shrink": "Tanh d -> t; Sub d t -> p",
}  # fmt: skip
#: Operator, attributes, the opset from which it is there.
OPERATORS = [
    ("HardSigmoid", {}, 13), ("HardSwish", {}, 14), ("Mish", {}, 18), ("Gelu", {}, 20), ("Gelu", {"approximate": "tanh"}, 20), ("Swish", {}, 24),
    ("Swish", {"alpha": 1.5}, 24), ("Elu", {"alpha": 0.7}, 13), ("Celu", {"alpha": 0.7}, 13), ("Selu", {}, 13), ("Softplus", {}, 13), ("Softsign", {}, 13),
    ("ThresholdedRelu", {"alpha": 0.4}, 13), ("Shrink", {"lambd": 0.3, "bias": 0.1}, 13), ("LeakyRelu", {"alpha": 0.2}, 13),
]  # fmt: skip


def network(nodes, opset=17):
    named = [dequantize("x", "d", "x"), *nodes, quantize("p", "y", "y")]
    used = {name for n in named for name in n.input}
    held = {**CONSTANTS, "zero0": np.float32(0), "six0": np.float32(6), **parameters(x=(0.0413, 127), y=(0.03, 40))}
    return model_of(named, {"x": (U8, (1, 256))}, {"y": (U8, (1, 256))}, {k: v for k, v in held.items() if k in used}, opset=opset)


def check(model):
    inputs = {"x": np.arange(256, dtype=np.uint8)[None]}
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == ["Unary"]
    expected = Reference(definition(model)).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1 and len(np.unique(expected)) > 3


@pytest.mark.parametrize("name", DECOMPOSED)
def test_decomposed(name):
    check(network(_steps(DECOMPOSED[name])))


@pytest.mark.parametrize(("operator", "attributes", "first"), OPERATORS, ids=lambda v: str(v) if isinstance(v, str) else "")
def test_operators(operator, attributes, first):
    """In the first opset and in the latest that onnxruntime and the converter agree on."""
    for opset in sorted({max(first, 13), max(first, 21), 24}):
        check(network([node(operator, "d", "p", **attributes)], opset))


def test_what_a_swish_cannot_say():
    model = network([node("Swish", "d", "p", beta=2.0)], 24)
    with pytest.raises(ModelError) as error:
        read_network(model)
    assert "Swish" in str(error.value) and "beta" in str(error.value)
