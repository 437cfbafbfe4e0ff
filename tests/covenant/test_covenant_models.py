"""The zoo: topologies by their published counts, and the table of networks as a user meets it."""

import json
from math import prod

import pytest
from onnx import numpy_helper

from acg.graph import load_graph
from covenant.cli import main
from covenant.zoo.measure import describe, markdown, text
from covenant.zoo.quantised import model_file
from covenant.zoo.topologies import TOPOLOGIES

#: Multiply-accumulates of one inference, as published (MLPerf Tiny; torchvision's topologies).
MACS = {
    "resnet8": 12_501_632, "dscnn_kws": 2_656_768, "mobilenet_v1_025_96": 7_489_664, "autoencoder": 264_192,
    "mobilenet_v2": 300_774_272, "resnet18": 1_814_073_344, "resnet50": 4_089_184_256,
    "encoder_block": 4 * 64 * 128**2 + 2 * 64**2 * 128 + 2 * 64 * 128 * 512,
}

ROW = {
    "network": "net", "macs": 512, "ideal": 2, "predicted": 4, "measured": 4, "utilisation": 0.5, "instructions": 3, "exact": True, "divergence": [],
    "onnxruntime": {"elements": 10, "mismatches": 1, "max_abs_diff_steps": 1}, "compile_seconds": 0.12, "simulation_seconds": 1.0,
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_multiply_accumulates_as_published(name):
    model = TOPOLOGIES[name]()
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*model.graph.value_info, *model.graph.output)}
    weights = {w.name: numpy_helper.to_array(w).shape for w in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += prod(shapes[node.output[0]]) * prod(weights[node.input[1]][1:])
        elif node.op_type == "Gemm":
            total += prod(weights[node.input[1]])
        elif node.op_type == "MatMul":
            depth = weights[node.input[1]][0] if node.input[1] in weights else shapes[node.input[1]][-2]
            total += prod(shapes[node.output[0]]) * depth
    assert total == MACS[name]


def test_quantised_file_is_made_once_and_always_the_same(tmp_path):
    first, second = model_file("autoencoder", tmp_path / "a"), model_file("autoencoder", tmp_path / "b")
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    first.write_bytes(b"kept")
    assert model_file("autoencoder", tmp_path / "a").read_bytes() == b"kept"
    assert [path.name for path in (tmp_path / "a").iterdir()] == [first.name]


def test_table_on_the_functional_simulator(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COVENANT_CACHE", str(tmp_path / "cache"))
    page, result = tmp_path / "page.md", tmp_path / "rows.json"
    arguments = ["models", "resnet8", "autoencoder", "--arch", "edge16", "--on", "iss", "--quiet", "--markdown", str(page), "--json", str(result)]
    assert main(arguments) == 0
    rows = json.loads(result.read_text())["networks"]
    assert [(row["network"], row["macs"], row["exact"], row["measured"]) for row in rows] == [
        ("resnet8", MACS["resnet8"], True, None), ("autoencoder", MACS["autoencoder"], True, None)]
    assert all(row["predicted"] >= row["ideal"] for row in rows)
    assert all(row["onnxruntime"]["mismatches"] == 0 and row["onnxruntime"]["elements"] > 0 for row in rows)
    assert page.read_text() == markdown(rows, load_graph("edge16"), on="iss")
    assert text(rows) + "\n" == capsys.readouterr().out


def test_an_onnx_file_beside_the_zoo(tmp_path, monkeypatch, capsys):
    path = model_file("autoencoder", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["models", path.name, "--arch", "edge16", "--on", "iss", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:2] == [path.stem, "264,192"]


def test_unknown_network(capsys):
    assert main(["models", "resnet9", "--quiet"]) == 2
    assert capsys.readouterr().err == (
        "covenant: models: 'resnet9' is neither a file nor a network of the zoo; expected an ONNX file or one of resnet8, dscnn_kws, "
        "mobilenet_v1_025_96, autoencoder, mobilenet_v2, resnet18, resnet50, encoder_block\n"
    )


def test_a_line_says_what_is_wrong():
    assert describe(ROW) == ("net", "512", "2", "4", "4", "-", "50.0%", "3", "yes", "1 of 10 differ, at most 1 step", "0.1", "1")
    broken = ROW | {"exact": False, "measured": None, "onnxruntime": None, "simulation_seconds": None}
    assert describe(broken) == ("net", "512", "2", "4", "-", "-", "50.0%", "3", "NO", "-", "0.1", "-")
    golden = {"elements": 10, "mismatches": 2, "max_abs_diff_steps": 3}
    assert describe(ROW | {"onnxruntime": golden})[9] == "2 of 10 differ, at most 3 steps"
