"""Campaigns add up: what a journal knows is not run again, its totals are sums by hand; programs on stalled buses."""

import json

import pytest

from covenant.cli import main
from covenant.verify import campaign, journal
from covenant.verify.campaign import Row
from tests.verif import hostile_machine


def rows(job, *, broken=False):
    """A program and a stalled one for each seed."""
    for seed in job.programs:
        yield Row(job.arch, "program", f"random program {seed}", 10, 2, 100, 100, not broken, None, ("bytes differ",) if broken else (), f"replay {seed}",
                  {"instruction/load": 4})
        yield Row(job.arch, "stalled", f"stalled program {seed}", 7, 3, 50, 50, True, None, (), "replay", {"instruction/matrix": 7}, 1000)
    yield Row(job.arch, "network", "random network", 0, 1, 0, None, False, "too large", (), "replay")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """verify with three random architectures and a program each; returns the architectures that were run."""
    def verify(*options, rows=rows, status=0):
        seen = []

        def run_job(job):
            seen.append(job.arch)
            return list(rows(job))

        monkeypatch.setattr(campaign, "_all_rows", run_job)
        words = ["--random-archs", "3", "--programs", "3", "--networks", "0", "--quiet", "--journal", str(tmp_path / "j"), *options]
        assert main(["verify", *words]) == status
        return seen

    return verify


def summary(capsys, folder, status=0):
    capsys.readouterr()
    assert main(["verify", "--summary", str(folder), "--json", "-"]) == status
    return json.loads(capsys.readouterr().out)


def test_it_goes_on_where_it_was_and_adds_up(run, capsys, tmp_path):
    assert run() == ["random:1", "random:2", "random:3"]
    first = capsys.readouterr().out
    assert run() == []
    assert capsys.readouterr().out == first
    assert run("--random-archs", "5", "--programs", "5") == ["random:4", "random:5"]
    assert summary(capsys, tmp_path / "j") == {
        "architectures": 5, "runs": {"program": 5, "stalled": 5}, "refused": 5, "instructions_compared": 5 * 10 * 2 + 5 * 7 * 3, "stalled_beats": 5000,
        "kinds": {"load": {"architectures": 5, "instructions": 20}, "matrix": {"architectures": 5, "instructions": 35}}, "broken": 0, "failures": [],
        "jobs": 5, "other_sources": 0}
    assert main(["verify", "--summary", str(tmp_path / "j")]) == 0
    assert "stalled beats" in capsys.readouterr().out


def test_a_broken_run_stays_broken_and_other_sources_do_not_count(run, capsys, tmp_path, monkeypatch):
    run(rows=lambda job: rows(job, broken=job.arch == "random:2"), status=1)
    found = summary(capsys, tmp_path / "j", status=1)
    assert found["broken"] == 1 and found["failures"] == ["replay 2"]
    monkeypatch.setattr(journal, "sources_digest", lambda: "edited")
    assert run() == ["random:1", "random:2", "random:3"]
    assert (found := summary(capsys, tmp_path / "j"))["broken"] == 0 and found["jobs"] == found["other_sources"] == 3


def test_a_line_that_was_cut_off_is_tried_again(run, tmp_path):
    run()
    path = tmp_path / "j" / "campaign.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert run() == ["random:3"]
    assert path.read_bytes() == whole


def test_no_journal(capsys, tmp_path):
    assert main(["verify", "--summary", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (f"covenant: {tmp_path}/campaign.jsonl: no such file; expected a folder that covenant verify --journal has written\n")
    (tmp_path / "campaign.jsonl").write_text("[]\n")
    assert main(["verify", "--summary", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"covenant: {tmp_path}/campaign.jsonl: no journal of covenant verify; expected one, or a folder without it\n"


@pytest.mark.rtl
@pytest.mark.parametrize("seed", [1, 2])
def test_a_program_on_stalled_buses(seed, monkeypatch):
    from covenant.verify import stalled

    verdict, beats = stalled.verify_stalled(hostile_machine.GRAPH, seed, hostile_machine.model())
    assert verdict.divergence == () and beats > 100 and verdict.measured_cycles == verdict.predicted_cycles
    real = stalled.predict

    def late(graph, instructions):
        timeline = real(graph, instructions)
        object.__setattr__(timeline, "retire", timeline.retire + 1)
        return timeline

    monkeypatch.setattr(stalled, "predict", late)
    lines = stalled.verify_stalled(hostile_machine.GRAPH, seed, hostile_machine.model())[0].divergence
    assert any("are not in their predicted cycle" in line for line in lines), lines
