"""Networks of other element types: 16-bit floats are read as float32, wider ones and integers stay with the host, what numpy has not is refused."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.front.reading.half import widen
from covenant.cli import main
from tests.support.models import F32, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden

CONSTANTS = {**parameters(x=(0.1, 3), y=(0.25, 7), w=(0.02, np.int8(0))), "w": np.random.default_rng(0).integers(-90, 90, (3, 2, 3, 3)).astype(np.int8)}
BODY = [quantize("a", "q", "x"), dequantize("q", "d", "x"), dequantize("w", "e", "w"), node("Conv", "d e", "c"), quantize("c", "r", "y"), dequantize("r", "b", "y")]


def halved(model, kind):
    """The same network in a 16-bit type, scales included."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    for tensor in model.graph.initializer:
        if tensor.data_type == F32:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    return model


def network(kind=F32):
    """x of a type -> Cast -> Conv, quantised -> Cast -> y of the type."""
    nodes = [node("Cast", "x", "a", to=F32), *BODY, node("Cast", "b", "y", to=kind)]
    return model_of(nodes, {"x": (kind, (1, 2, 6, 6))}, {"y": (kind, (1, 3, 4, 4))}, CONSTANTS, opset=19)


def half(kind):
    nodes = [node("Identity", "x", "a"), *BODY, node("Identity", "b", "y")]
    return halved(model_of(nodes, {"x": (F32, (1, 2, 6, 6))}, {"y": (F32, (1, 3, 4, 4))}, CONSTANTS, opset=19), kind)


def run(model, folder, *arguments):
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return main(["run", str(folder / "m.onnx"), "--arch", "tiny", "--on", "iss", "--quiet", "--json", str(folder / "r.json"), *map(str, arguments)])


@pytest.mark.parametrize("arguments", [(), ("--fallback", "host")])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_sixteen_bits(kind, arguments, tmp_path, capsys):
    assert run(half(kind), tmp_path, *arguments, "-o", tmp_path / "y.npz") == 0
    name = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}[kind]
    assert capsys.readouterr().err == (
        f"covenant: warning: model {tmp_path}/m.onnx: {name} read as float32, inputs and outputs too; results are not rounded to 16 bits on the way\n")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exact"] is True and report["outputs"]["y"]["onnxruntime"]["mismatches"] == 0 and report["instructions"]["count"] > 0
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].dtype == np.float32


def test_samples_of_sixteen_bits(tmp_path, capsys):
    """A float16 array is what a float16 network's user has; the outputs are those of onnxruntime's float16 run, but for its last rounding."""
    model = half(TensorProto.FLOAT16)
    x = np.random.default_rng(1).normal(0, 5, (1, 2, 6, 6)).astype(np.float16)
    np.savez(tmp_path / "x.npz", x=x)
    assert run(model, tmp_path, "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz") == 0
    with np.load(tmp_path / "y.npz") as arrays:
        found = arrays["y"]
    np.testing.assert_array_equal(found.astype(np.float16), Golden(model).run({"x": x})["y"])


def test_every_place_of_a_type():
    """Constants, attributes, branches, types of sequences: nothing of 16 bits is left, and no value has changed."""
    t = numpy_helper.from_array(np.float16([1.5, -65504]), "t")
    inner = helper.make_graph([helper.make_node("Constant", [], ["k"], value=t)], "g", [], [helper.make_tensor_value_info("k", TensorProto.FLOAT16, [2])])
    nodes = [
        helper.make_node("If", ["p"], ["i"], then_branch=inner, else_branch=inner), helper.make_node("Cast", ["i"], ["c"], to=TensorProto.FLOAT16),
        helper.make_node("SequenceConstruct", ["c"], ["s"]), helper.make_node("ConstantOfShape", ["n"], ["y"], value=numpy_helper.from_array(np.float16([2]))),
    ]  # fmt: skip
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT16, [2])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n"]), sequence]
    graph = helper.make_graph(nodes, "m", [helper.make_tensor_value_info("p", TensorProto.BOOL, [])], outputs, [numpy_helper.from_array(np.int64([3]), "n")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert widen(model) == ("float16",)
    onnx.checker.check_model(model, full_check=True)
    text = onnx.printer.to_text(model)
    assert "float16" not in text and "to: int = 1>" in text.replace(" ,", ",")
    then = model.graph.node[0].attribute[0].g
    np.testing.assert_array_equal(numpy_helper.to_array(then.node[0].attribute[0].t), np.float32([1.5, -65504]))
    assert widen(model) == ()


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT16])
def test_types_of_the_host(kind, tmp_path, capsys):
    assert run(network(kind), tmp_path) == 2
    name = onnx.TensorProto.DataType.Name(kind).lower()
    assert f"x (graph input): A graph input must be float32, int8 or uint8. Found {name}.\n" in capsys.readouterr().err
    assert run(network(kind), tmp_path, "--fallback", "host") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exact"] is True and report["instructions"]["count"] > 0 and report["outputs"]["y"]["onnxruntime"]["mismatches"] == 0


@pytest.mark.parametrize("last", [
    [node("Greater", "b sx", "y")], [node("GreaterOrEqual", "b sx", "g"), node("Not", "g", "y")], [node("Less", "b sx", "g"), node("Identity", "g", "y")],
], ids=["Greater", "Not", "Less"])
def test_a_comparison_at_the_end_is_bool(last, tmp_path):
    """Bytes of 0 and 1 on the machine; behind Cast to float32 they are numbers."""
    nodes = [node("Identity", "x", "a"), *BODY, *last]
    model = model_of(nodes, {"x": (F32, (1, 2, 6, 6))}, {"y": (TensorProto.BOOL, (1, 3, 4, 4))}, CONSTANTS, opset=19)
    assert run(model, tmp_path, "-o", tmp_path / "y.npz") == 0
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].dtype == bool and 0 < arrays["y"].sum() < arrays["y"].size
    assert json.loads((tmp_path / "r.json").read_text())["outputs"]["y"]["onnxruntime"]["mismatches"] == 0
    model.graph.node.append(node("Cast", "y", "z", to=F32))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", F32, (1, 3, 4, 4)))
    assert run(model, tmp_path) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exact"] is True and report["outputs"]["z"]["onnxruntime"]["mismatches"] == 0


@pytest.mark.parametrize("kind,found", [(TensorProto.STRING, "string"), (TensorProto.FLOAT8E4M3FN, "float8e4m3fn"), (TensorProto.INT4, "int4")])
def test_types_of_nobody(kind, found, tmp_path, capsys):
    assert run(network(kind), tmp_path, "--fallback", "host") == 2
    assert capsys.readouterr().err == (
        f"covenant: model {tmp_path}/m.onnx: input x: found elements of type {found}; expected a tensor of integers, float32, float64 or bool\n")


def test_damaged_sixteen_bits(tmp_path, capsys):
    model = half(TensorProto.FLOAT16)
    tensor = next(item for item in model.graph.initializer if item.name == "sx")
    tensor.raw_data = b"\0"
    assert run(model, tmp_path) == 2
    assert capsys.readouterr().err == (f"covenant: model {tmp_path}/m.onnx: found an unreadable model (tensor sx of 2 bytes, of which 1 are there); "
                                       "expected a complete ONNX model; export it again\n")
