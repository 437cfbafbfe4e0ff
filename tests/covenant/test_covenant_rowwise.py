"""Softmax and LayerNormalization on the RTL: bytes equal the definition, every instruction's cycle equals the prediction."""

from pathlib import Path

import onnx
import pytest

from acg.graph import load_graph
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.cli import main
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs
from tests.compiler.test_compiler_rowwise import layer_model, parted_model, softmax_model
from verif.random.networks import random_inputs, random_network

UNEVEN = Path(__file__).parents[1] / "machines" / "uneven.yaml"
CASES = {
    "softmax of 10 classes": ("edge16", softmax_model((1, 10))),
    "softmax of attention": ("edge16", softmax_model((96, 64), kind="u8")),
    "softmax of 300 classes": ("tiny", softmax_model((2, 300))),
    "softmax of 1000 classes": ("edge16", softmax_model((1, 1000))),
    "one normalised row": ("edge16", layer_model((1, 330))),
    "unequal sides": (str(UNEVEN), softmax_model((3, 100))),
    "softmax of an image": ("tiny", softmax_model((1, 6, 3, 5), axis=1)),
    "normalised tokens": ("edge16", layer_model((40, 128))),
    "normalised rows": ("tiny", layer_model((3, 22), kind="u8", zero=120)),
    "decomposed": ("tiny", layer_model((2, 9), decomposed=True)),
    "in parts": ("tiny", parted_model((3, 18))),
}


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_rowwise_operators(case):
    arch, model = CASES[case]
    graph = load_graph(arch)
    program = compile_network(read_network(model, name=case), graph)
    report, _ = judge_network(CompiledNetwork(case, graph, program, model), draw(model_inputs(model), seed=7, count=2), on="rtl")
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
    assert report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
    assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    assert report["outputs"]["y"]["onnxruntime"]["max_abs_diff_steps"] <= (2 if case == "in parts" else 1)  # one step of the quotient, multiplied


def test_a_softmax_without_quantisation_leaves_as_floats(tmp_path, capsys):
    model = softmax_model((1, 10))
    del model.graph.node[-1], model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("g", onnx.TensorProto.FLOAT, (1, 10)))
    path = tmp_path / "open.onnx"
    onnx.save(model, path)
    assert main(["run", str(path), "--arch", "tiny", "--on", "iss", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "exact: yes"


def test_random_networks_reach_fine_softmax():
    """A quarter of their Softmax are of a function that nothing quantises; these are exact."""
    found = 0
    for seed in range(100, 120):
        model = random_network(seed, size="tiny", max_nodes=2, ops=("softmax",), form="qdq")
        network = read_network(model, name=f"random_{seed}")
        if found < 4 and "FineSoftmax" in {node.op for node in network.nodes}:
            found += 1
            graph = load_graph("tiny")
            compiled = CompiledNetwork(network.name, graph, compile_network(network, graph), model)
            report, _ = judge_network(compiled, [random_inputs(model, seed)], on="iss")
            assert report["exact"], f"seed {seed}: {report['outputs']}"
    assert found >= 2
