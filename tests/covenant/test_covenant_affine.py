"""Constants behind a product that nothing has quantised yet: what it takes in, in any order, is one convolution or matrix product."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program
from tests.support.models import I8, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

TINY = load_graph("tiny")
#: Product: its node, shapes of x, of the other operand and of the result.
PRODUCTS = {
    "Conv": (node("Conv", "d e", "v"), (1, 3, 6, 5), (5, 3, 3, 3), (1, 5, 4, 3)),
    "Gemm": (node("Gemm", "d e", "v"), (4, 6), (6, 5), (4, 5)),
    "MatMul": (node("MatMul", "d e", "v"), (2, 4, 6), (6, 5), (2, 4, 5)),
    "MatMul of two": (node("MatMul", "d t", "v"), (2, 4, 6), (2, 6, 5), (2, 4, 5)),
}
STEPS = {
    "bias": ("Add", "bias"), "twice": ("Mul", "two"), "a third": ("Div", "three"), "factors": ("Mul", "factors"), "parts": ("Div", "factors"),
    "addends": ("Add", "bias"), "norm": ("BatchNormalization", "gamma beta mean variance"),
}  # fmt: skip


def chain(product, steps, scale=0.31):
    made, shape, other, out = PRODUCTS[product]
    rng = np.random.default_rng(11)
    channels = (5, *[1] * (len(out) - 2)) if product == "Conv" else (5,)
    constants = {
        "two": np.float32(2.3), "three": np.float32([2.7]), "bias": rng.normal(0, 1, channels).astype(np.float32),
        "factors": rng.uniform(0.4, 1.8, channels).astype(np.float32), "gamma": rng.uniform(0.5, 2, 5).astype(np.float32),
        "beta": rng.normal(0, 1, 5).astype(np.float32), "mean": rng.normal(0, 1, 5).astype(np.float32), "variance": rng.uniform(0.5, 2, 5).astype(np.float32),
    }  # fmt: skip
    inputs = {"x": (U8, shape)}
    if product == "MatMul of two":
        inputs["w"] = (U8, other)
    else:
        constants["w"] = rng.integers(-90, 90, other).astype(np.int8)
    nodes = [dequantize("x", "d", "x"), dequantize("w", "t" if product == "MatMul of two" else "e", "w"), made]
    name = "v"
    for step in steps:
        op, operands = STEPS[step]
        nodes.append(node(op, f"{name} {operands}", f"{name}_"))
        name += "_"
    constants |= parameters(x=(0.041, 120), w=(0.013, np.uint8(128) if product == "MatMul of two" else np.int8(0)), y=(scale, np.int8(-3)))
    used = {i for n in [*nodes, quantize(name, "y", "y")] for i in n.input}
    return model_of([*nodes, quantize(name, "y", "y")], inputs, {"y": (I8, out)}, {k: v for k, v in constants.items() if k in used})


def check(model, expected_nodes):
    inputs = random_inputs(model, 3)
    graph = read_network(model)
    assert [n.op for n in graph.nodes] == expected_nodes
    expected = Reference(model).run(inputs)["y"]
    assert check_program(graph, compile_network(graph, TINY), TINY, inputs) > 0
    steps = np.abs(expected.astype(int) - Golden(model).run(inputs)["y"])
    assert steps.max() <= 1 and len(np.unique(expected)) > 9, f"{(steps > 0).sum()} of {steps.size}"


@pytest.mark.parametrize("steps", [s for n in (1, 2, 3) for s in itertools.permutations(["bias", "twice", "factors"], n)], ids=" ".join)
def test_what_a_product_takes_in(steps):
    """A bias, a number and factors a channel, in any order: the bias is not lost, whatever follows it."""
    check(chain("Conv", steps), ["Conv"])
    if "factors" not in steps:
        for product in ("Gemm", "MatMul", "MatMul of two"):
            check(chain(product, steps), ["MatMul" if product == "MatMul of two" else "Conv"])


@pytest.mark.parametrize("steps", [("bias", "norm"), ("twice", "norm"), ("bias", "norm", "twice"), ("norm", "addends"), ("bias", "parts", "norm")], ids=" ".join)
def test_normalised(steps):
    check(chain("Conv", steps), ["Conv"])
    check(chain("Gemm", steps), ["Conv"])
