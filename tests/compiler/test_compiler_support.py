"""The support table: complete, in step with the importer, readable."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from compiler.codelets.families import FAMILIES
from compiler.front import constraints as constraints_module
from compiler.front.constraints import explain
from compiler.front.import_onnx import HANDLERS
from compiler.front.support import EVERYWHERE, OPERATORS
from compiler.front.support_table import ENGINES, engines, support_markdown

SOURCES = Path(constraints_module.__file__).parents[1]


def test_every_operator_has_a_handler_and_the_reverse():
    assert set(OPERATORS) == set(HANDLERS)


def test_what_the_issue_promises_is_listed():
    promised = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm", "ConvInteger", "MatMulInteger",
                "Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Relu", "Clip", "Flatten", "Reshape",
                "Identity", "QLinearAveragePool", "QLinearGlobalAveragePool"}  # fmt: skip
    assert promised - {name for _, name in OPERATORS} == set()


@pytest.mark.parametrize("constraint", sorted({c for o in OPERATORS.values() for c in o.constraints}, key=lambda c: c.__name__), ids=lambda c: c.__name__)
def test_messages_are_sentences(constraint):
    text = explain(constraint)
    assert re.fullmatch(r"[A-Z].*[a-z0-9)4]\.", text), text
    assert "\n" not in text


def test_every_constraint_is_listed_and_used():
    public = {n for n, f in inspect.getmembers(constraints_module, inspect.isfunction) if f.__module__.startswith(constraints_module.__name__)}
    constraints = public - {"explain", "quantised_output"}
    in_table = {c.__name__ for o in OPERATORS.values() for c in o.constraints} | {c.__name__ for c in EVERYWHERE}
    assert constraints == in_table
    importer = "".join(p.read_text() for p in sorted(SOURCES.rglob("*.py")))
    unused = {c for c in constraints if not re.search(rf"(require|refuse)\(\s*{c}\b", importer)}
    assert unused == set()


def test_every_ir_operator_has_an_engine():
    assert set(FAMILIES) - set(ENGINES) == set(), "add them to ENGINES of compiler/front/support.py"
    assert all(engines(entry.result) for entry in OPERATORS.values())


def test_markdown():
    lines = support_markdown().splitlines()
    assert lines[:5] == [
        "ONNX opset 13 to 21; older and newer ones are converted by onnx where it can. Any operator is folded when all its inputs",
        "are constants.",
        "",
        "| Operator | Becomes | Engine | Conditions |",
        "|---|---|---|---|",
    ]
    assert lines.index("Every node is held to these:") == 6 + len(OPERATORS)
    assert "- What is not computed must be left out, an attribute may be at its default." in lines
    assert "| Resize | `cubic_coeff_a` | in modes other than cubic |" in lines
    assert "| Dropout | input `ratio` | at inference |" in lines
    assert (
        "| MaxPool | MaxPool | vector | An activation operand must come from DequantizeLinear of an 8-bit tensor.<br>"
        "Convolution and pooling windows must have one or two spatial dimensions.<br>Padding must not be negative.<br>"
        "The window must fit into the padded input.<br>MaxPool must not return indices.<br>MaxPool's storage_order must be 0.<br>"
        "Every pooling window must touch the input. |"
    ) in lines
    assert "| Shape | constant | compiler | none |" in lines
