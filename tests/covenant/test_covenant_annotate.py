"""What nodes cost, in the tools that show networks."""

import json

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from covenant.analysis.annotate import annotate, node_costs, node_data
from covenant.cli import main
from covenant.layers import layer_cycles
from covenant.networks import compile_file

DIGITS = "examples/digits_cnn.onnx"
EDGE = load_graph("edge16")


def properties(item):
    return {entry.key: entry.value for entry in item.metadata_props}


@pytest.mark.parametrize("network", [DIGITS, "examples/fashion_dscnn.onnx", "examples/motifs_encoder.onnx"])
def test_cycles_of_nodes_are_those_of_layers(network):
    program = compile_file(network, EDGE)[1]
    timeline = predict(EDGE, program.instructions)
    costs = node_costs(EDGE, program, timeline)
    layer_of = np.array([layer for layer, _ in program.provenance])
    cycles = layer_cycles(EDGE, program.instructions, layer_of, timeline.start, timeline.retire, len(program.layers))
    assert sum(row["cycles"] for row in costs.values()) == sum(cycles)
    for name, engine in EDGE.engines.items():  # and of each engine what it is busy for
        covered = np.zeros(timeline.total_cycles + 1, bool)
        for number in np.flatnonzero(timeline.engine == engine.index):
            covered[timeline.start[number]:timeline.retire[number] + 1] = True
        assert sum(row["engines"][name] for row in costs.values()) == covered.sum()
    assert set(costs) <= {node.name for node in onnx.load(network).graph.node}


def test_the_copy_is_the_network_with_properties(tmp_path, capsys):
    path = tmp_path / "a.onnx"
    assert main(["annotate", DIGITS, "--arch", "tiny", "-o", str(path)]) == 0
    beside = tmp_path / "a.node_data.json"
    assert capsys.readouterr().out == f"{path}: cycles of 6 of 31 nodes on tiny as metadata, for netron; {beside}: for Model Explorer\n"
    model, given = onnx.load(path), onnx.load(DIGITS)
    onnx.checker.check_model(model, full_check=True)
    assert properties(model)["covenant.machine"] == "tiny" and properties(model)["covenant.cycles"] == "29909"
    nodes = {node.name: properties(node) for node in model.graph.node}
    assert all({"covenant.machine", "covenant.cycles", "covenant.engine"} <= set(found) for found in nodes.values())
    conv = nodes["/conv2/Conv"]
    assert conv["covenant.operator"] == "Conv" and conv["covenant.engine"].startswith("load ") and "matrix " in conv["covenant.engine"]
    assert conv["covenant.largest_wait"].endswith(" cycles")
    assert nodes["/relu1/Relu_output_0_QuantizeLinear"] == {
        "covenant.machine": "tiny", "covenant.cycles": "0", "covenant.engine": "with /conv1/Conv", "covenant.layer": "/conv1/Conv"}
    assert nodes["conv1.weight_DequantizeLinear"]["covenant.engine"] == "none: folded into constants, or into where data lie"
    for node in model.graph.node:
        del node.metadata_props[:]
    del model.metadata_props[:]
    assert model.graph == given.graph and model.opset_import == given.opset_import


def test_node_data_are_what_model_explorer_reads(tmp_path):
    """Its types, as its package ai-edge-model-explorer 0.1.34 has them (node_data_builder): by graph the results by node, each with a number as value; optional
    a name and a gradient, of stops from 0 to 1 with colours."""
    path = tmp_path / "a.onnx"
    assert main(["annotate", DIGITS, "--arch", "tiny", "-o", str(path)]) == 0
    data = json.loads((tmp_path / "a.node_data.json").read_text())
    model = onnx.load(path)
    assert list(data) == [model.graph.name]
    graph = data[model.graph.name]
    assert set(graph) == {"name", "results", "gradient"} and isinstance(graph["name"], str)
    assert set(graph["results"]) < {node.name for node in model.graph.node}
    assert all(set(result) == {"value"} and type(result["value"]) is int for result in graph["results"].values())
    assert [item["stop"] for item in graph["gradient"]] == [0, 1] and all(set(item) == {"stop", "bgColor"} for item in graph["gradient"])
    assert {name: result["value"] for name, result in graph["results"].items()} == {
        node.name: int(properties(node)["covenant.cycles"]) for node in model.graph.node if properties(node)["covenant.cycles"] != "0"}


def test_nodes_without_names_and_earlier_properties(tmp_path):
    model = onnx.load(DIGITS)
    for node in model.graph.node:
        node.name = ""
    model.graph.node[3].metadata_props.add(key="mine", value="kept")
    model.graph.node[3].metadata_props.add(key="covenant.cycles", value="old")
    onnx.save(model, tmp_path / "n.onnx")
    program = compile_file(str(tmp_path / "n.onnx"), EDGE)[1]
    costs = node_costs(EDGE, program, predict(EDGE, program.instructions))
    annotate(model, costs, machine="edge16", total=1)
    assert sum(bool(row["engines"]) for row in costs.values()) == 6
    assert set(costs) <= {node.name for node in model.graph.node} == {f"#{index}" for index in range(31)}
    found = [(entry.key, entry.value) for entry in model.graph.node[3].metadata_props]
    assert found[0] == ("mine", "kept") and [key for key, _ in found].count("covenant.cycles") == 1 and ("covenant.cycles", "old") not in found
    assert len(node_data(model, costs, machine="edge16")[model.graph.name]["results"]) == 6


def test_refusals(tmp_path, capsys):
    program = tmp_path / "p.covenant"
    assert main(["compile", DIGITS, "--arch", "tiny", "-o", str(program)]) == 0
    capsys.readouterr()
    assert main(["annotate", str(program), "-o", "x.onnx"]) == 2
    assert capsys.readouterr().err == f"covenant: {program}: a program file carries no network; expected the ONNX network that it was compiled from\n"
    assert main(["annotate", DIGITS, "-o", DIGITS]) == 2
    assert capsys.readouterr().err == f"covenant: {DIGITS}: is read, and would be written; expected another file, give --output another name\n"
