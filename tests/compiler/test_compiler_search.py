"""Search: fewer cycles, the same program again from seed and tries, and from the choices alone."""

from pathlib import Path

import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import Options, compile_network
from compiler.read_network import read_network
from compiler.ways.search import Effort, optimise

EXAMPLES = Path(__file__).parents[2] / "examples"
EDGE = load_graph("edge16")


@pytest.fixture(scope="module")
def network():
    return read_network(str(EXAMPLES / "fashion_dscnn.onnx"))


@pytest.fixture(scope="module")
def found(network):
    return optimise(network, EDGE, Effort(tries=25))


def test_cycles_are_saved_and_are_those_of_the_program(network, found):
    own = compile_network(network, EDGE)
    assert found.before == predict(EDGE, own.instructions).total_cycles
    assert found.after == predict(EDGE, found.program.instructions).total_cycles < found.before
    assert found.tries == 25
    assert own.choices == {} and found.program.choices


def test_choices_lead_to_the_same_bytes(network, found):
    again = compile_network(network, EDGE, options=Options(choices=found.program.choices))
    assert again.to_bytes() == found.program.to_bytes()


def test_seed_and_tries_lead_to_the_same_bytes(network, found):
    assert optimise(network, EDGE, Effort(tries=25)).program.to_bytes() == found.program.to_bytes()


def test_a_search_goes_on_from_choices(network, found):
    further = optimise(network, EDGE, Effort(tries=2, seed=1), options=Options(choices=found.program.choices))
    assert further.before == found.after >= further.after


def test_one_try_is_the_compilers_own_program(network):
    alone = optimise(network, EDGE, Effort(tries=1))
    assert alone.program.to_bytes() == compile_network(network, EDGE).to_bytes()
    assert (alone.before, alone.tries) == (alone.after, 1)


def test_seconds_end_a_search(network):
    assert optimise(network, EDGE, Effort(seconds=0.0)).tries == 1


def test_a_search_ends_where_nothing_is_left_to_try():
    tiny = load_graph("tiny")
    network = read_network(str(EXAMPLES / "digits_cnn.onnx"))
    progress = []
    found = optimise(network, tiny, Effort(tries=25), progress=lambda *numbers: progress.append(numbers))
    assert [tries for tries, *_ in progress] == sorted(tries for tries, *_ in progress)
    assert progress[-1][1:] == (found.before, found.after)
