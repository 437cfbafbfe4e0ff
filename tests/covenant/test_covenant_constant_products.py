"""MatMul by batches of constant matrices, and by a constant in front: bytes equal the definition, onnxruntime at most a step away."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import check_program, evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.random.networks import random_inputs
from verif.reference import Reference

GRAPHS = {name: load_graph(name) for name in ("tiny", "edge16")}


def product(x, w, *, first=False, axis=None, out_scale=0.02):
    """MatMul of x (uint8) and a constant of shape w (int8), which stands `first` or second, with one scale or one along `axis`."""
    rng = np.random.default_rng(len(x) * 10 + len(w))
    scale = 0.004 if axis is None else rng.uniform(0.002, 0.006, w[axis])
    zero = np.int8(0) if axis is None else np.zeros(w[axis], np.int8)
    constants = {**parameters(x=(0.0113, 127), w=(scale, zero), y=(out_scale, 121)), "w": rng.integers(-128, 128, w, np.int8)}
    out = np.matmul(np.zeros(w), np.zeros(x)).shape if first else np.matmul(np.zeros(x), np.zeros(w)).shape
    attributes = {} if axis is None else {"axis": axis}
    nodes = [dequantize("x", "d", "x"), dequantize("w", "c", "w", **attributes), node("MatMul", "c d" if first else "d c", "m"), quantize("m", "y", "y")]
    return model_of(nodes, {"x": (U8, x)}, {"y": (U8, out)}, constants)


@pytest.mark.parametrize(("x", "w", "options"), [
    ((3, 5, 8), (3, 8, 6), {}), ((2, 3, 5, 8), (3, 8, 6), {}), ((2, 3, 5, 8), (2, 3, 8, 6), {}), ((2, 3, 5, 8), (3, 8, 6), {"axis": 2}),
    ((3, 5, 8), (3, 8, 6), {"axis": 0}), ((3, 5, 8), (3, 8, 6), {"axis": 1}), ((2, 5, 8), (1, 8, 6), {}), ((2, 4, 5, 8), (1, 1, 8, 6), {"axis": 3}), ((3, 1, 20), (3, 20, 20), {}),
    ((8, 6), (5, 8), {"first": True}), ((2, 3, 8, 6), (5, 8), {"first": True}), ((2, 8, 6), (5, 8), {"first": True, "axis": 0}), ((8,), (5, 8), {"first": True}),
])  # fmt: skip
def test_products(x, w, options):
    model = product(x, w, **options)
    inputs, graph = random_inputs(model, 5), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    machine = list(GRAPHS)[len(x) % 2]
    assert check_program(graph, compile_network(graph, GRAPHS[machine]), GRAPHS[machine], inputs) > 0
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1
    assert len(np.unique(expected)) > 4
    assert {"BlockwiseConv" if options.get("axis") == len(w) - 2 and not options.get("first") else "Conv"} == {type(n.attrs).__name__ for n in graph.nodes} - {"Move", "Reshape"}


@pytest.mark.parametrize(("x", "w", "options", "found"), [
    ((1, 5, 8), (3, 8, 6), {}, "shape (3, 8, 6) for an operand of shape (1, 5, 8)"),
    ((2, 8, 6), (2, 5, 8), {"first": True}, "shape (2, 5, 8) in front"),
    ((5, 8), (3, 8, 6), {}, "shape (3, 8, 6) for an operand of shape (5, 8)"),
])  # fmt: skip
def test_others_are_refused(x, w, options, found):
    with pytest.raises(UnsupportedError) as error:
        read_network(product(x, w, **options))
    sentence = "Constant matrices must be one, or as many as there are in the other operand."
    assert str(error.value).endswith(f"n_m (MatMul): {sentence} Found {found}.")
