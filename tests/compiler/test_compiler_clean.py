"""Clean-up before the import: opsets, names, Dropout; the meaning stays that of the model as it was (judged by onnxruntime)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.errors import ModelError
from compiler.front.reading.clean import clean
from compiler.read_network import read_network
from tests.compiler.ir_reference import evaluate
from tests.support.models import U8, dequantize, model_of, node, parameters, quantize
from verif.golden import Golden, open_session

P = parameters(x=(0.1, 3), y=(0.05, 7))
X, Y = {"x": (U8, (1, 3, 4, 4))}, {"y": (U8, (1, 3, 4, 4))}


def old_model(opset):
    """Clip, Dropout, Unsqueeze and Squeeze as the opset writes them: attributes before opset 11 to 13, inputs after; no names."""
    clip = helper.make_node("Clip", ["d"], ["c"], min=0.5, max=6.0) if opset < 11 else helper.make_node("Clip", ["d", "low", "high"], ["c"])
    nodes = [
        dequantize("x", "d", "x"), clip, helper.make_node("Dropout", ["c"], ["e", "mask"] if opset > 9 else ["e"]),
        helper.make_node("Unsqueeze", ["e"], ["u"], axes=[0]), helper.make_node("Squeeze", ["u"], ["v"], axes=[0]), quantize("v", "y", "y"),
    ]
    model = model_of(nodes, X, Y, {**P, "low": np.float32(0.5), "high": np.float32(6)}, opset=opset)
    del model.opset_import[1:]
    for item in model.graph.node:
        item.ClearField("name")
    return model


@pytest.mark.parametrize("opset", [10, 11, 12])
def test_old_opsets_are_converted(opset):
    model, samples = old_model(opset), {"x": np.random.default_rng(opset).integers(0, 256, (1, 3, 4, 4), np.uint8)}
    got = evaluate(read_network(model, name="m"), samples)
    np.testing.assert_array_equal(got["y"], Golden(model).run(samples)["y"])


@pytest.mark.parametrize("opset", [22, 23, 24])
def test_new_opsets_are_converted(opset):
    nodes = [dequantize("x", "d", "x"), node("MaxPool", "d", "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), quantize("m", "y", "x")]
    model, samples = model_of(nodes, X, Y, P, opset=opset), {"x": np.random.default_rng(opset).integers(0, 256, (1, 3, 4, 4), np.uint8)}
    got = evaluate(read_network(model, name="m"), samples)
    np.testing.assert_array_equal(got["y"], Golden(model).run(samples)["y"])


def test_an_opset_that_onnx_cannot_convert_is_refused_with_its_reason():
    nodes = [dequantize("x", "d", "x"), quantize("d", "y", "y")]
    model = model_of(nodes, X, Y, P, opset=9)
    with pytest.raises(ModelError) as error:
        clean(model, name="m.onnx")
    assert str(error.value) == (
        "model m.onnx: found opset 9, which onnx cannot convert to 13 (No Adapter From Version $9 for DequantizeLinear);"
        " expected an opset from 13 to 21; export it again with such an opset"
    )


@pytest.mark.parametrize(("count", "found"), [(0, "none"), (2, "17, 18")])
def test_not_one_opset(count, found):
    model = model_of([dequantize("x", "d", "x"), quantize("d", "y", "y")], X, Y, P)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid("", 17 + index) for index in range(count))
    with pytest.raises(ModelError) as error:
        clean(model, name="m.onnx")
    assert str(error.value) == f"model m.onnx: found opset {found}; expected one opset from 13 to 21; export it again"


def test_nodes_without_a_name_are_called_by_their_position():
    nodes = [dequantize("x", "d", "x"), helper.make_node("Relu", ["d"], ["r"]), quantize("r", "y", "y")]
    assert [item.name for item in clean(model_of(nodes, X, Y, P)).graph.node] == ["n_d", "#1", "n_y"]


def dropout(constants, inputs="d", outputs=("r",), **extra):
    nodes = [dequantize("x", "d", "x"), helper.make_node("Dropout", inputs.split(), list(outputs), name="drop"), quantize("r", "y", "y")]
    return model_of(nodes, X, {**Y, **extra}, {**P, **constants})


@pytest.mark.parametrize(("constants", "inputs", "outputs"), [
    ({}, "d", ("r",)),
    ({"ratio": np.float32(0.3)}, "d ratio", ("r", "mask")),
    ({"ratio": np.float32(0.3), "train": np.bool_(False)}, "d ratio train", ("r",)),
])
def test_dropout_vanishes(constants, inputs, outputs):
    cleaned = clean(dropout(constants, inputs, outputs))
    onnx.checker.check_model(cleaned)
    assert [(item.op_type, list(item.input), list(item.output)) for item in cleaned.graph.node][1] == ("Identity", ["d"], ["r"])


def test_dropout_that_trains_or_gives_its_mask_stays():
    training = dropout({"ratio": np.float32(0.3), "train": np.bool_(True)}, "d ratio train")
    masked = dropout({}, "d", ("r", "mask"), mask=(onnx.TensorProto.BOOL, (1, 3, 4, 4)))
    assert [clean(model).graph.node[1].op_type for model in (training, masked)] == ["Dropout", "Dropout"]


def test_nodes_that_no_output_depends_on_go():
    inner = helper.make_graph([helper.make_node("Identity", ["r"], ["a"])], "g", [], [helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, None)])
    nodes = [dequantize("x", "d", "x"), node("Relu", "d", "r"), node("Einsum", "d", "unread", equation="nchw->nchw"),
             helper.make_node("If", ["c"], ["i"], name="n_i", then_branch=inner, else_branch=inner), node("Neg", "unread", "too"), quantize("i", "y", "y")]
    cleaned = clean(model_of(nodes, X, Y, {**P, "c": np.bool_(True)}))
    assert [item.name for item in cleaned.graph.node] == ["n_d", "n_r", "n_i", "n_y"]


def test_the_model_itself_is_left_alone():
    model = dropout({})
    before = model.SerializeToString()
    clean(model)
    assert model.SerializeToString() == before


def recorded(folder, kind, count):
    tensors = [onnx.load_tensor(folder / "test_data_set_0" / f"{kind}_{index}.pb") for index in range(count)]
    return [numpy_helper.to_array(tensor) for tensor in tensors]


@pytest.mark.parametrize("kind", ["pytorch-converted", "pytorch-operator"])
def test_exported_networks_mean_what_they_meant(kind):
    """Those in the onnx package, of opset 6 and IR version 3: the numbers recorded beside them are those of their exporter."""
    folders = sorted((Path(onnx.__file__).parent / "backend/test/data" / kind).glob("*/model.onnx"))
    assert len(folders) > 30
    for path in folders:
        model = onnx.load(path)
        constants = {item.name for item in model.graph.initializer}
        names = [value.name for value in model.graph.input if value.name not in constants]
        outputs = open_session(clean(model)).run(None, dict(zip(names, recorded(path.parent, "input", len(names)), strict=True)))
        for got, expected in zip(outputs, recorded(path.parent, "output", len(outputs)), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5, err_msg=path.parent.name)


def resizing(opset, mode, scales):
    """A float Resize, or Upsample before opset 10, by scales alone."""
    op, roi = ("Upsample" if opset < 10 else "Resize"), [] if opset < 11 else ["roi"]
    given = {"scales": np.array(scales, np.float32), "roi": np.zeros(0, np.float32)}
    attributes = {"mode": mode} | ({"scales": [float(s) for s in scales]} if opset < 9 else {})
    names = ["x", *roi, *(["scales"] if opset > 8 else [])]
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attributes)], "resizing", [helper.make_tensor_value_info("x", 1, [1, 2, 6, 8])],
                              [helper.make_tensor_value_info("y", 1, None)], [numpy_helper.from_array(given[n], n) for n in names[1:]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 1.5, 1.3), (1, 1, 0.5, 0.7), (1, 1, 0.6, 1.7)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [8, 9, 10, 11])
def test_coordinates_of_old_resizes_are_kept(opset, mode, scales):
    """Before opset 11 they are asymmetric; onnx's converter says nothing, and half_pixel is the default since."""
    if opset < 10 and min(scales) < 1:
        return  # Upsample only grows
    model, x = resizing(opset, mode, scales), np.random.default_rng(opset).random((1, 2, 6, 8)).astype(np.float32)
    before, after = (open_session(m).run(None, {"x": x})[0] for m in (model, clean(model)))
    np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize(("operator", "opset", "more"), [("RMSNormalization", 23, "c"), ("Swish", 24, ""), ("PRelu", 6, "c")])
def test_an_output_that_is_declared_of_another_type(operator, opset, more):
    """Operators of other opsets are written out by ranks, which onnx does not infer where the file contradicts its nodes: whoever judges the file says so."""
    nodes = [node(operator, f"x {more}", "y")] if more else [node(operator, "x", "y")]
    outputs = {"y": (TensorProto.FLOAT, (1, 3, 4)), "c": (TensorProto.UINT8, (4,))}
    model = model_of(nodes, {"x": (TensorProto.FLOAT, (1, 3, 4))}, outputs, {"c": np.ones(4, np.float32)}, opset=opset)
    with pytest.raises(ModelError) as error:
        clean(model, name="m.onnx")
    assert str(error.value) == (
        f"model m.onnx: found opset {opset}, which onnx cannot convert to {min(max(opset, 13), 21)} ([TypeInferenceError] Inferred elem type differs from "
        "existing elem type: (1) vs (2)); expected an opset from 13 to 21; export it again with such an opset"
    )
