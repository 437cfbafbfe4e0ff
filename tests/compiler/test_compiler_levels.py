"""Levels of loops from specifications."""

from dataclasses import replace

import numpy as np
import pytest

import compiler.target
from acg.graph import load_graph
from acg.kinds import kind_of
from acg.kinds.spec import Axis, Offer, Stream
from compiler.levels import CONTRACTION, levels_of
from compiler.passes import compile_network
from tests.compiler.ir_reference import check_program
from tests.compiler.random_networks import Sketch

MATRIX = kind_of("matrix")
OFFER = MATRIX.offer("MATMUL")


def with_stream(stream):
    return replace(MATRIX, body=tuple(stream if isinstance(item, Stream) and item.prefix == stream.prefix else item for item in MATRIX.body))


def test_a_contraction_on_the_matrix_unit():
    assert dict(levels_of(MATRIX, OFFER, CONTRACTION)) == {"oc": 0, "ky": 1, "kx": 2, "ic": 3, "oy": 4, "ox": 5}


def test_what_the_weights_run_over_says_which_levels_move_them():
    swapped = with_stream(Stream("w", ("weight",), run=((1, 2, 3, 4), "rows"), number=True))
    found = levels_of(swapped, OFFER, CONTRACTION)
    assert dict(found) == {"ky": 1, "kx": 2, "ic": 3, "ox": 5}  # blocks of outputs come first in the weights and last in the run


def test_padding_says_which_levels_move_a_coordinate():
    one = with_stream(Stream("a", ("activation",), (0, 1, 2, 3, 4, 5), number=True, axes=(Axis("y", (3, 4)), Axis("x", (2, 5)))))
    found = levels_of(one, OFFER, CONTRACTION)
    assert dict(found) == {"oc": 0, "kx": 2, "ic": 3, "oy": 4, "ox": 5}  # ky would have to be behind kx, against the order of the weights


def test_a_reduction_needs_a_level_at_which_the_result_stays():
    kind = kind_of("vector")
    found = levels_of(kind, Offer("BROADCAST_MAC", (("l", "lanes"),), "y", ("a", "b")), CONTRACTION)
    assert dict(found) == {"oc": 0, "ky": 4, "kx": 5, "oy": 2, "ox": 3}


@pytest.mark.parametrize("seed", range(6))
def test_loops_without_a_level_become_instructions_of_their_own(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    kept = {name: level for name, level in levels_of(MATRIX, OFFER, CONTRACTION).items() if rng.integers(2)}
    monkeypatch.setattr(compiler.target, "levels_of", lambda *_: kept)
    arch, s = load_graph("tiny"), Sketch(seed)
    y = s.conv(s.input((2, s.between(1, 12), 5, 4), "i8"), s.between(1, 12), (3, 2), pads=(1, 0, 1, 1), strides=(1, s.between(1, 2)))
    graph = s.network(y)
    program = compile_network(graph, arch)
    assert check_program(graph, program, arch, s.arrays()) > 0, f"seed {seed}: {kept}"
