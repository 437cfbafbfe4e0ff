"""Strips of rows of layers whose operands come and go while a core is at work: of whole tiles, a small one first and last, from boxes of one size."""

import re
from itertools import groupby

import numpy as np
import pytest

from acg.graph import load_graph
from acg.predictor import predict
from compiler.passes import compile_network
from compiler.read_network import read_network
from compiler.tiling.kernels.plan import Problem, passes
from covenant.bench.workloads import convolution
from covenant.run import execute_iss
from covenant.samples import draw, model_inputs
from tests.compiler.kernels.test_contraction_kernel import core
from verif.reference import Reference


def strips(program) -> list[tuple[int, int]]:
    """First rows of the strips, and instructions of the core in each, in order."""
    rows: dict[int, int] = {}
    for _, tile in program.provenance:
        found = re.match(r"n0 y(\d+)", tile)
        rows.setdefault(int(found[1]), 0)
        rows[int(found[1])] += 1
    starts = sorted(rows)
    return list(zip(starts, [*starts[1:], None], strict=True))


@pytest.mark.parametrize(("channels", "filters", "size", "kernel"), [(16, 96, 56, 1), (32, 32, 48, 3)])
def test_strips_are_small_at_both_ends_and_exact(channels, filters, size, kernel):
    graph, model = load_graph("dsp"), convolution(channels=channels, filters=filters, size=size, kernel=kernel)
    program = compile_network(read_network(model, name="conv"), graph)
    heights = [(hi or size) - lo for lo, hi in strips(program)]
    assert sum(heights) == size and len(heights) > 4
    assert heights[0] < max(heights) and heights[-1] < heights[-2]
    samples = draw(model_inputs(model), seed=3, count=1)
    (ours,), expected = execute_iss(graph, program, samples).outputs, Reference(model).run(samples[0])
    assert all(np.array_equal(ours[name], expected[name]) for name in expected)


def test_pixels_that_lie_in_a_row_are_cut_where_vectors_end():
    graph, model = load_graph("dsp"), convolution(channels=64, filters=64, size=28, kernel=1)
    heights = [(hi or 28) - lo for lo, hi in strips(compile_network(read_network(model, name="conv"), graph))]
    assert all(height * 28 % 8 == 0 for height in heights[2:-2]) and len(heights) > 4


def test_what_is_read_once_leaves_room_for_results():
    """16 to 96 channels: the store, 75,264 cycles of 112x112, is waited for at the ends alone."""
    graph, model = load_graph("dsp"), convolution(channels=16, filters=96, size=112, kernel=1)
    assert predict(graph, compile_network(read_network(model, name="conv"), graph).instructions).total_cycles < 75_264 / 0.91


def test_the_words_of_a_last_granule_alone_are_reduced():
    """99 inputs are 24 words of four and one more: of two blocks at once an iteration of them all is too long, and steps that are alike would take 28."""
    machine = core()
    found = passes(Problem(99, 64, (1, 1), (1, 1), (1, 64)), machine)
    assert [(one.shape.whole, one.shape.blocks, sum(one.words), len(one.packed.body)) for one in found] == [(True, 1, 25, 100)] * 2
    whole = passes(Problem(96, 64, (1, 1), (1, 1), (1, 64)), machine)
    assert [(one.shape.blocks, sum(one.words)) for one in whole] == [(2, 24)]


def test_weights_of_every_second_pass_come_while_the_one_before_is_at_work():
    """512 channels of 3x3 windows are 147,456 bytes of weights a pass, of 196,608 that the memory of weights has."""
    graph, model = load_graph("dsp"), convolution(channels=512, filters=96, size=7, kernel=3)
    program = compile_network(read_network(model, name="conv"), graph)
    core_of_graph = next(engine for engine in graph.engines.values() if engine.tables)
    selected = [item.fields["in1_select"] for item in program.instructions if item.engine == core_of_graph.name]
    assert [place for place, _ in groupby(selected)] == [1, 0, 1]
    samples = draw(model_inputs(model), seed=3, count=1)
    (ours,), expected = execute_iss(graph, program, samples).outputs, Reference(model).run(samples[0])
    assert all(np.array_equal(ours[name], expected[name]) for name in expected)
    assert predict(graph, program.instructions).total_cycles < 3 * 28_279 + 2 * 9_260
