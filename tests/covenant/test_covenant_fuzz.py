"""The fuzzer: a short campaign of every family, and that it counts each kind of failure it is there to find.

A failing campaign prints the commands that replay its inputs.
"""

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from covenant import cli
from covenant.commands.networks import predict
from covenant.fuzz import run_case as running
from covenant.fuzz.campaign import cases, run_campaign
from covenant.fuzz.case import Case, draw
from covenant.fuzz.families import FAMILIES, Family
from covenant.fuzz.families.networks import _edited
from covenant.fuzz.run_case import make_case
from covenant.fuzz.verdict import Outcome
from verif.iss import meanings

SEED = 13
#: Inputs of each family in the short campaign; of damaged descriptions few are still a machine (11 of 300 drawn).
COUNTS = {"architecture": 80, "network": 20, "program": 120, "instruction": 80, "array": 40, "plan": 30}


def shown(tally):
    return [f"covenant fuzz --replay {failure.verdict.case}\n{failure.verdict.outcome}: {failure.verdict.message[-800:]}" for failure in tally.failures.values()]


@pytest.mark.parametrize("name", COUNTS)
def test_a_short_campaign(name):
    tally = run_campaign({name: FAMILIES[name]}, seed=SEED, count=COUNTS[name], minutes=None)
    assert shown(tally) == []
    assert tally.tried == COUNTS[name]
    assert tally.of(Outcome.REFUSED) > COUNTS[name] // 5 and tally.of(Outcome.EXACT) > 0


@pytest.mark.rtl
def test_forged_instructions_on_the_rtl():
    tally = run_campaign({"rtl": FAMILIES["rtl"]}, seed=SEED, count=4, minutes=None)
    assert shown(tally) == [] and tally.of(Outcome.EXACT) > 0


# ---- that it can fail

def _numbers(given, folder):
    """A file of one number for each edit."""
    (folder / "p").write_text("\n".join(str(rng.randrange(1000)) for rng in given.edits))
    return [["predict", "p"]]


PLAIN = Family("plain", "numbers, read by a planted command", 1, _numbers, lambda: None)


@pytest.fixture
def plant(monkeypatch):
    """Put another function in the place of ``covenant predict``; workers are forked, so they have it too."""

    def put(function):
        monkeypatch.setattr(predict, "predict", function)

    return put


def campaign(count=3, **options):
    return run_campaign({"plain": PLAIN}, seed=1, count=count, minutes=None, **options)


def only(tally, outcome):
    """The failures of a campaign that ended in nothing else."""
    assert {other: tally.of(other) for other in Outcome if tally.of(other)} == {outcome: tally.tried}
    return list(tally.failures.values())


def _fault(options):
    raise KeyError("planted")


def _hang(options):
    while True:
        pass


def _sleep(options):
    time.sleep(60)


def _hog(options):
    return int(np.ones(300 << 20, np.uint8)[-1]) - 1


def _greedy(options):
    return len(np.empty(1 << 45, np.uint8)) * 0


def _die(options):
    os.abort()


def test_a_traceback_is_counted(plant):
    plant(_fault)
    (failure,) = only(campaign(), Outcome.TRACEBACK)
    assert failure.seen == 3 and failure.verdict.command == "covenant predict p"
    assert "KeyError: 'planted'" in failure.verdict.message and "Traceback (most recent call last)" in failure.verdict.message


@pytest.mark.parametrize(("function", "limits"), [(_hang, {"cpu_seconds": 0.5}), (_sleep, {"wall_seconds": 0.5})])
def test_a_hang_is_counted(plant, function, limits):
    plant(function)
    (failure,) = only(campaign(1, **limits), Outcome.SLOW)
    assert function.__name__ in failure.verdict.message, "where it was"


def test_a_memory_hog_is_counted(plant, monkeypatch):
    plant(_hog)
    monkeypatch.setattr(running, "MEGABYTES", 200)
    (failure,) = only(campaign(), Outcome.LARGE)
    assert failure.verdict.megabytes > 200
    monkeypatch.setattr(running, "MEGABYTES", 400)
    only(campaign(), Outcome.EXACT)


def test_memory_that_cannot_be_had_is_counted(plant):
    plant(_greedy)
    only(campaign(), Outcome.LARGE)


def test_a_process_that_dies_is_counted_and_replaced(plant):
    plant(_die)
    (failure,) = only(campaign(), Outcome.TRACEBACK)
    assert failure.seen == 3 and "Fatal Python error: Aborted" in failure.verdict.message
    assert failure.verdict.message.endswith("the process died with status -6")


def test_a_wrong_byte_is_counted(monkeypatch):
    true = meanings.execute_vector

    def wrong(fields, **memories):
        true(fields, **memories)
        memories["y_memories"][fields["y_select"]] ^= 1

    monkeypatch.setattr(meanings, "execute_vector", wrong)
    tally = run_campaign({"network": FAMILIES["network"]}, seed=SEED, count=8, minutes=None)
    assert tally.of(Outcome.BROKEN) > 0
    assert any("exact: NO" in failure.verdict.message for failure in tally.failures.values() if failure.verdict.outcome is Outcome.BROKEN)


