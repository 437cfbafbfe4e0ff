"""Fourteen layers against their bound: the list, the files, the table as a user meets it."""

import json
from math import prod

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from acg.shared import shared_folder
from covenant.cli import main
from covenant.zoo.single import SINGLE, layer_file
from covenant.zoo.single_table import markdown, mean_share, measure, text

#: Multiply-accumulates by hand: results times what each sums up.
MACS = {
    "stem_7x7s2": 112 * 112 * 64 * 147, "conv_1x1_64_256": 56 * 56 * 256 * 64, "conv_3x3_64": 56 * 56 * 64 * 576, "conv_3x3_256": 14 * 14 * 256 * 2304,
    "shortcut_1x1s2": 28 * 28 * 512 * 256, "fc_2048_1000": 2048 * 1000, "depthwise_3x3": 112 * 112 * 32 * 9, "depthwise_3x3s2": 28 * 28 * 128 * 9,
    "expand_1x1": 112 * 112 * 96 * 16, "scores": 12 * 128 * 128 * 64, "feed_forward": 128 * 3072 * 768,
}


def test_there_are_fourteen():
    assert len(SINGLE) == 14 and set(SINGLE) - set(MACS) == {"max_pool_3x3s2", "residual_add", "softmax"}


@pytest.mark.parametrize("name", SINGLE)
def test_shapes_are_those_of_the_table(name):
    layer = SINGLE[name]
    model = onnx.shape_inference.infer_shapes(layer.model(name, 0), strict_mode=True)
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == list(layer.y)
    weight = next((onnx.numpy_helper.to_array(w) for w in model.graph.initializer if w.name.endswith("weight")), None)
    if weight is not None:
        reduced = weight.size // (weight.shape[0] if weight.ndim == 4 else weight.shape[1])
        assert prod(layer.y) * reduced == MACS[name]


def test_a_layer_is_made_once_and_always_the_same(tmp_path):
    first, second = (layer_file("max_pool_3x3s2", tmp_path / folder) for folder in "ab")
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    assert [node.op_type for node in onnx.load(first).graph.node] == ["QuantizeLinear", "DequantizeLinear", "MaxPool", "QuantizeLinear", "DequantizeLinear"]
    first.write_bytes(b"kept")
    assert layer_file("max_pool_3x3s2", tmp_path / "a").read_bytes() == b"kept" and len(list((tmp_path / "a").iterdir())) == 1


def test_weights_are_of_eight_bits_a_channel(tmp_path):
    model = onnx.load(layer_file("depthwise_3x3s2", tmp_path))
    arrays = [onnx.numpy_helper.to_array(item) for item in model.graph.initializer]
    assert [array.shape for array in arrays if array.dtype == np.int8 and array.ndim == 4] == [(128, 1, 3, 3)]


def test_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COVENANT_CACHE", str(tmp_path / "cache"))
    page, result = tmp_path / "page.md", tmp_path / "rows.json"
    arguments = ["layers", "depthwise_3x3s2", "residual_add", "--arch", "edge16", "--arch", "dsp", "--on", "iss", "--on", "predict", "--quiet", "--markdown",
                 str(page), "--json", str(result)]
    assert main(arguments) == 0
    found = json.loads(result.read_text())
    rows = found["layers"]
    assert [(row["arch"], row["layer"], row["exact"], row["measured"], row["refused"]) for row in rows] == [
        ("edge16", "depthwise_3x3s2", True, None, None), ("edge16", "residual_add", True, None, None), ("dsp", "depthwise_3x3s2", None, None, None),
        ("dsp", "residual_add", None, None, None)]
    assert all(0 < row["share"] <= 1 and row["share"] == row["bound"]["cycles"] / row["predicted"] for row in rows)
    assert found["geometric_mean"]["dsp"] == pytest.approx((rows[2]["share"] * rows[3]["share"]) ** 0.5)
    assert page.read_text() == markdown(rows, [load_graph("edge16"), load_graph("dsp")])
    assert capsys.readouterr().out == text(rows) + "\n"


def test_what_is_refused_is_said_and_counts_for_nothing(tmp_path):
    lacking = tmp_path / "lacking.yaml"
    lacking.write_text("\n".join(line for line in shared_folder("archs").joinpath("tiny.yaml").read_text().splitlines() if "MAXIMUM(" not in line))
    row = measure("max_pool_3x3s2", layer_file("max_pool_3x3s2", tmp_path), load_graph(str(lacking)), on="predict")
    assert row["refused"] and (row["predicted"], row["share"], row["bound"]["by"]) == (None, None, "read") and mean_share([row]) is None
    assert f"- tiny refuses MaxPool 3x3/2, 64 channels, 112x112: {row['refused']}\n" in markdown([row], [load_graph("tiny")])
    assert "tiny: geometric mean - over 0 of 1 layers" in text([row])


@pytest.mark.parametrize(("arguments", "message"), [
    (["layer_seven"], f"layers: 'layer_seven' is none of them; expected {', '.join(SINGLE)}"),
    (["--arch", "tiny", "--arch", "tiny"], "layers: two machines named tiny; expected each once"),
    (["--on", "iss", "--on", "rtl"], "layers: --on 2 times for 3 machines; expected it once, or once a machine in their order"),
])  # fmt: skip
def test_what_cannot_be_asked_for(arguments, message, capsys):
    assert main(["layers", *arguments]) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"
