"""Per-engine counters from the predicted timeline, and what is said of wrong ones."""

import pytest

from acg.counters import counter_faults, predicted_counters
from acg.graph import load_graph
from acg.isa import Instruction
from acg.predictor import predict


def test_counters_follow_from_the_timeline():
    graph = load_graph("tiny")
    fill = Instruction("load", {"n_3": 40, "ext_address": 64})
    program = (fill, fill, Instruction("store", {"n_3": 8, "ext_address": 4096}, {"load": 2}))
    line = predict(graph, program)
    found = predicted_counters(graph, program, line)
    load, store = graph.engines["load"].index, graph.engines["store"].index
    assert found[f"RETIRED_{load}"] == 2 and found[f"RETIRED_{store}"] == 1
    assert found[f"BUSY_{load}"] == line.retire[1] - line.start[0], "the second starts before the first has retired"
    assert found[f"BUSY_{store}"] == line.retire[2] - line.start[2]
    assert found[f"STALL_{store}"] == line.retire[1] + 1 - (line.dispatch[2] + 1) > 0
    assert found[f"STALL_{load}"] == 0


@pytest.mark.parametrize("change, lines", [
    ({}, []),
    ({"BUSY_0": 6}, ["counter BUSY_0 (engine load): found 6, expected 5"]),
    ({"STALL_1": None}, ["counter STALL_1 (engine matrix): found none, expected 9"]),
    ({"BUSY_7": 1}, ["counter BUSY_7 (engine unknown): found 1, expected none"]),
    ({"BUSY_0": 4, "STALL_1": 8}, ["counter BUSY_0 (engine load): found 4, expected 5", "counter STALL_1 (engine matrix): found 8, expected 9"]),
])
def test_a_wrong_a_missing_and_an_extra_counter(change, lines):
    predicted = {"BUSY_0": 5, "STALL_1": 9}
    found = {name: value for name, value in (predicted | change).items() if value is not None}
    assert counter_faults(load_graph("tiny"), predicted, found) == lines
