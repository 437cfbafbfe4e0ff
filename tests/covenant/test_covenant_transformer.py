"""Transformer encoders: random blocks on every machine, the trained one and the block of 64 tokens on the RTL of edge16."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.arrays import read_arrays
from covenant.bench.workload_transformer import encoder, encoder_block
from covenant.networks import CompiledNetwork
from covenant.report import judge_network
from covenant.samples import draw, model_inputs, take
from tests.covenant.vision_transformer import vision_transformer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = {"width": 20, "heads": 2, "tokens": 9, "hidden": 26}


def judged(name, model, arch, samples, on):
    graph = load_graph(arch)
    program = compile_network(read_network(model, name=name), graph)
    report, _ = judge_network(CompiledNetwork(name, graph, program, model), samples, on=on)
    assert report["exact"], f"{report['outputs']} {report['cycles']} {report.get('divergence')}"
    if on == "rtl":
        assert report["instructions"] == {"count": len(program.instructions), "timeline_mismatches": 0}
        assert report["cycles"]["measured"] == report["cycles"]["predicted"] > 0
    return report


@pytest.mark.parametrize("arch,signed", [("tiny", True), ("edge16", False), ("wide", True), ("dot16", False)])
def test_blocks_whose_sizes_no_machine_divides(arch, signed):
    model = encoder_block(signed=signed, seed=3, blocks=2, **SMALL)
    judged("encoder", model, arch, draw(model_inputs(model), seed=1, count=2), "iss")


@pytest.mark.parametrize("arch,form", [("tiny", {}), ("edge16", {"split": "Gather", "mask": True}), ("wide", {"mask": True})], ids=str)
def test_a_vision_transformer_as_exported(arch, form):
    """A class token by Concat, queries, keys and values split from one layer over five axes, a mask, the class token's row alone at the end."""
    model = vision_transformer(**form)
    judged("vision", model, arch, draw(model_inputs(model), seed=2, count=2), "iss")


def test_element_wise_operators_need_no_reshape():
    """Views follow from the operators that hold to one: only products, softmax and normalisation do."""
    layers = [node.op for node in read_network(vision_transformer()).nodes]
    assert "Reshape" not in layers and layers.count("Move") <= 6


def test_the_quantised_block_computes_what_the_float_one_does():
    """Signal over noise of the quantised output, as a guard against a graph that means something else."""
    from verif.reference import Reference

    real, model = encoder(), encoder_block()
    x = {"input": np.random.default_rng(9).standard_normal((1, 64, 128)).astype(np.float32)}
    expected = onnx.reference.ReferenceEvaluator(real).run(None, x)[0]
    noise = Reference(model).run(x)["output"] - expected
    assert 10 * np.log10((expected**2).sum() / (noise**2).sum()) > 20


def test_cycles_of_the_block():
    """64 tokens of width 128 on edge16: the matrix unit is busy for more than three fifths of the time."""
    graph = load_graph("edge16")
    program = compile_network(read_network(encoder_block()), graph)
    macs = sum(layer.macs for layer in program.layers)
    assert macs == 4 * 64 * 128**2 + 2 * 64**2 * 128 + 2 * 64 * 128 * 512
    assert predict(graph, program.instructions).total_cycles * 0.6 < macs / 256


@pytest.mark.rtl
def test_a_small_block_on_tiny():
    model = encoder_block(seed=4, **SMALL)
    judged("encoder", model, "tiny", draw(model_inputs(model), seed=1, count=1), "rtl")


@pytest.mark.rtl
def test_a_block_of_64_tokens_on_edge16():
    model = encoder_block()
    judged("encoder", model, "edge16", draw(model_inputs(model), seed=1, count=1), "rtl")


@pytest.mark.rtl
def test_the_trained_encoder_on_edge16():
    model = onnx.load(EXAMPLES / "motifs_encoder.onnx")
    data = EXAMPLES / "motifs_test.npz"
    report = judged("motifs", model, "edge16", take(read_arrays(data), model_inputs(model), limit=8, where=str(data)), "rtl")
    assert report["samples"] == 8
