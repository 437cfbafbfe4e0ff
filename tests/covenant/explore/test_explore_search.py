"""Fronts, and searches that try the same points for the same seed, each once."""

import random
from itertools import product
from pathlib import Path

import pytest

from acg.graph import load_graph
from covenant.explore.front import dominates, front
from covenant.explore.search import search_of
from covenant.explore.space import METHODS, Dimension, Space

ROUND = 32
TINY = load_graph("tiny")


def space(method, points, sizes=(5, 4, 6, 3), seed=1):
    dimensions = tuple(Dimension(f"d{n}", (("act", f"d{n}"),), tuple(range(1, size + 1))) for n, size in enumerate(sizes))
    return Space("s", TINY, (("n", 1),), dimensions, (), ("cycles", "on_chip_bytes"), None, "generic", method, points, seed, ROUND, Path())


def value(point):
    """Two objectives that pull apart; a corner that cannot be."""
    a, b, c, d = point
    return None if a == b == 3 else (float(40 - 3 * a - 2 * b - c + d), float(a * a + b * 2 + c + 3 * d))


def run(given, method_points):
    search, tried = search_of(given), []
    while len(tried) < method_points:
        points = search.ask()
        if not points:
            break
        assert len(points) <= ROUND
        tried += points
        search.tell([value(point) for point in points])
    return tried


def test_front_by_hand():
    values = [(3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (2.0, 3.0), (3.0, 1.0), (1.0, 4.0)]
    assert front(values) == [1, 2, 0]
    assert dominates((1, 2), (1, 3)) and not dominates((1, 2), (1, 2)) and not dominates((1, 3), (2, 2))


@pytest.mark.parametrize("seed", range(5))
def test_front_is_what_nothing_dominates(seed):
    drawn = random.Random(seed)
    values = [(float(drawn.randrange(6)), float(drawn.randrange(6)), float(drawn.randrange(6))) for _ in range(60)]
    kept = front(values)
    assert {values[n] for n in kept} == {v for v in values if not any(dominates(w, v) for w in values)}
    assert len({values[n] for n in kept}) == len(kept)


def test_a_small_space_is_tried_whole_by_every_method():
    for method in METHODS:
        assert run(space(method, 1000), 1000) == list(product(range(5), range(4), range(6), range(3)))


@pytest.mark.parametrize("method", ["local", "optuna-nsga2"])
def test_the_same_seed_tries_the_same_points_each_once(method):
    if method.startswith("optuna"):
        pytest.importorskip("optuna", reason="covenant[explore] is not installed")
    first, again, other = (run(space(method, 96, seed=seed), 96) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == len(first) >= 96


def test_the_other_sampler_is_asked_the_same_way():
    pytest.importorskip("optuna", reason="covenant[explore] is not installed")
    first, again = (run(space("optuna-tpe", 40, (9, 9, 9, 9)), ROUND) for _ in range(2))
    assert first == again and len(set(first)) == ROUND


def test_the_local_search_finds_more_of_the_front_than_chance():
    everything = [point for point in product(range(9), range(9), range(9), range(9)) if value(point) is not None]
    values = [value(point) for point in everything]
    best = {values[n] for n in front(values)}
    found = {value(point) for point in run(space("local", 640, (9, 9, 9, 9)), 640)} & best
    chance = {value(point) for point in random.Random(1).sample(everything, 640)} & best
    assert len(found) > 2 * len(chance)
