"""`covenant predict` tells where the cycles go: JSON whose parts add up, tables for people."""

import json

import pytest

from covenant.analysis.causes import cause_tables
from covenant.cli import main


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("causes") / "r.json"
    assert main(["predict", "examples/digits_cnn.onnx", "--arch", "edge16", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_parts_add_up(report):
    total = report["cycles"]["predicted"]
    causes = report["causes"]
    assert set(causes["engines"]) == {"load", "matrix", "vector", "store"}
    for each in causes["engines"].values():
        assert each["working"] + each["filling"] + sum(each["idle"].values()) == total
    assert sum(row["cycles"] for row in causes["critical_path"]) == total
    assert {"engine", "layer", "op", "cycles", "waited_for_as"} == set(causes["critical_path"][0])
    assert [row["cycles"] for row in causes["critical_path"]] == sorted((row["cycles"] for row in causes["critical_path"]), reverse=True)
    names = {layer["name"] for layer in report["layers"]}
    assert {row["layer"] for row in causes["critical_path"] if row["engine"]} <= names


def test_tables_for_people(report):
    text = cause_tables(report["causes"], report["cycles"]["predicted"])
    head, *_ = text.splitlines()
    assert head.split("  ")[0] == "engine" and "operand on its way" in head and head.rstrip().endswith("working")
    shown = text.split("critical path")[1].splitlines()[2:14]
    first = report["causes"]["critical_path"][0]
    assert f"{first['cycles']:,}" in shown[0] and shown[0].startswith(first["engine"])


def test_long_paths_are_cut_and_say_so():
    rows = [{"engine": "load", "layer": f"l{i}", "op": "Conv", "cycles": 10, "waited_for_as": {}} for i in range(15)]
    text = cause_tables({"engines": {"load": {"working": 150, "filling": 0, "idle": {}}}, "critical_path": rows}, 150)
    assert text.splitlines()[-1] == "... and 3 more with 30 cycles (--json has all)"
