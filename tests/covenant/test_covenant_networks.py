"""Random quantised networks on all witnesses: ONNX reference, functional simulator (here), RTL (test_covenant_rtl.py).

A failure names the command that replays it (on the RTL).
"""

import json
from pathlib import Path

import numpy as np
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.errors import UnsupportedError
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.cli import main
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.support.architectures import CORES, FIXED_FUNCTION
from verif.hazards import find_hazards
from verif.random.networks import random_network

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ARCHITECTURES = FIXED_FUNCTION
SIZES = ("tiny", "small", "medium")


@pytest.mark.parametrize("seed", range(6))
def test_random_network_on_a_core(seed):
    """What has no kernel is refused with its reasons and another network drawn; one in three runs, exactly and without a hazard."""
    graph = load_graph(CORES[seed % len(CORES)])
    for number in (seed, 100 + seed, 200 + seed):
        model = random_network(number, size="tiny")
        try:
            program = compile_network(read_network(model, name=f"seed {number}"), graph)
        except UnsupportedError as refused:
            assert "has no kernel for it: " in str(refused)
            continue
        report, _ = judge_network(CompiledNetwork(f"seed {number}", graph, program, model), draw(model_inputs(model), seed=number, count=1), on="iss")
        assert report["exact"], f"seed {number} on {graph.name}: {report['outputs']}"
        assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
        return
    raise AssertionError(f"all of seeds {seed}, {100 + seed} and {200 + seed} are refused on {graph.name}")


@pytest.mark.parametrize("seed", range(100))
def test_random_network_on_the_functional_simulator(seed):
    """200 networks, spread over the architectures: bytes equal the ONNX definition, no hazard on the predicted timeline."""
    arch = ARCHITECTURES[seed % len(ARCHITECTURES)]
    graph = load_graph(arch)
    size = SIZES[seed // 4 % 3]
    model = random_network(seed, size=size)
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    report, _ = judge_network(CompiledNetwork(f"seed {seed}", graph, program, model), draw(model_inputs(model), seed=seed, count=1), on="iss")
    replay = f"replay: covenant verify --no-examples --arch {arch} --networks 1 --size {size} --seed {seed}"
    assert report["exact"], f"{report['outputs']}; {replay}"
    timeline = predict(graph, program.instructions)
    assert find_hazards(graph, program.instructions, timeline) == [], replay


@pytest.mark.parametrize(("example", "limit"), [("digits", 10_000), ("fashion", 80)])
def test_committed_samples_agree_with_onnxruntime(example, limit, tmp_path):
    """Byte by byte and prediction by prediction; `make accuracy` goes on with all of Fashion-MNIST."""
    model = next(EXAMPLES.glob(f"{example}_*.onnx"))
    data = EXAMPLES / f"{example}_test.npz"
    status = main(["run", str(model), "--arch", "edge16", "--input", str(data), "--on", "iss", "--json", str(tmp_path / "r.json"),
                   "-o", str(tmp_path / "y.npz"), "--limit", str(limit), "--quiet"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert status == 0 and report["exact"]
    samples = min(limit, len(np.load(data)["y"]))
    assert report["samples"] == samples
    assert report["outputs"]["logits"] == {
        "elements": 10 * samples, "mismatches": 0, "max_abs_diff_steps": 0, "onnxruntime": {"mismatches": 0, "max_abs_diff_steps": 0}
    }
    assert report["accuracy"]["functional simulator"] == report["accuracy"]["onnxruntime"] > 0.9
    outputs = np.load(tmp_path / "y.npz")["logits"]
    assert outputs.shape == (samples, 10) and outputs.dtype == np.float32
