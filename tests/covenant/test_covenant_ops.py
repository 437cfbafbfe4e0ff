"""``covenant ops``, and the document that is made of it."""

import json
from pathlib import Path

import pytest

from compiler.front.constraints import no_indices
from compiler.front.support import OPERATORS, support_rows
from covenant.cli import main

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operators.md"


def told(capsys, *arguments):
    assert main(["ops", *arguments]) == 0
    return capsys.readouterr().out


def test_the_document_is_what_the_sources_say(capsys):
    assert DOCUMENT.read_text() == told(capsys, "--markdown"), "run make ops"


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
