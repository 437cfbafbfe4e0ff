"""`covenant advise`: each change is a compilation of its own."""

import json

import pytest

from acg.description.variants import variants
from acg.predictor import predict
from covenant.cli import main
from covenant.networks import compile_file, load_graph

MODEL = "examples/digits_cnn.onnx"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("advise") / "r.json"
    assert main(["advise", MODEL, "--arch", "tiny", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_changes_are_ranked_by_what_they_save(report):
    rows = report["changes"]
    assert [row["saved"] for row in rows] == sorted((row["saved"] for row in rows), reverse=True) and rows[0]["saved"] > 0
    for row in rows:
        assert row["saved"] == report["cycles"] - row["cycles"]
        assert set(row) == {"change", "cycles", "saved", "on_chip_bytes", "more_on_chip_bytes", "macs_per_cycle", "bus_bytes"}
    assert len(rows) + len(report["refused"]) == len(list(variants(load_graph("tiny"))))


def test_cycles_are_those_of_a_compilation(report):
    best = report["changes"][0]
    graph = next(v.graph for v in variants(load_graph("tiny")) if v.change == best["change"])
    _, program = compile_file(MODEL, graph)
    assert predict(graph, program.instructions).total_cycles == best["cycles"]


def test_several_at_a_time_say_the_same(report, tmp_path):
    path = tmp_path / "r.json"
    assert main(["advise", MODEL, "--arch", "tiny", "--jobs", "2", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == report


def test_for_people(capsys, report):
    assert main(["advise", MODEL, "--arch", "tiny", "--most", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split("  ")[0] == report["changes"][0]["change"]
    assert f"{MODEL} on tiny: {report['cycles']:,} cycles" in "\n".join(lines)


def test_a_program_file_is_refused(tmp_path, capsys):
    program = tmp_path / "p.covenant"
    assert main(["compile", MODEL, "--arch", "tiny", "-o", str(program)]) == 0
    capsys.readouterr()
    assert main(["advise", str(program), "--arch", "tiny"]) == 2
    assert capsys.readouterr().err == (
        f"covenant: {program}: a program file is compiled for one machine; expected the ONNX network, which is compiled for each change\n")
