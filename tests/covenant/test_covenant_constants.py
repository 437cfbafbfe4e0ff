"""A float parameter of an operator may stand behind DequantizeLinear or any other operator on constants; the definition reads it there too."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant import judge
from covenant.fuzz.operator_networks import FOLDED, NETWORKS, operator_network
from covenant.run import execute_iss
from covenant.samples import draw, model_inputs
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.reference import Reference

TINY = load_graph("tiny")


def exact(model):
    program = compile_network(read_network(model, name="m"), TINY)
    samples = draw(model_inputs(model), seed=1, count=1)
    expected = Reference(model).run_each(samples)
    return judge.exact(judge.compare(execute_iss(TINY, program, samples).outputs, expected, dict.fromkeys(expected[0])))


def plain(item):
    """Whether a node takes its float constants as they are, not as scales."""
    return "QuantizeLinear" not in item.op_type and "DequantizeLinear" not in item.op_type and "QLinear" not in item.op_type and item.op_type != "QGemm"


def behind(model, name, how):
    """The model with a float constant behind DequantizeLinear, or QuantizeLinear and it, in steps of 1/4."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    graph = copy.graph
    tensor = next(item for item in graph.initializer if item.name == name)
    array = numpy_helper.to_array(tensor)
    graph.initializer.remove(tensor)
    new = {"param_s": np.float32(0.25), "param_z": np.int8(0)}
    nodes = [helper.make_node("DequantizeLinear", ["param_q", "param_s", "param_z"], [name], name="param_dequantise")]
    if how == "both":
        new["param_f"] = array
        nodes = [helper.make_node("QuantizeLinear", ["param_f", "param_s", "param_z"], ["param_q"], name="param_quantise"), *nodes]
    else:
        new["param_q"] = np.clip(np.rint(array * 4), -128, 127).astype(np.int8)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in new.items())
    nodes = [onnx.NodeProto.FromString(item.SerializeToString()) for item in (*nodes, *graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)
    return copy


def float_parameters():
    for name in NETWORKS:
        model = operator_network(name)
        floats = {item.name for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT}
        yield from ((name, value) for item in model.graph.node if plain(item) for value in item.input if value in floats)


@pytest.mark.parametrize("name,value", list(dict.fromkeys(float_parameters())))
def test_behind_dequantize_linear(name, value):
    model = operator_network(name)
    assert exact(behind(model, value, "one"))


@pytest.mark.parametrize("name", ["Pad", "Clip", "Resize"])
def test_behind_both(name):
    value = next(value for found, value in float_parameters() if found == name)
    assert exact(behind(operator_network(name), value, "both"))


@pytest.mark.parametrize("name", FOLDED)
def test_results_of_constants(name):
    assert exact(operator_network(f"constant {name}"))


@pytest.mark.parametrize("after", ["x", "y"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_value_of_a_pad(after, shape):
    """As onnxruntime's quantiser writes it; the value is one of the result's quantisation or not."""
    nodes = [dequantize("x", "d", "x"), dequantize("v", "f", "x"), node("Pad", "d p f", "t"), quantize("t", "y", after)]
    constants = {**parameters(x=(0.1, 3), y=(0.25, 7)), "p": np.int64([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.full(shape, 18, np.uint8)}
    assert exact(model_of(nodes, {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 6, 6))}, constants))
