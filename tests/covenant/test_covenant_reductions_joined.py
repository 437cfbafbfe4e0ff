"""A reduction of a reduction that nothing has quantised: one sum with the divisors multiplied; bytes equal the definition, onnxruntime a step away."""

from __future__ import annotations

import numpy as np
import onnx
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


def reduced(shape, out, *middle, scale=0.0157):
    nodes = [dequantize("x", "d", "x"), *middle, quantize("r", "y", "y")]
    constants = {**parameters(x=(0.0113, 127), y=(scale, 121)), "one": np.array([1]), "image": np.array([2, 3])}
    return model_of(nodes, {"x": (U8, shape)}, {"y": (U8, out)}, constants)


def check(model, machine="edge16", kinds=("Reduction", "GlobalAveragePool")):
    inputs, graph = random_inputs(model, 5), read_network(model)
    expected = Reference(model).run(inputs)["y"]
    np.testing.assert_array_equal(evaluate(graph, inputs)["y"], expected)
    assert check_program(graph, compile_network(graph, GRAPHS[machine]), GRAPHS[machine], inputs) > 0
    assert np.abs(expected.astype(int) - Golden(model).run(inputs)["y"]).max() <= 1
    assert len(np.unique(expected)) > 1
    assert sum(type(n.attrs).__name__ in kinds for n in graph.nodes) == 1
    return graph


@pytest.mark.parametrize("machine", GRAPHS)
def test_the_mean_of_a_sum_of_branches(machine):
    """ResNeSt and SK networks: branches are added, their sum is averaged over the image."""
    check(reduced((1, 2, 12, 5, 6), (1, 12, 1, 1), node("ReduceSum", "d one", "s", keepdims=0), node("ReduceMean", "s", "r", axes=[2, 3])), machine)


@pytest.mark.parametrize(("shape", "out", "middle"), [
    ((2, 12, 5, 6), (2, 12), [node("ReduceMean", "d", "s", axes=[3], keepdims=0), node("ReduceMean", "s", "r", axes=[-1], keepdims=0)]),
    ((2, 12, 5, 6), (2, 12, 1, 1), [node("ReduceMean", "d", "s", axes=[2]), node("ReduceSum", "s image", "r")]),
    ((2, 3, 12), (2, 1, 12), [node("ReduceSum", "d one", "s"), node("ReduceMean", "s", "r", axes=[1])]),
    ((2, 3, 8, 4), (2, 1, 1), [node("ReduceSum", "d one", "s", keepdims=0), node("ReduceMean", "s", "t", axes=[1]), node("ReduceMean", "t", "r", axes=[1, 2])]),
])  # fmt: skip
def test_reductions_one_after_the_other(shape, out, middle):
    check(reduced(shape, out, *middle))


def test_a_clamp_in_between_is_refused():
    nodes = [node("ReduceSum", "d one", "s", keepdims=0), node("Relu", "s", "c"), node("ReduceMean", "c", "r", axes=[2, 3])]
    with pytest.raises(UnsupportedError, match=r"An activation operand must come from DequantizeLinear of an 8-bit tensor\. Found c, a float result"):
        read_network(reduced((1, 2, 12, 5, 6), (1, 12, 1, 1), *nodes))


@pytest.mark.parametrize(("shape", "out", "middle", "attributes"), [
    ((1, 2, 12, 6, 7), (1, 12, 3, 4), node("ReduceSum", "d one", "s", keepdims=0), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1],
                                                                                      "count_include_pad": 1}),
    ((2, 3, 5, 4, 6), (2, 5, 2, 3), node("ReduceMean", "d", "s", axes=[1], keepdims=0), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ((2, 5, 3, 8), (2, 5, 4), node("ReduceSum", "d image", "s", keepdims=0), {"kernel_shape": [2], "strides": [2]}),
])  # fmt: skip
@pytest.mark.parametrize("machine", GRAPHS)
def test_the_average_pool_of_a_sum(shape, out, middle, attributes, machine):
    """ResNeSt averages the sum of its branches over windows."""
    model = reduced(shape, out, middle, node("AveragePool", "s", "r", **attributes), scale=0.013)
    if len(shape) == 4:
        model.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(np.array([2]), "image"))
    check(model, machine, kinds=("Conv",))


def test_a_global_average_pool_of_a_sum():
    check(reduced((1, 2, 12, 5, 6), (1, 12, 1, 1), node("ReduceSum", "d one", "s", keepdims=0), node("GlobalAveragePool", "s", "r")))


def test_windows_of_different_size_are_refused():
    nodes = [node("ReduceSum", "d one", "s", keepdims=0), node("AveragePool", "s", "r", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
    with pytest.raises(UnsupportedError) as error:
        read_network(reduced((1, 2, 12, 5, 6), (1, 12, 5, 6), *nodes))
    sentence = "Windows over a sum that nothing has quantised must average as many elements each (count_include_pad, or no padding)."
    assert str(error.value).endswith(f"n_r (AveragePool): {sentence} Found windows of 4 to 9 elements.")
