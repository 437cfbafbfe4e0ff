"""Coverage files: summed over runs, refused when damaged, reported with what was never reached."""

import json
import re

import pytest

from acg.graph import load_graph
from covenant.cli import main
from covenant.commands.checks import verify
from covenant.errors import UserError
from covenant.verify.campaign import Row
from covenant.verify.coverage import add_runs, read_coverage, summary, unreached
from covenant.verify.programs import judge_program
from verif.coverage import possible
from verif.random.programs import random_program


def test_runs_add_up_in_one_file(tmp_path):
    path = tmp_path / "coverage.json"
    add_runs(path, [(3, {"wait/wrap": 0, "instruction/load": 3})])
    after = add_runs(path, [(2, {"instruction/load": 1, "instruction/store": 1}), (0, {"stall/none": 0})])
    assert after == read_coverage(path) == {
        "runs": 3, "instructions": 5, "bins": {"instruction/load": 4, "instruction/store": 1, "stall/none": 0, "wait/wrap": 0}}
    assert unreached(after) == ["stall/none", "wait/wrap"]
    assert [line.split() for line in summary(after).splitlines()[3:]] == [
        ["instruction", "2", "2", "100.0%"], ["wait", "0", "1", "0.0%"], ["stall", "0", "1", "0.0%"]]


@pytest.mark.parametrize("text", ["[]", "{}", '{"runs": 1, "instructions": 1, "bins": {"a": -1}}', '{"runs": 1.5, "instructions": 1, "bins": {}}',
                                  '{"runs": true, "instructions": 1, "bins": {}}', '{"runs": 1, "instructions": 1, "bins": {}, "more": 1}'])
def test_other_json_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: found other JSON; expected an object of runs, instructions and bins, as covenant verify --coverage writes it$"):
        add_runs(path, [])
    assert path.read_text() == text


def test_the_command_sums_files_and_names_what_is_missing(tmp_path, capsys):
    for number in range(2):
        add_runs(tmp_path / f"{number}.json", [(1, {"instruction/load": number, "wait/wrap": 0})])
    assert main(["coverage", str(tmp_path / "0.json"), str(tmp_path / "1.json"), "--json", str(tmp_path / "sum.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["never reached: 1", "  wait/wrap"]
    assert json.loads((tmp_path / "sum.json").read_text())["bins"] == {"instruction/load": 1, "wait/wrap": 0}
    assert main(["coverage", str(tmp_path / "none.json")]) == 2
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err


def test_a_campaign_adds_its_runs(monkeypatch, tmp_path, capsys):
    verdict = judge_program(random_program(load_graph("tiny"), 2), None)
    assert set(verdict.bins) == set(possible(load_graph("tiny"))) and sum(verdict.bins.values()) > verdict.instructions
    rows = [Row("tiny", "program", "random program 2", verdict.instructions, 1, 9, 9, True, None, (), "-", verdict.bins),
            Row("tiny", "network", "random network 2", 0, 1, 0, None, False, "too small", (), "-")]
    monkeypatch.setattr(verify, "run_campaign", lambda options: iter(rows))
    path = tmp_path / "coverage.json"
    assert main(["verify", "--arch", "tiny", "--coverage", str(path)]) == 0
    assert f"coverage of 1 runs, {verdict.instructions} instructions" in capsys.readouterr().out
    assert read_coverage(path)["bins"] == dict(verdict.bins)
    assert all("bins" not in row.as_json() for row in rows)


@pytest.mark.parametrize(("arguments", "found"), [(["--arch", "tiny", "--arch", "wide"], "2"), (["--random-archs", "2"], "random ones")])
def test_lines_are_those_of_one_architecture(capsys, tmp_path, arguments, found):
    assert main(["verify", *arguments, "--rtl-coverage", str(tmp_path / "lines.json")]) == 2
    assert capsys.readouterr().err.strip().endswith(
        f"--rtl-coverage: found {found} as architectures; expected one, as lines are those of one design: give one --arch")


@pytest.mark.rtl
def test_lines_of_a_small_machine(tmp_path, capsys):
    path = tmp_path / "lines.json"
    assert main(["verify", "--arch", "random:126", "--no-examples", "--networks", "0", "--programs", "1", "--quiet", "--rtl-coverage", str(path)]) == 0
    modules = json.loads(path.read_text())["modules"]
    queues = {name: item for name, item in modules.items() if "_queue_" in name}
    assert queues and all(0 < item["reached"] <= item["points"] for item in queues.values())
    assert any(item["unreached"] for item in modules.values()), "no run of one program reaches every error"
    assert "lines and branches reached" in capsys.readouterr().out
