"""Data movement from ONNX to bytes: every operator against the definition and onnxruntime on the functional simulator, some on RTL."""

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.covenant.movement_models import CASES, TRANSPOSED, conv_transpose_model, model_of_case
from verif.hazards import find_hazards
from verif.random.movement import MOVEMENT
from verif.random.networks import random_network

ARCHITECTURES = ("tiny", "edge16", "wide")


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", CASES)
def test_bytes_equal_the_definition_and_onnxruntime(name, arch):
    model, graph = model_of_case(CASES[name]), load_graph(arch)
    program = compile_network(read_network(model, name=name), graph)
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=1, count=2), on="iss")
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
    program = compile_network(read_network(model, name=name), graph)
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), draw(model_inputs(model), seed=1, count=2), on="iss")
    assert report["exact"], report["outputs"]
    assert report["outputs"]["y"]["onnxruntime"] == {"mismatches": 0, "max_abs_diff_steps": 0}
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []


def _random(seed, count, on):
    arch = ARCHITECTURES[seed % len(ARCHITECTURES)] if on == "iss" else "tiny"
    graph, size = load_graph(arch), ("tiny", "small", "medium")[seed // 3 % 3] if on == "iss" else "tiny"
    model = random_network(seed, ops=(*MOVEMENT, "conv", "pointwise", "depthwise", "maxpool"), max_nodes=6, size=size)
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    report, _ = judge_network(CompiledNetwork(f"seed {seed}", graph, program, model), draw(model_inputs(model), seed=seed, count=count), on=on)
    assert report["exact"], f"seed {seed}, {size} on {arch}: {report['outputs']} {report.get('divergence')}"
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
    return model, report


@pytest.mark.parametrize("first", range(0, 36, 6))
def test_random_networks(first):
    """Networks of movements between convolutions; ConvTranspose alone is computed in floats by onnxruntime, and may round another way."""
    for seed in range(first, first + 6):
        model, report = _random(seed, 1, "iss")
        for entry in report["outputs"].values():
            if all(n.op_type != "ConvTranspose" for n in model.graph.node) and "onnxruntime" in entry:
                assert entry["onnxruntime"]["mismatches"] == 0, f"seed {seed}"


@pytest.mark.rtl
@pytest.mark.parametrize("seed", range(100, 106))
def test_random_networks_on_rtl(seed):
    """Bytes and the cycle of every instruction."""
    _, report = _random(seed, 2, "rtl")
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    assert report["instructions"]["timeline_mismatches"] == 0



@pytest.mark.rtl
def test_phases_put_together_on_chip_on_rtl():
    """A transposed convolution to one channel: its pixels leave in whole chunks."""
    model, graph = conv_transpose_model((1, 4, 24, 24), 1, (2, 2), seed=5, strides=[2, 2]), load_graph("tiny")
    program = compile_network(read_network(model, name="phases"), graph)
    engines = [i.engine for i, (layer, _) in zip(program.instructions, program.provenance, strict=True) if program.layers[layer].op == "Move"]
    assert engines.count("vector") > engines.count("store") > 1
    report, _ = judge_network(CompiledNetwork("phases", graph, program, model), draw(model_inputs(model), seed=1, count=1), on="rtl")
    assert report["exact"] and report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
