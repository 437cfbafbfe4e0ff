"""Names in files: printable after reading, the same names the same, different names different, and the network still the same."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ModelError, UnsupportedError
from compiler.front.reading.load import load_model
from compiler.front.reading.names import settle_names
from compiler.read_network import read_network
from covenant.fuzz.onnx_changes import NAMES
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.reference import Reference

P = parameters(x=(0.1, 3), y=(0.25, 7))


def network(op="Relu"):
    nodes = [dequantize("x", "d", "x"), node(op, "d", "r"), node("Sigmoid", "r", "s"), quantize("s", "y", "y")]
    return model_of(nodes, {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 4, 4))}, P)


def renamed(model, word):
    """Every node, value and the graph with the word before and behind its name."""
    graph = model.graph
    for item in graph.node:
        item.name = f"{word}{item.name}{word}"
        item.input[:] = [f"{word}{name}{word}" for name in item.input]
        item.output[:] = [f"{word}{name}{word}" for name in item.output]
    for item in (*graph.input, *graph.output, *graph.initializer):
        item.name = f"{word}{item.name}{word}"
    graph.name = word
    return model


def names(model):
    graph = model.graph
    yield from (graph.name, *(item.name for item in (*graph.input, *graph.output, *graph.initializer, *graph.node)))
    yield from (name for item in graph.node for name in (*item.input, *item.output, item.op_type, item.domain))


def written(model, folder):
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("word", NAMES)
def test_the_network_stays_the_same(word, tmp_path):
    model = load_model(written(renamed(network(), word), tmp_path))
    assert all(name.isprintable() and len(name) <= 1000 for name in names(model))
    onnx.checker.check_model(model, full_check=True)
    x = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)
    (found,) = Reference(model).run({model.graph.input[0].name: x}).values()
    np.testing.assert_array_equal(found, Reference(network()).run({"x": x})["y"])
    assert all(item.name.isprintable() for item in read_network(model).nodes)


def test_plain_names_are_left_alone():
    model = network()
    before = model.SerializeToString(deterministic=True)
    settle_names(model)
    assert model.SerializeToString(deterministic=True) == before


def test_different_names_stay_different():
    """Escaped and cut they would be the same, or one that is there already."""
    long = "n" * 800
    model = network()
    for index, name in enumerate(["a\n", r"a\n", long + "1" + long, long + "2" + long]):
        model.graph.node[index].output[0] = name
    settle_names(model)
    found = [item.output[0] for item in model.graph.node]
    cut = "n" * 664 + "..." + "n" * 333
    assert found == [r"a\n~2", r"a\n", cut, "n" * 664 + "..." + "n" * 321 + "~2"]


def test_every_kind_of_name():
    """Subgraphs, functions, domains, attributes, dimensions, sequences."""
    w = "\x1b"
    value = helper.make_tensor_value_info
    inner = helper.make_graph([helper.make_node("Identity", [f"{w}x"], [f"{w}i"], name=w)], w, [], [value(f"{w}i", TensorProto.FLOAT, [f"{w}N", 3])])
    nodes = [
        helper.make_node("If", [f"{w}c"], [f"{w}o"], then_branch=inner, else_branch=inner), helper.make_node(f"{w}F", [f"{w}o"], [f"{w}y"], domain=f"{w}d"),
        helper.make_node("Relu", [f"{w}y"], ["z"], **{f"{w}a": 1}), helper.make_node("SequenceConstruct", ["z"], ["s"]),
    ]  # fmt: skip
    body = [helper.make_node("Neg", ["p"], [f"{w}q"]), helper.make_node("Abs", [f"{w}q"], ["r"])]
    function = helper.make_function(f"{w}d", f"{w}F", ["p"], ["r"], body, [helper.make_opsetid("", 17), helper.make_opsetid(f"{w}d", 1)], [f"{w}b"])
    inputs = [value(f"{w}x", TensorProto.FLOAT, [f"{w}N", 3]), value(f"{w}c", TensorProto.BOOL, [])]
    outputs = [value("z", TensorProto.FLOAT, [f"{w}N", 3]), helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, [f"{w}M", 3])]
    graph = helper.make_graph(nodes, w, inputs, outputs, [numpy_helper.from_array(np.float32(1), f"{w}k")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(f"{w}d", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    settle_names(model)
    assert "\x1b" not in model.SerializeToString().decode("latin-1")
    del model.graph.node[2].attribute[:]
    onnx.checker.check_model(onnx.inliner.inline_local_functions(model), full_check=True)


def test_what_is_no_text(tmp_path):
    data = network().SerializeToString().replace(b"n_r", b"n\xffr")
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "m.onnx")
    assert str(error.value) == f"model {tmp_path}/m.onnx: found names that are not UTF-8; expected a file written by onnx.save; export it again"


def test_messages_without_a_file():
    """A model that no file was read of keeps its names; messages do not."""
    with pytest.raises(UnsupportedError) as error:
        read_network(renamed(network("Hardmax"), "\x1b[2J\n"), name="a\nb")
    assert str(error.value) == "\n".join([
        r"model a\nb: found 1 unsupported node; expected supported operators only; change or remove:",
        r"  \x1b[2J\nn_r\x1b[2J\n (Hardmax): The operator must be one of those that the support table lists. Found Hardmax.",
    ])  # fmt: skip
