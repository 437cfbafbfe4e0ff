"""Damaged networks and samples on the ways that go through onnxruntime: fallback and quantisation; only the documented errors come out.

A failure shows the test's parameter, which is the seed: it is replayed by selecting that test.
"""

import io

import numpy as np
import pytest
from onnx import helper

from acg.graph import load_graph
from compiler.errors import CompilerError
from compiler.front.reading.load import load_model
from covenant.errors import UserError
from covenant.fallback import make_plan
from covenant.quantise import read_calibration
from covenant.quantise.convert import prepared, quantise
from covenant.samples import ModelInput, draw, model_inputs
from tests.covenant.test_covenant_fuzz import CASES, SEEDS, damaged_bytes, outcomes
from tests.support.models import F32, model_of, node
from verif.random.networks import random_network

TINY = load_graph("tiny")
REFUSALS = (CompilerError, UserError)


def with_a_hole(seed):
    """A random network in which an Einsum stands before the last QuantizeLinear."""
    model = random_network(seed, size="tiny", form="qdq")
    places = [index for index, item in enumerate(model.graph.node) if item.op_type == "QuantizeLinear"]
    last = model.graph.node[places[-1]]
    hole = helper.make_node("Einsum", [last.input[0]], ["hole"], name="hole", equation="...->...")
    last.input[0] = "hole"
    model.graph.node.insert(places[-1], hole)
    return model.SerializeToString()


def float_network():
    rng = np.random.default_rng(0)
    nodes = [node("Conv", "x w b", "c"), node("Relu", "c", "r"), node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"), node("Gemm", "f g", "y")]
    constants = {"w": rng.standard_normal((4, 2, 3, 3)).astype(np.float32), "b": np.ones(4, np.float32), "g": rng.standard_normal((4, 3)).astype(np.float32)}
    return model_of(nodes, {"x": (F32, (1, 2, 5, 5))}, {"y": (F32, (1, 3))}, constants).SerializeToString()


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_in_segments(seed, tmp_path):
    models = [with_a_hole(number) for number in range(8)]
    path = tmp_path / "m.onnx"

    def parse(data):
        path.write_bytes(data)
        make_plan(load_model(path), TINY, name="m.onnx")

    assert outcomes(seed, lambda rng: damaged_bytes(rng, rng.choice(models)), parse, REFUSALS) > CASES // 3


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_to_be_quantised(seed, tmp_path):
    path = tmp_path / "m.onnx"

    def parse(data):
        path.write_bytes(data)
        original = prepared(load_model(path), name="m.onnx")
        quantise(original, draw(model_inputs(original), seed=0, count=1), name="m.onnx")

    assert outcomes(seed, lambda rng: damaged_bytes(rng, float_network()), parse, REFUSALS) > CASES // 5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_calibration_samples(seed, suffix, tmp_path):
    stream = io.BytesIO()
    x = np.random.default_rng(1).standard_normal((3, 2, 5, 5)).astype(np.float32)
    if suffix == "npz":
        np.savez(stream, x=x, y=np.arange(3))
    else:
        np.save(stream, x)
    inputs = [ModelInput("x", np.dtype(np.float32), (1, 2, 5, 5))]

    def parse(data):
        (tmp_path / f"a.{suffix}").write_bytes(data)
        read_calibration(str(tmp_path), inputs)

    assert outcomes(seed, lambda rng: damaged_bytes(rng, stream.getvalue()), parse, REFUSALS) >= (CASES // 3 if suffix == "npz" else 1)
