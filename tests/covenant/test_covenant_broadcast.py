"""Machines whose vector unit broadcasts, without a matrix unit: networks of every operator against the definition, on the functional simulator."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from covenant.layers import peak_macs
from tests.compiler.ir_reference import run_on_iss
from tests.support.architectures import broadcasting
from verif.hazards import find_hazards
from verif.random.networks import EVERY, random_inputs, random_network
from verif.reference import Reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MACHINES = {"vec": load_graph("vec"), "small": broadcasting("tiny")}


def exact(model, graph, inputs, note):
    program = compile_network(read_network(model, name=note), graph)
    found, expected = run_on_iss(program, graph, inputs), Reference(model).run(inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=f"{note}, output {name}")
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == [], note
    return program


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed):
    """Convolutions, products, row programs, movement. Replay: the seed."""
    machine = ("vec", "small")[seed % 2]
    model = random_network(seed, size=("tiny", "small")[seed // 2 % 2], ops=EVERY)
    exact(model, MACHINES[machine], random_inputs(model, seed), f"seed {seed} on {machine}")


@pytest.mark.parametrize("name", ["digits_cnn", "motifs_encoder"])
def test_examples(name):
    model = onnx.load(EXAMPLES / f"{name}.onnx")
    program = exact(model, MACHINES["vec"], random_inputs(model, 1), name)
    assert {instruction.engine for instruction in program.instructions} == {"load", "vector", "store"}


def test_its_peak_is_a_product_a_lane():
    assert [peak_macs(MACHINES[name]) for name in ("vec", "small")] == [16, 4]
    assert peak_macs(broadcasting("tiny", matrix=True)) == 16 + 4
    assert peak_macs(load_graph("edge16")) == 256
    assert peak_macs(load_graph("dsp")) == 2 * 32 * 4  # two slots
