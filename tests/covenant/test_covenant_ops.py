"""``covenant ops``, and the document that is made of it."""

import json
import re
from pathlib import Path

import pytest

from acg.graph import load_graph
from compiler.front import support_table
from compiler.front.constraints import no_indices
from compiler.front.support import OPERATORS
from compiler.front.support_table import support_markdown, support_rows
from covenant.analysis.operators import network_of
from covenant.cli import main
from covenant.commands.networks import ops
from covenant.commands.networks.ops import HEAD

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def told(capsys, *arguments):
    assert main(["ops", *arguments]) == 0
    return capsys.readouterr().out


def without_machines(text):
    """The document without its column of a machine, which takes seconds to make."""
    lines = text.splitlines()
    place = lines[lines.index(next(line for line in lines if line.startswith("| Operator | Becomes"))) :]
    rows = set(place[: place.index("")])
    return [re.sub(r"^((?:[^|]*\|){4})[^|]*\|", r"\1", line) if line in rows else line for line in lines]


def test_the_document_is_what_the_sources_say():
    assert without_machines(DOCUMENT.read_text()) == (HEAD + support_markdown()).splitlines(), "run make ops"


@pytest.mark.long
def test_the_document_says_what_a_core_runs(capsys):
    assert DOCUMENT.read_text() == told(capsys, "--markdown"), "run make ops"


def test_what_a_core_runs_is_a_column_of_the_document(capsys, monkeypatch):
    monkeypatch.setattr(ops, "support_rows", lambda: [row for row in support_rows() if row.operator in ("Conv", "Shape")])
    monkeypatch.setattr(support_table, "support_rows", ops.support_rows)
    lines = told(capsys, "--markdown").splitlines()
    head = lines.index("| Operator | Becomes | Engine | On dsp | Conditions |")
    assert [line.split(" | ")[3] for line in lines[head + 2 : head + 4]] == ["runs", "runs"]


def test_json_has_every_operator_with_its_conditions(capsys):
    rows = json.loads(told(capsys, "--json", "-"))
    assert len(rows) == len(OPERATORS) and [row["operator"] for row in rows] == [row.operator for row in support_rows()]
    pool = next(row for row in rows if row["operator"] == "MaxPool")
    assert (pool["becomes"], pool["engine"]) == ("MaxPool", "vector")
    assert no_indices.__doc__ in pool["conditions"]


def test_table_has_a_line_an_operator(capsys):
    lines = told(capsys).splitlines()
    assert lines[0].split() == ["operator", "becomes", "engine", "conditions"]
    assert [line.split()[0] for line in lines[2:-2]] == [row.operator for row in support_rows()]
    assert lines[-1] == "conditions in full: covenant ops OPERATOR, or docs/operators.md"


def test_named_operators_in_full(capsys):
    lines = told(capsys, "Shape", "MaxPool").splitlines()
    assert lines[0] == "MaxPool: MaxPool (vector)" and f"  {no_indices.__doc__}" in lines and lines[-1] == "Shape: constant (compiler)"


@pytest.mark.parametrize("options", [(), ("--json", "-")])
def test_what_is_not_listed(capsys, options):
    assert main(["ops", "MaxPool", "Hardmax", "maxpool", *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "covenant: ops: Hardmax, maxpool not supported; expected operators that covenant ops lists\n")


def test_every_operator_has_a_network_to_try():
    for row in support_rows():
        nodes = {(node.domain, node.op_type) for node in network_of(row).graph.node}
        domain, _, name = row.operator.rpartition(".")
        assert (domain, name) in nodes, row.operator


def test_what_a_machine_runs(capsys):
    lines = told(capsys, "Tanh", "MatMul", "Shape", "--arch", "tiny").splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "MatMul: Conv, BlockwiseConv, MatMul, Move (load, matrix, vector, store)", "Shape: constant (load, vector, store)", "Tanh: Unary (load, vector, store)"]


def test_what_a_machine_lacks(capsys, tmp_path):
    file = tmp_path / "bare.yaml"
    lines = load_graph("tiny").description.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if "=TABLE(" not in line and "lut" not in line and "MAXIMUM" not in line).replace("name: tiny", "name: bare"))
    rows = json.loads(told(capsys, "MaxPool", "Tanh", "Conv", "--arch", str(file), "--json", "-"))
    assert {row["operator"]: (row["runs"], row["engines"], row["lacks"]) for row in rows} == {
        "Conv": (True, ["load", "matrix", "vector", "store"], None),
        "MaxPool": (False, [], "no engines of bare offer WINDOW_MAX + REQUANTIZE or MAXIMUM on memories they share: no engine offers WINDOW_MAX"),
        "Tanh": (False, [], "no engines of bare offer TABLE on memories they share: vector lacks TABLE"),
    }


def test_the_document_is_that_of_no_machine(capsys):
    assert main(["ops", "--arch", "tiny", "--markdown"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == (
        "covenant: ops: --markdown with --arch; expected --markdown alone, the text of docs/operators.md, which names its machines\n")
