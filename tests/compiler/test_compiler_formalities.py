"""What onnx's checker refuses and onnxruntime loads is read, and means what onnxruntime computes; a file that contradicts itself is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compiler.errors import ModelError
from compiler.front.reading.clean import clean
from compiler.front.reading.load import definition, prepare_model
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import F32, U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden, open_session
from verif.reference import Reference


def network():
    """QDQ Conv-Relu with an If that a constant decides, so that a subgraph holds names of the graph around it."""
    rng = np.random.default_rng(5)
    then = helper.make_graph([node("Identity", "r", "t")], "then", [], [helper.make_tensor_value_info("t", F32, (1, 3, 3, 3))])
    other = helper.make_graph([node("Relu", "c", "o")], "else", [], [helper.make_tensor_value_info("o", F32, (1, 3, 3, 3))])
    nodes = [
        dequantize("x", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), node("Relu", "c", "r"),
        node("If", "always", "b", then_branch=then, else_branch=other), quantize("b", "y", "y"),
    ]
    constants = {**parameters(x=(0.1, 3), y=(0.2, 5), w=(0.05, np.int8(0))), "w": rng.integers(-9, 9, (3, 2, 3, 3)).astype(np.int8), "always": np.array(True)}
    return model_of(nodes, {"x": (U8, (1, 2, 5, 5))}, {"y": (U8, (1, 3, 3, 3))}, constants)


def declared(model, *, dims=lambda dims: dims, kind=lambda kind: kind):
    """Every initializer a graph input too, as old exporters write them."""
    for item in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(item.name, kind(item.data_type), dims(list(item.dims))))


def version(number, *, inputs=False):
    def change(model):
        model.ir_version = number
        if inputs:
            declared(model)

    return change


def backwards(model):
    for graph in (model.graph, *(a.g for n in model.graph.node for a in n.attribute if a.HasField("g"))):
        nodes = [onnx.NodeProto.FromString(item.SerializeToString()) for item in reversed(graph.node)]
        del graph.node[:]
        graph.node.extend(nodes)


def initializer_again(model):
    """The last of one name counts."""
    first = onnx.TensorProto.FromString(model.graph.initializer[0].SerializeToString())
    model.graph.initializer.insert(0, numpy_helper.from_array(np.float32(17), first.name))


def domain_spelt_out(model):
    model.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    for item in model.graph.node:
        item.domain = "ai.onnx"


def stale(model):
    model.graph.value_info.append(helper.make_tensor_value_info("c", F32, (1, 9, 3)))
    del model.graph.output[0].type.tensor_type.shape.dim[1]


FORMALITIES = {
    "IR version 3": version(3), "IR version 3, inputs": version(3, inputs=True), "IR version 2": version(2), "IR version 1": version(1, inputs=True),
    "initializers are inputs": declared, "inputs without shapes": lambda model: declared(model, dims=lambda dims: None),
    "graph without a name": lambda model: model.graph.ClearField("name"), "nodes backwards": backwards, "initializer twice": initializer_again,
    "output without a type": lambda model: model.graph.output[0].ClearField("type"),
    "output without a shape": lambda model: model.graph.output[0].type.tensor_type.ClearField("shape"),
    "shapes that are not so": stale, "opset twice": lambda model: model.opset_import.append(helper.make_opsetid("", 17)),
    "domain spelt out": domain_spelt_out,
    "initializer without a name": lambda model: model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "")),
    "property twice": lambda model: model.metadata_props.extend(onnx.StringStringEntryProto(key="a", value=text) for text in "bc"),
}


@pytest.mark.parametrize("change", FORMALITIES.values(), ids=FORMALITIES)
def test_what_onnxruntime_loads_is_read(change):
    model = network()
    change(model)
    samples = {"x": np.random.default_rng(1).integers(0, 256, (1, 2, 5, 5), np.uint8)}
    expected = Golden(network()).run(samples)["y"]
    np.testing.assert_array_equal(Golden(model).run(samples)["y"], expected)
    np.testing.assert_array_equal(evaluate(read_network(model, name="m"), samples)["y"], expected)
    np.testing.assert_array_equal(Reference(definition(model)).run(samples)["y"], expected)
    cleaned = clean(model)
    onnx.checker.check_model(cleaned)
    assert cleaned.ir_version >= 7 and [value.name for value in cleaned.graph.input] == ["x"]


CONTRADICTIONS = {
    "another shape": lambda model: declared(model, dims=lambda dims: [*dims, 7]),
    "another type": lambda model: declared(model, kind=lambda kind: U8 if kind == F32 else F32),
    "no IR version": lambda model: model.ClearField("ir_version"),
    "an output of another type": lambda model: model.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(F32, (1, 3, 3, 3))),
    "a value of another type": lambda model: model.graph.value_info.append(helper.make_tensor_value_info("c", U8, (1, 3, 3, 3))),
}


@pytest.mark.parametrize("change", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_as_onnxruntime_does(change):
    model = network()
    change(model)
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        open_session(model)
    with pytest.raises(ModelError, match=r"^model m: found a model that onnx refuses \(.*\); expected a valid model; correct it, see onnx.checker$"):
        prepare_model(model, name="m")


def test_nodes_that_wait_for_each_other_are_refused():
    model = network()
    model.graph.node[2].input[0] = "r"
    with pytest.raises(ModelError, match=r"^model m: found a model that onnx refuses \(Nodes in a graph must be topologically sorted, .*\)"):
        prepare_model(model, name="m")


def test_nodes_are_named_by_their_place_in_the_file():
    model = network()
    backwards(model)
    for item in model.graph.node:
        item.ClearField("name")
    assert [item.name for item in clean(model).graph.node] == ["#4", "#5", "#3", "#2", "#1", "#0"]


def test_a_model_without_a_node_of_the_standard_domain():
    """A classical model is none of ours; a network of onnxruntime's own operators may do without an opset of the standard ones."""
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])
    normalizer = helper.make_node("Normalizer", ["y"], ["z"], domain="ai.onnx.ml", norm="L2")
    model = model_of([scaler, normalizer], {"x": (F32, (1, 4))}, {"z": (F32, (1, 4))}, {})
    for opsets in ([("ai.onnx.ml", 3)], [("", 17), ("ai.onnx.ml", 3)]):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
        with pytest.raises(ModelError) as error:
            prepare_model(model, name="m.onnx")
        assert str(error.value) == (
            "model m.onnx: found no node of the standard domain, but ai.onnx.ml.Normalizer, ai.onnx.ml.Scaler; expected a network of ONNX's own operators;"
            " run it on onnxruntime, or export the network in it by itself"
        )


def test_a_network_of_onnxruntimes_operators_alone():
    constants = parameters(x=(0.1, 3), y=(0.2, 5))
    nodes = [node("QLinearAdd", "x sx zx x sx zx sy zy", "y", domain="com.microsoft")]
    model = model_of(nodes, {"x": (U8, (1, 2, 5, 5))}, {"y": (U8, (1, 2, 5, 5))}, constants)
    del model.opset_import[0]
    samples = {"x": np.random.default_rng(1).integers(0, 256, (1, 2, 5, 5), np.uint8)}
    np.testing.assert_array_equal(evaluate(read_network(model, name="m"), samples)["y"], Golden(model).run(samples)["y"])
    np.testing.assert_array_equal(Reference(definition(model)).run(samples)["y"], Golden(model).run(samples)["y"])
