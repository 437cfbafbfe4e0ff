"""AveragePool of floats that nothing has quantised: windows of one size and of several, on the functional simulator, against the definition and onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from acg.graph import load_graph
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from tests.compiler.test_compiler_moved import network, weights
from tests.compiler.test_compiler_rowwise import onnxruntime_steps
from tests.support.models import node
from verif.reference import Reference

SILU = [node("Conv", "xf wf", "c"), node("Sigmoid", "c", "s"), node("Mul", "c s", "t")]


def pool(**attributes):
    return node("AveragePool", "t", "z", kernel_shape=attributes.pop("kernel", [3, 3]), **attributes)


MODELS = {
    "strides": lambda: network([*SILU, pool(strides=[2, 2])], w=weights(3, 4, 1, 1)),
    "padding that counts": lambda: network([*SILU, pool(strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)], w=weights(3, 4, 1, 1)),
    "padding that does not": lambda: network([*SILU, pool(pads=[1, 0, 1, 1])], w=weights(3, 4, 1, 1)),
    "windows cut off": lambda: network([*SILU, pool(strides=[2, 2], ceil_mode=1)], x=(2, 4, 6, 6), w=weights(3, 4, 1, 1)),
    "numbers far from 0": lambda: network([*SILU[:2], node("Add", "s k", "t"), pool()], w=weights(3, 4, 1, 1), k=np.float32(3)),
    "a product": lambda: network([node("Conv", "xf wf", "t"), pool()], w=weights(3, 4, 1, 1)),
    "a function of a tensor": lambda: network([node("HardSwish", "xf", "t"), pool()], w=weights(3, 4, 1, 1)),
    "operations behind": lambda: network([*SILU, node("AveragePool", "t", "p", kernel_shape=[4, 4]), node("Add", "p k", "z")], w=weights(3, 4, 1, 1),
                                         k=np.float32([0.5, 1, 2])[:, None, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MODELS))
def test_windows(case):
    model, graph = MODELS[case](), load_graph("tiny")
    inputs = {name: np.random.default_rng(len(case)).integers(0, 256, shape).astype(np.uint8) for name, (shape, _) in Reference(model).inputs.items()}
    found = run_on_iss(compile_network(read_network(model), graph), graph, inputs)["y"]
    np.testing.assert_array_equal(found, Reference(model).run(inputs)["y"])
    assert np.abs(found.astype(int) - onnxruntime_steps(model, inputs).astype(int)).max() <= 1


def test_refused():
    nodes = [node("Conv", "xf wf", "c"), node("Relu", "c", "r"), node("BatchNormalization", "c k k k k", "n"), node("AveragePool", "n", "z", kernel_shape=[2, 2])]
    with pytest.raises(UnsupportedError) as error:
        read_network(network(nodes, w=weights(3, 4, 1, 1), k=np.float32([1, 2, 3])))
    assert [(e.node, e.reason) for e in error.value.entries] == [
        ("n_z", "What nothing has quantised in front of AveragePool must be sums, products, functions and results of Conv, Gemm or MatMul, no quotient by a computed"
                " number. Found n, a float result that no QuantizeLinear follows."),
    ]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("function", [[node("Relu", "xf", "r"), node("Log", "r", "f")], [node("Mul", "xf k", "m"), node("Mul", "m k", "f")]], ids=["Log", "Mul"])
def test_numbers_that_are_infinite(function):
    """Of 0, and beyond float32: no digits stand for them, and no warning is given."""
    with pytest.raises(UnsupportedError) as error:
        read_network(network([*function, node("AveragePool", "f", "z", kernel_shape=[2, 2])], k=np.float32(3e38)))
    assert [e.node for e in error.value.entries] == ["n_z"]
    assert error.value.entries[0].reason.endswith(" no quotient by a computed number. Found a number that is infinite in f.")
