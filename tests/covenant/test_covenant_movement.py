"""Data movement from ONNX to bytes: every operator against the definition and onnxruntime on the functional simulator, some on RTL."""

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.onnx_import.pipeline import read_network
from compiler.pipeline import compile_graph
from covenant.networks import Network
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.covenant.movement_models import CASES, TRANSPOSED, conv_transpose_model, model_of_case
from verif.hazards import find_hazards

ARCHITECTURES = ("tiny", "edge16", "wide")


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", CASES)
def test_bytes_equal_the_definition_and_onnxruntime(name, arch):
    model, graph = model_of_case(CASES[name]), load_graph(arch)
    program = compile_graph(read_network(model, name=name), graph)
    report, _ = judge_network(Network(name, graph, program, model), draw(model_inputs(model), seed=1, count=2), on="iss")
    assert report["exact"], report["outputs"]
    assert len(report["outputs"]) == CASES[name].outputs
    for entry in report["outputs"].values():
        assert entry["elements"] > 0
        assert entry["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions(name, arch):
    model, graph = conv_transpose_model(seed=3, **TRANSPOSED[name]), load_graph(arch)
    program = compile_graph(read_network(model, name=name), graph)
    report, _ = judge_network(Network(name, graph, program, model), draw(model_inputs(model), seed=1, count=2), on="iss")
    assert report["exact"], report["outputs"]
    assert report["outputs"]["y"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
