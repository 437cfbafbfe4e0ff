"""How much one instruction may ask for, against counting it out."""

from itertools import product

import pytest

from acg.graph import load_graph
from acg.rules import most_work, work


@pytest.mark.parametrize(("engine", "fields", "expected"), [
    ("load", {}, 32), ("load", {"n_0": 2, "n_1": 3, "n_2": 5, "n_3": 100}, 12000), ("store", {"n_2": 7, "n_3": 3}, 224),
    ("vector", {"n_0": 2, "n_5": 9}, 18 * 16 * 4), ("vector", {"n_0": 2, "n_5": 9, "reduce": 1}, (18 + 15 * 2) * 4), ("matrix", {"n_0": 2, "n_3": 3, "n_4": 5, "n_5": 2}, 6 * 10 * 4), ("matrix", {"n_1": 3}, 3 * 4 * 4),
])
def test_elements(engine, fields, expected):
    assert work(load_graph("tiny"), engine, fields) == expected


def test_the_bound_grows_with_the_largest_memory():
    assert {name: most_work(load_graph(name)) for name in ("tiny", "edge16")} == {"tiny": 1 << 26, "edge16": 256 * 8 * 2048 * 16}


def test_one_count_may_be_the_greatest_and_not_two():
    graph = load_graph("tiny")
    for engine, (one, two) in product(graph.engines, [("n_0", "n_1"), ("n_2", "n_0")]):
        assert work(graph, engine, {one: 1 << 16}) <= most_work(graph)
        assert work(graph, engine, {one: 1 << 16, two: 1 << 16}) > most_work(graph)
