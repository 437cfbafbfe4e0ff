"""Decisions by name: the first way unless another is given, and nothing given stays unread."""

import pytest

from compiler.errors import CompilerError
from compiler.ways.decisions import SHORTLIST, Decisions


def test_the_first_way_is_taken_where_none_is_given():
    decisions = Decisions()
    assert decisions.decide("order", ["own", "other"]) == "own"
    assert decisions.cheapest("tile c", [5, 3, 4, 3], lambda way: way) == 3
    assert decisions.open == {"order": 2, "tile c": 4}


def test_the_way_of_the_number_given():
    decisions = Decisions({"order": 1, "tile c": 2, "tile d": 0})
    assert decisions.decide("order", ["own", "other"]) == "other"
    assert decisions.cheapest("tile c", [(5, "a"), (3, "b"), (4, "c"), (3, "d")], lambda way: way[0]) == (5, "a")  # of those that cost the same, one
    assert decisions.given == {"order": 1, "tile c": 2}
    assert decisions.unread() == []


def test_of_fewer_ways_the_last():
    decisions = Decisions({"tile c": 5})
    assert decisions.cheapest("tile c", [1, 2, 3], float) == 3
    assert decisions.decide("none", ["only"]) == "only"
    assert decisions.open == {"tile c": 3}


def test_so_many_ways_are_open():
    decisions = Decisions()
    decisions.cheapest("tile c", list(range(100)), float)
    assert decisions.open == {"tile c": SHORTLIST}


def test_what_is_given_for_a_layer():
    assert Decisions({"tile c 1": 2, "share c 1": 1, "tile c": 3, "order": 1}).of("c 1") == (("tile c 1", 2), ("share c 1", 1))


@pytest.mark.parametrize(("given", "message"), [
    ({"tile c": 9}, "network n: choice 'tile c': found number 9; expected a number below 4; use choices of this network on this machine and of this version, "
                    "or search anew with --optimise"),
    ({"tile x": 1, "tile y": 1}, "network n: choice 'tile x': found number 1 and 1 others like it; expected a decision that this compilation meets; use choices of "
                                 "this network on this machine and of this version, or search anew with --optimise"),
])  # fmt: skip
def test_what_leads_to_nothing_is_refused(given, message):
    decisions = Decisions(given)
    decisions.cheapest("tile c", [1, 2, 3, 4], float)
    with pytest.raises(CompilerError) as error:
        decisions.require_read("n")
    assert str(error.value) == message
