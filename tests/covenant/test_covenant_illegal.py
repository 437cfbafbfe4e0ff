"""Programs with one damaged instruction: the loader refuses them by number, the RTL stops at that instruction."""

import json

import numpy as np
import pytest

from acg.graph import load_graph
from acg.isa import Instruction, instruction_set
from acg.regmap import ErrorCode
from covenant.cli import main
from covenant.verify import illegal
from covenant.verify.illegal import Expected, damaged_word, verify_illegal

GRAPH = load_graph("tiny")


def test_every_damage_is_what_it_says():
    isa, rng, seen = instruction_set(GRAPH), np.random.default_rng(1), set()
    word = int.from_bytes(isa.encode(Instruction("vector", {"n_3": 9})), "little")
    for _ in range(400):
        damaged, expected = damaged_word(GRAPH, word, rng)
        assert damaged != word and damaged < 1 << isa.instruction_bits
        assert isa.check_holds(damaged) == (expected.error == ErrorCode.ILLEGAL)
        if expected.address is None:
            assert expected.engine == 0 or expected.engine > len(GRAPH.engines)
        else:
            assert expected.engine == GRAPH.engines["vector"].index + 1
        seen.add(expected)
    assert Expected(ErrorCode.CHECK, 0) in seen and len(seen) > 50
    assert {expected.address for expected in seen} == {None, 3, 5, 6, 7}


def test_the_loader_refuses_all_of_them():
    assert [verify_illegal(GRAPH, seed, None).divergence for seed in range(20)] == [()] * 20


def test_the_loader_refuses_all_of_them_where_an_engine_runs_code():
    """By the damaged instruction, not by one in front of it whose code it follows from constants."""
    graph = load_graph("dsp_tiny")
    assert [verify_illegal(graph, seed, None).divergence for seed in range(3, 9)] == [()] * 6


def test_an_accepted_damage_is_a_divergence(monkeypatch):
    monkeypatch.setattr(illegal, "damaged_word", lambda graph, word, rng: (word, Expected(ErrorCode.CHECK, 0)))
    (line,) = verify_illegal(GRAPH, 1, None).divergence
    assert line.endswith("with CHECK: found accepted, expected refused")


@pytest.mark.rtl
def test_the_rtl_stops_at_the_damaged_instruction(tmp_path):
    status = main(["verify", "--arch", "tiny", "--no-examples", "--networks", "0", "--illegal", "6", "--seed", "3", "--json", str(tmp_path / "v.json"), "--quiet"])
    report = json.loads((tmp_path / "v.json").read_text())
    assert status == 0, report
    assert [run["kind"] for run in report["runs"]] == ["illegal"] * 6 and report["instructions_compared"] == 0