def test_a_message_that_is_none_is_counted(plant):
    plant(lambda options: 2)
    only(campaign(), Outcome.TRACEBACK)


def _multiple(options):
    if any(int(line) % 3 == 0 for line in Path(options.file).read_text().split()):
        raise ValueError("a multiple of three")
    return 0


def test_a_failure_is_made_smaller_and_replayed(plant, tmp_path):
    plant(_multiple)
    tally = campaign(60)
    (failure,) = tally.failures.values()
    several = [case for case in (Case("plain", 1, number) for number in range(60)) if draw(case).count > 1]
    assert several and failure.seen > 5
    tally = campaign(chosen=several)
    (failure,) = tally.failures.values()
    case = failure.verdict.case
    assert case.kept is not None and len(case.kept) == 1
    make_case(PLAIN, Case.parse(str(case), ("plain",)), tmp_path)
    assert int((tmp_path / "p").read_text()) % 3 == 0
    assert shown(campaign(chosen=[Case.parse(str(case), ("plain",))])) == shown(tally)


# ---- replay

def test_names_of_cases():
    for case in (Case("program", 1, 23), Case("array", 0, 5, (1, 3)), Case("array", 0, 5, ())):
        assert Case.parse(str(case), tuple(FAMILIES)) == case


@pytest.mark.parametrize("text", ["program", "program:1", "program:1:x", "nothing:1:2", "program:1:2:3:4", "program:1:2:x"])
def test_names_that_are_none_are_refused(text, capsys):
    assert cli.main(["fuzz", "--replay", text]) == 2
    assert capsys.readouterr().err.startswith(f"covenant: --replay {text}: ")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_case_is_the_same_files_every_time(name, tmp_path):
    FAMILIES[name].prepare() if name != "rtl" else FAMILIES["instruction"].prepare()
    for number in range(4):
        made = []
        for attempt in "ab":
            folder = tmp_path / f"{number}{attempt}"
            folder.mkdir()
            order = make_case(FAMILIES[name], Case(name, 7, number), folder)
            made.append((order, {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}))
        assert made[0][0] == made[1][0] and made[0][1].keys() == made[1][1].keys()
        for file, data in made[0][1].items():
            assert _contents(data) == _contents(made[1][1][file]), f"{name} {number} {file}"


def _contents(data):
    """Bytes without the time of day that a zip archive's entries carry."""
    return data if not data.startswith(b"PK") else len(data)


def test_numbers_of_a_seed_do_not_depend_on_what_was_tried_before():
    stream = cases(FAMILIES, 3)
    first = [next(stream) for _ in range(50)]
    again = cases(FAMILIES, 3)
    assert [next(again) for _ in range(50)] == first
    assert len({case.family for case in first}) >= 5 and [case.number for case in first] == list(range(50))


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fuzz", "array", "plan", "--count", "12", "--seed", "4", "--jobs", "2", "--quiet", "--json", "r.json"]) == 0
    shown = capsys.readouterr().out
    report = json.loads(Path("r.json").read_text())
    assert report["tried"] == 12 and report["failures"] == [] and set(report["families"]) == {"array", "plan"}
    assert "accepted and exact" in shown and "12 inputs in " in shown
    assert cli.main(["fuzz", "--replay", "array:4:0", "--keep", "kept", "--quiet"]) == 0
    assert "files in kept/array-4-0" in capsys.readouterr().out
    assert sorted(os.listdir("kept/array-4-0")) == ["message.txt", "p.covenant", "x.npz"]
    assert cli.main(["fuzz", "nothing"]) == 2
    assert capsys.readouterr().err == f"covenant: fuzz: no family 'nothing'; expected some of {', '.join(FAMILIES)}\n"


def test_a_failure_on_the_command_line(plant, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plant(_fault)
    monkeypatch.setitem(FAMILIES, "plain", PLAIN)
    assert cli.main(["fuzz", "plain", "--count", "5", "--quiet"]) == 1
    shown = capsys.readouterr().out
    assert "tracebacks, 5 of one cause: covenant predict p" in shown
    replay = next(line for line in shown.splitlines() if "replay: " in line)
    name = replay.split()[4]
    assert f"(files in build/fuzz/{name.replace(':', '-')})" in replay
    assert sorted(os.listdir(f"build/fuzz/{name.replace(':', '-')}")) == ["message.txt", "p"]
    assert cli.main(["fuzz", "--replay", name, "--quiet"]) == 1
    assert "KeyError: 'planted'" in capsys.readouterr().out


def test_a_tensor_whose_file_has_no_possible_name_is_edited_on(tmp_path):
    """Every later edit of such a model gives bytes: onnx reads the tensor and dies of the file system."""
    model = onnx.load(Path(__file__).resolve().parents[2] / "examples" / "digits_cnn.onnx")
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="x" * 5000)
    data = model.SerializeToString()
    assert all(isinstance(_edited(data, random.Random(seed), tmp_path), bytes) for seed in range(60))
