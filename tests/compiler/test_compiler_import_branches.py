"""If nodes that shapes decide vanish before the import; others are refused by name. Results are those of onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.errors import UnsupportedError
from compiler.front.reading.load import definition
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden
from verif.reference import Reference

P = parameters(x=(0.1, 3), y=(0.05, 7))
CONSTANTS = {**P, "one": np.int64(1), "at": np.int64(1), "k": np.float32(1.5)}


def branch(name, nodes, constants=()):
    """A branch; it gives the output of its last node."""
    output = helper.make_tensor_value_info(nodes[-1].output[0], F32, None)
    return helper.make_graph(nodes, name, [], [output], [numpy_helper.from_array(value, key) for key, value in constants])


def model_with(then, other, *, channels=1):
    """Is dimension 1 of x equal to 1? Then one branch, else the other; as exporters write Squeeze."""
    nodes = [dequantize("x", "d", "x"), node("Shape", "d", "shape"), node("Gather", "shape at", "size"), node("Equal", "size one", "c"),
             helper.make_node("If", ["c"], ["i"], name="n_i", then_branch=then, else_branch=other), quantize("i", "y", "y")]
    out = (2, 4) if channels == 1 and then.node[-1].op_type == "Squeeze" else (2, channels, 4)
    return model_of(nodes, {"x": (U8, (2, channels, 4))}, {"y": (U8, out)}, CONSTANTS)


def check(model):
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    sample = {"x": np.random.default_rng(0).integers(0, 256, shape, np.uint8)}
    expected = Golden(model).run(sample)["y"]
    np.testing.assert_array_equal(evaluate(read_network(model, name="m"), sample)["y"], expected)
    np.testing.assert_array_equal(Reference(definition(model)).run(sample)["y"], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_branch_that_a_shape_decides(channels):
    half = branch("then", [helper.make_node("Mul", ["d", "half"], ["a"])], [("half", np.float32(0.5))])
    relu = branch("else", [helper.make_node("Relu", ["d"], ["b"])])
    check(model_with(half, relu, channels=channels))


def test_a_branch_that_changes_the_shape():
    squeeze = branch("then", [helper.make_node("Squeeze", ["d", "axes"], ["a"])], [("axes", np.int64([1]))])
    check(model_with(squeeze, branch("else", [helper.make_node("Identity", ["d"], ["b"])])))


def test_branches_within_branches():
    inner = helper.make_node("If", ["c"], ["b"], then_branch=branch("in", [helper.make_node("Abs", ["d"], ["e"])]),
                             else_branch=branch("out", [helper.make_node("Neg", ["d"], ["f"])]))
    check(model_with(branch("then", [inner, helper.make_node("Relu", ["b"], ["g"])]), branch("else", [helper.make_node("Relu", ["d"], ["h"])])))


def test_a_condition_on_data_is_refused_by_name():
    nodes = [dequantize("x", "d", "x"), node("ReduceMax", "d", "m", keepdims=0), node("Greater", "m k", "c"),
             helper.make_node("If", ["c"], ["i"], name="n_i", then_branch=branch("then", [helper.make_node("Relu", ["d"], ["a"])]),
                              else_branch=branch("else", [helper.make_node("Neg", ["d"], ["b"])])), quantize("i", "y", "y")]
    model = model_of(nodes, {"x": (U8, (2, 3))}, {"y": (U8, (2, 3))}, CONSTANTS)
    with pytest.raises(UnsupportedError) as error:
        read_network(model, name="m")
    assert "n_i (If): The operator must be one of those that the support table lists. Found If." in [str(entry) for entry in error.value.entries]


def test_a_network_without_branches_is_its_own_definition():
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], {"x": (U8, (2, 3))}, {"y": (U8, (2, 3))}, P)
    assert definition(model) == model and isinstance(definition(model), onnx.ModelProto)
