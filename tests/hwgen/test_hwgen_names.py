"""Names in the emitted Verilog: plain, no word of the language, one name one thing; and nothing that only some tools take."""

import re
from itertools import pairwise

import pytest

from acg.graph import load_graph
from covenant.hardware import rtl_text
from hwgen.names import RESERVED, plain_names, top_name
from hwgen.verilog import drop_idle_attributes, start_processes


def test_escaped_names_become_plain_ones_and_nothing_else_changes():
    text = "module \\top.engine.rows$12 (a);\n  wire \\$1 ;\n  reg [3:0] \\instr$7.n_0  = 4'h0;\n  assign \\instr$7.n_0 [1:0] = 8'hff;\nendmodule\n"
    assert plain_names(text) == "module top_engine_rows(a);\n  wire expr_1;\n  reg [3:0] instr_7_n_0 = 4'h0;\n  assign instr_7_n_0[1:0] = 8'hff;\nendmodule\n"


@pytest.mark.parametrize(("names", "plain"), [
    (("a.b", "a_b"), ("a_b", "a_b_2")),           # of two that would be one, the second gives way
    (("begin", "\\$signature__addr"), ("begin_2", "memory__addr")),
    (("3x", "a[0].b"), ("n3x", "a_0_b")),
    (("$", "$$"), ("name", "name_2")),
    (("$auto$verilog_backend.cc:2355:dump_module$3", "$auto$verilog_backend.cc:2400:dump_module$14"), ("at_start", "at_start_2")),
])
def test_no_two_names_become_one_and_none_becomes_a_word_of_the_language(names, plain):
    text = "".join("wire \\" + name.lstrip("\\") + " ;\n" for name in names)
    assert plain_names(text) == "".join(f"wire {name};\n" for name in plain)


def test_a_plain_name_that_exists_is_left_to_its_owner():
    assert plain_names("wire a_b;\nwire \\a.b ;\n") == "wire a_b;\nwire a_b_2;\n"


def test_words_of_systemverilog_that_verilog_lets_be_names_are_names_no_longer():
    assert plain_names("  reg logic;\n  always @* logic = 1'h1;\n") == "  reg logic_2;\n  always @* logic_2 = 1'h1;\n"


def test_reserved_words_are_all_and_only_words():
    words = sorted(RESERVED)
    assert {"module", "table", "logic", "checker", "wor"} < RESERVED and all(re.fullmatch(r"[a-z_0-9]+", word) for word in words)
    assert all(first != second for first, second in pairwise(words))


@pytest.mark.parametrize(("machine", "top"), [("tiny", "tiny"), ("table", "table_top"), ("logic", "logic_top"), ("tb", "tb_top"),
                                              ("covenant_monitor", "covenant_monitor_top"), ("table_top", "table_top_")])
def test_the_top_module_is_named_after_the_machine_unless_the_name_is_taken(machine, top):
    assert top_name(machine) == top


def test_an_attribute_without_a_statement_is_left_out():
    text = "    if (a) begin\n      b = 1;\n      (* full_case = 32'd1 *)\n      \n    end\n"
    assert drop_idle_attributes(text) == "    if (a) begin\n      b = 1;\n    end\n"
    kept = "    (* full_case = 32'd1 *)\n    casez (a)\n      1'h0:\n        ;\n    endcase\n"
    assert drop_idle_attributes(kept) == kept


def test_combinational_processes_run_once_at_the_start():
    off, on = "/* verilator lint_off INITIALDLY */", "/* verilator lint_on INITIALDLY */"
    assert start_processes("  reg at_start = 0;\n  reg at_start_12 = 0;\n  reg at_startle = 0;\n") == (
        f"  reg at_start = 1'h0;\n  {off} initial at_start <= 1'h1; {on}\n  reg at_start_12 = 1'h0;\n  {off} initial at_start_12 <= 1'h1; {on}\n  reg at_startle = 0;\n")


@pytest.mark.rtl
def test_every_module_has_the_machines_name_and_nothing_is_escaped_or_without_a_name():
    text = rtl_text(load_graph("tiny"))
    modules = re.findall(r"^module (\S+?)\(", text, re.M)
    assert len(modules) == len(set(modules)) > 40 and all(re.fullmatch(r"tiny(_\w+)?", module) for module in modules)
    assert text.count("initial at_start") > 20 and not re.search(r"reg at_start\w* = 0;", text)
    assert "\\" not in text and not re.search(r"\b(signal|name)(_\d+)?\b", text)
