"""The whole command on a small space: files, resuming, the same bytes with any workers."""

import json

import pytest

from covenant.cli import main
from covenant.explore.explore import digest_of
from covenant.explore.journal import Journal
from covenant.explore.points import Evaluated
from covenant.files import write_text

SPACE = """\
base: tiny
networks: {digits_cnn.onnx: 1}
numbers:
  act.banks: [2, 4, 16]
  matrix.columns: [4, 5]
  control.queue_depth: [2, 4]
constraints: {on_chip_bytes: {most: 37000}}
energy: technology.yaml
objectives: [cycles, on_chip_bytes, energy_pj]
search: {points: 20}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from acg.shared import shared_folder

    path = tmp_path_factory.mktemp("space")
    (path / "digits_cnn.onnx").write_bytes((shared_folder("examples") / "digits_cnn.onnx").read_bytes())
    (path / "technology.yaml").write_text((shared_folder("examples") / "technology_45nm.yaml").read_text())
    (path / "s.yaml").write_text(SPACE)
    assert main(["explore", str(path / "s.yaml"), "-o", str(path / "one"), "--quiet", "--json", str(path / "one.json")]) == 0
    return path


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "journal.jsonl"}


def test_what_it_leaves(folder):
    data = json.loads((folder / "one" / "explore.json").read_text())
    assert data["possible"] == data["tried"] == 12 and len(data["points"]) == 12
    refusals = {point["refused"] for point in data["points"]}
    assert None in refusals and any(text and text.startswith("on_chip_bytes ") for text in refusals)
    for point in data["points"]:  # what is refused before it is compiled has no cycles
        assert ("cycles" in point["quantities"]) == (point["refused"] is None)
    front = [point for point in data["points"] if point["front"]]
    assert sorted(point["name"] for point in front) == sorted(path.stem for path in (folder / "one" / "front").iterdir())
    best = next(point for point in front if point["name"] == data["front"][0])
    predicted = folder / "p.json"
    assert main(["predict", str(folder / "digits_cnn.onnx"), "--arch", str(folder / "one" / "front" / f"{best['name']}.yaml"), "--json", str(predicted)]) == 0
    assert json.loads(predicted.read_text())["cycles"]["predicted"] == best["quantities"]["cycles:digits_cnn.onnx"] == best["quantities"]["cycles"]
    assert (folder / "one" / "points.csv").read_text().count("\n") == 13
    page = (folder / "one" / "explore.html").read_text()
    assert all(point["name"] in page for point in front) and "http" not in page.replace("http://www.w3.org", "")


def test_it_goes_on_and_gives_the_same(folder, capsys):
    lines = (folder / "one" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    (folder / "two").mkdir()
    (folder / "two" / "journal.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:40])  # ended while it wrote
    assert main(["explore", str(folder / "s.yaml"), "-o", str(folder / "two"), "--quiet", "--jobs", "2"]) == 0
    assert "(5 known from" in capsys.readouterr().out
    assert files(folder / "one") == files(folder / "two")
    assert sorted((folder / "two" / "journal.jsonl").read_bytes().splitlines()) == sorted(line.rstrip() for line in lines)


def test_results_of_other_sources_are_not_used(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add("k", Evaluated({"cycles": 3.0}))
    journal.close()
    for digest, expected in ((None, Evaluated({"cycles": 3.0})), ("other", None)):
        if digest:
            monkeypatch.setattr("covenant.explore.journal.sources_digest", lambda: "other")
        journal = Journal(path)
        assert journal.find("k") == expected
        journal.close()


def test_no_journal(tmp_path, capsys):
    write_text(tmp_path / "o" / "journal.jsonl", "notes of mine\n")
    (tmp_path / "s.yaml").write_text("base: tiny\nnetworks: {autoencoder: 1}\nnumbers: {act.banks: [2, 4]}\n")
    assert main(["explore", str(tmp_path / "s.yaml"), "-o", str(tmp_path / "o"), "--quiet"]) == 2
    assert capsys.readouterr().err == (f"covenant: {tmp_path}/o/journal.jsonl: no journal of covenant explore; expected one, or a folder without it: "
                                       "give another -o\n")
    assert (tmp_path / "o" / "journal.jsonl").read_text() == "notes of mine\n"
    assert digest_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
