"""Random networks of normalisations by sums of squares: bytes against the definition on every architecture."""

import numpy as np
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from tests.compiler.ir_reference import run_on_iss
from verif.hazards import find_hazards
from verif.random.networks import random_inputs, random_network
from verif.random.normalise import NORMALISING
from verif.reference import Reference


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed):
    """Every form that they are written in among convolutions. Replay: the seed."""
    arch = ("tiny", "edge16", "wide", "dot16")[seed % 4]
    graph = load_graph(arch)
    model = random_network(seed, size=("tiny", "small")[seed // 4 % 2], ops=(*NORMALISING, "conv", "add"), form="qdq")
    program = compile_network(read_network(model, name=f"seed {seed}"), graph)
    inputs = random_inputs(model, seed)
    found, expected = run_on_iss(program, graph, inputs), Reference(model).run(inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=f"seed {seed} on {arch}, output {name}")
    assert find_hazards(graph, program.instructions, predict(graph, program.instructions)) == []
