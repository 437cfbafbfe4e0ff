"""`covenant compare`: nodes meet, sums hold, what only one side has is told."""

import json

import pytest

from covenant.analysis.compare import compared, comparison_markdown
from covenant.cli import main

MODEL = "examples/digits_cnn.onnx"


def layer(name, nodes, cycles):
    return {"name": name, "operator": "Conv", "nodes": nodes, "cycles": cycles, "critical_cycles": cycles, "bytes": 8, "macs": 2}


def side(name, layers):
    causes = {"engines": {"load": {"working": 2, "ragged": 1, "filling": 1, "idle": {"end of program": 6}}}, "critical_path": []}
    totals = {"cycles": sum(item["cycles"] for item in layers), "instructions": 4, "bytes": 8 * len(layers)}
    return {"network": "n", "machine": {"name": name, "fingerprint": "0"}, "totals": totals, "layers": layers, "causes": causes}


def test_nodes_meet_whatever_the_layers_are():
    a = side("one", [layer("p", ["c1", "r1"], 10), layer("q", ["c2"], 5), layer("only", ["c4"], 1)])
    b = side("two", [layer("p", ["c1"], 4), layer("r", ["r1", "c2"], 7), layer("new", ["c9"], 2)])
    rows = compared(a, b)["nodes"]
    assert [(row["nodes"], row["a"] and row["a"]["cycles"], row["b"] and row["b"]["cycles"]) for row in rows] == [
        (["c1", "c2", "r1"], 15, 11), (["c4"], 1, None), (["c9"], None, 2)]


def test_markdown_has_every_row():
    text = comparison_markdown(compared(side("one", [layer("a|b", ["c1"], 10)]), side("two", [layer("a|b", ["c1"], 12)])))
    assert "| a\\|b | Conv | 10 | 12 | +2 | 10 | 12 | 8 | 8 |" in text and "| total |  | 10 | 12 | +2 |" in text


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "c.json"
    assert main(["compare", MODEL, "--arch", "edge16", "--arch", "dot16", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_a_network_on_two_machines(report):
    assert (report["a"]["machine"], report["b"]["machine"]) == ("edge16", "dot16")
    for key in ("macs", "bytes"):
        for one in ("a", "b"):
            assert sum(row[one][key] for row in report["nodes"] if row[one]) == report[one]["totals"][key]
    for sides in report["engines"].values():
        for one, cycles in sides.items():
            assert cycles is None or sum(cycles.values()) == report[one]["totals"]["cycles"]


def test_a_program_against_itself_is_the_same(tmp_path, capsys):
    program = tmp_path / "p.covenant"
    assert main(["compile", MODEL, "--arch", "tiny", "-o", str(program)]) == 0
    capsys.readouterr()
    assert main(["compare", str(program), str(program)]) == 0
    lines = capsys.readouterr().out.splitlines()
    total = next(line for line in lines if line.startswith("total"))
    assert total.split()[3] == "=" and all("+" not in line for line in lines)


@pytest.mark.parametrize("arguments,found", [
    ([MODEL], "1 files and 0 machines"), ([MODEL] * 3, "3 files and 0 machines"), ([MODEL, "--arch", "tiny"], "1 files and 1 machines"),
    ([MODEL, "--arch", "tiny", "--arch", "tiny", "--arch", "wide"], "1 files and 3 machines"),
])
def test_two_things_are_compared(capsys, arguments, found):
    assert main(["compare", *arguments]) == 2
    assert capsys.readouterr().err == f"covenant: compare: {found}; expected two files, or one network and --arch twice\n"
