"""Random equations of Einsum: the IR's bytes equal the definition's, onnxruntime's are at most a step away; beside other forms on the RTL."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from tests.compiler.ir_reference import evaluate
from tests.covenant.test_covenant_einsum import product
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference


def check(model, seed):
    inputs = random_inputs(model, seed)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(read_network(model), inputs)["y"], expected)
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1


@pytest.mark.parametrize("seed", range(24))
def test_equations(seed):
    """One batch index at most, two of the others; at least one that is summed."""
    rng = np.random.default_rng(seed)
    letters = iter(rng.permutation(list("abcdefghij")))
    batch, rows, columns, summed = ([str(next(letters)) for _ in range(count)] for count in (rng.integers(0, 2), *rng.integers(0, 3, 2), rng.integers(1, 3)))
    one, two, result = (list(rng.permutation(part)) for part in (batch + rows + summed, batch + columns + summed, batch + rows + columns))
    size = {index: int(rng.integers(1, 6)) for index in {*one, *two}}
    equation = f"{''.join(one)},{''.join(two)}->{''.join(result)}"
    print(equation, size)
    constant = (None, None, "a", "b")[int(rng.integers(4))]
    check(product(equation, *([size[index] for index in part] for part in (one, two, result)), constant=constant, scale=0.01), seed)


@pytest.mark.rtl
def test_on_the_rtl_of_tiny():
    """A Resize of 36 phases, an L2 normalisation across channels, and its products with another in an Einsum."""
    nodes = [
        dequantize("x", "d", "x"), node("Resize", "d - - s", "r", mode="linear"), quantize("r", "q", "x"), dequantize("q", "f", "x"),
        node("ReduceL2", "f", "l", axes=[1]), node("Clip", "l eps", "c"), node("Div", "f c", "n"), quantize("n", "u", "n"), dequantize("u", "v", "n"),
        dequantize("k", "w", "k"), node("Einsum", "v w", "e", equation="bchw,kc->bkhw"), quantize("e", "y", "y"),
    ]  # fmt: skip
    constants = {
        **parameters(x=(0.0313, 130), n=(0.0079, 127), k=(0.013, np.int8(0)), y=(0.0217, 121)), "eps": np.float32(1e-12), "s": np.array([1, 5, 18, 12]),
        "k": np.random.default_rng(1).integers(-128, 128, (3, 5), np.int8),
    }  # fmt: skip
    model = model_of(nodes, {"x": (U8, (1, 5, 3, 2))}, {"y": (U8, (1, 3, 18, 12))}, constants)
    graph = load_graph("tiny")
    program = compile_network(read_network(model), graph)
    report, found = judge_network(CompiledNetwork("forms", graph, program, model), [random_inputs(model, 3)], on="rtl")
    assert report["exact"] and report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
    assert len(np.unique(found[0]["y"])) > 20
