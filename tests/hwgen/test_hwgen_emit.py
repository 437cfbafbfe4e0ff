"""Generated files: complete, clean, the same bytes every time, readable by a C compiler."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwgen
from acg.graph import load_graph
from acg.isa import InstructionSet
from acg.regmap import ErrorCode, RegisterMap
from hwgen.emit import generate, header, sidecar, verilog
from hwgen.verilog import compact_initial_values, group_write_enables
from verif.bench.toolchain import find_toolchain

LINT = Path(hwgen.__file__).parent / "lint.vlt"
PROJECT = Path(hwgen.__file__).parent.parent


@pytest.fixture(scope="module")
def tiny():
    return load_graph("tiny")


@pytest.fixture(scope="module")
def tiny_verilog(tiny):
    return verilog(tiny)


def verilog_ports(text):
    """Ports of the top module, by the Verilog's own declarations: (name, direction, width)."""
    body = re.search(r"^module tiny\((.*?)^endmodule", text, re.M | re.S).group(1)
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.M)
    return {(name, direction, int(high) + 1 if high else 1) for direction, high, name in found}


def test_sidecar_names_the_ports_that_the_verilog_has(tiny, tiny_verilog):
    ports = {(port["name"], port["direction"], port["width"]) for port in sidecar(tiny)["ports"]}
    assert ports == verilog_ports(tiny_verilog)
    assert {("clk", "input", 1), ("irq", "output", 1), ("m_axi_fetch_araddr", "output", 32), ("m_axi_store_wstrb", "output", 8),
            ("s_axil_wdata", "input", 32), ("trace_start", "output", 4)} <= ports


def test_verilog_opens_with_banner_and_command_and_names_no_path(tiny_verilog):
    lines = tiny_verilog.splitlines()
    assert re.fullmatch(r"// Generated from architecture 'tiny', fingerprint [0-9a-f]{16}: do not edit\.", lines[0])
    assert lines[1] == "// Regenerate with: covenant rtl tiny"
    assert str(PROJECT) not in tiny_verilog
    assert "src =" not in tiny_verilog and ".py" not in tiny_verilog


def test_sidecar_follows_the_covenant(tiny):
    data, isa, registers = sidecar(tiny), InstructionSet(tiny), RegisterMap(tiny)
    assert data["fingerprint"] == f"{isa.fingerprint:016x}" and data["top"] == "tiny"
    assert {r["name"]: r["offset_bytes"] for r in data["registers"]} == registers.offsets
    assert data["errors"] == {code.name: code.value for code in ErrorCode}
    assert data["instructions"]["bytes"] == isa.instruction_bytes
    assert {name: [(f["name"], f["lsb"], f["width"]) for f in fields] for name, fields in data["instructions"]["engines"].items()} == {
        name: [(f.name, f.lsb, f.width) for f in layout.fields] for name, layout in isa.formats.items()}
    assert [m["name"] for m in data["memories"]] == list(tiny.memories)
    assert [e["name"] for e in data["engines"]] == list(tiny.engines)
    assert json.loads(json.dumps(data)) == data


@pytest.mark.rtl
def test_c_header_compiles_and_holds_the_register_offsets(tiny, tmp_path):
    (tmp_path / "tiny.h").write_text(header(tiny))
    names = list(RegisterMap(tiny).offsets)
    checks = "".join(f'printf("%d\\n", COVENANT_TINY_REG_{name});' for name in names)
    (tmp_path / "main.c").write_text(f'#include <stdio.h>\n#include "tiny.h"\n#include "tiny.h"\nint main(void) {{{checks}return 0;}}\n')
    tools = find_toolchain()
    subprocess.run([tools.compiler, "-x", "c", "-Wall", "-Werror", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    printed = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True).stdout.split()
    assert [int(value) for value in printed] == [RegisterMap(tiny).offsets[name] for name in names]


def test_every_generated_text_says_what_made_it_and_how_to_make_it_again(tiny, tiny_verilog):
    texts = generate(tiny, verilog_text=tiny_verilog)
    assert list(texts) == ["tiny.v", "tiny.json", "tiny.h", "tiny.md"]
    banner = f"Generated from architecture 'tiny', fingerprint {InstructionSet(tiny).fingerprint:016x}: do not edit."
    for text in texts.values():
        opening = "\n".join(text.splitlines()[:2])
        assert banner in opening and "Regenerate with: covenant rtl tiny" in opening


def test_the_command_in_the_banner_names_the_description_that_was_given(tiny):
    assert header(tiny, source="my/own.yaml").splitlines()[1] == "/* Regenerate with: covenant rtl my/own.yaml */"
    assert sidecar(tiny, source="my/own.yaml")["do_not_edit"].endswith("Regenerate with: covenant rtl my/own.yaml")


def test_verilog_does_not_depend_on_hash_seed_or_folder(tiny_verilog, tmp_path):
    code = "import sys; from acg.graph import load_graph; from hwgen.emit import verilog; sys.stdout.write(verilog(load_graph('tiny')))"
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(PROJECT)}
    again = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert again == tiny_verilog


def lint(verilog_path, *arguments):
    tools = find_toolchain()
    return subprocess.run([*tools.verilator, "--lint-only", "-Wall", "--top-module", "tiny", *arguments, str(verilog_path)],
                          env=tools.environment(), capture_output=True, text=True, check=False)


@pytest.mark.rtl
def test_verilator_finds_nothing_but_what_is_waived_and_every_waiver_is_needed(tiny_verilog, tmp_path):
    path = tmp_path / "tiny.v"
    path.write_text(tiny_verilog)
    clean = lint(path, str(LINT))
    assert (clean.returncode, clean.stderr) == (0, "")
    raised = set(re.findall(r"%Warning-(\w+):", lint(path).stderr))
    waived = set(re.findall(r"^lint_off -rule (\w+)$", LINT.read_text(), re.M))
    assert raised == waived


def test_initial_zeros_become_a_loop_over_the_same_words():
    words = "".join(f"    mem[{index}] = 16'h0000;\n" for index in range(9))
    assert compact_initial_values(f"x\n  initial begin\n{words}  end\ny\n") == (
        "x\n  integer mem_word;\n  initial for (mem_word = 0; mem_word < 9; mem_word = mem_word + 1) mem[mem_word] = 16'd0;\ny\n")


@pytest.mark.parametrize("words", [
    "".join(f"    mem[{index}] = 16'h000{index % 2};\n" for index in range(9)),
    "".join(f"    mem[{index}] = 16'h0000;\n" for index in range(1, 10)),
    "".join(f"    mem[{index}] = 16'h0000;\n" for index in range(4)),
])
def test_other_initial_values_stay(words):
    text = f"  initial begin\n{words}  end\n"
    assert compact_initial_values(text) == text


WRITES = """  always @(posedge clk) begin
    if (we[0])
      mem[a[3:0]][7:0] <= d;
    if (\\we$1 )
      mem[a[3:0]][15:8] <= { e, 4'h0 };
  end
"""


def test_enabled_parts_of_one_word_are_written_in_a_loop():
    assert group_write_enables(WRITES) == """  wire [1:0] mem_enables = { \\we$1 , we[0] };
  wire [15:0] mem_pieces = { { e, 4'h0 }, d };
  integer mem_lane;
  always @(posedge clk) begin
    if (|mem_enables) begin
      /* verilator unroll_disable */
      for (mem_lane = 0; mem_lane < 2; mem_lane = mem_lane + 1) begin
        if (mem_enables[mem_lane]) begin
          mem[a[3:0]][mem_lane * 8 +: 8] <= mem_pieces[mem_lane * 8 +: 8];
        end
      end
    end
  end
"""


def test_each_write_port_of_a_memory_has_names_of_its_own():
    found = group_write_enables(f"module a;\n{WRITES}{WRITES.replace('we[0]', 'we2')}endmodule\n\nmodule b;\n{WRITES}endmodule\n")
    declared = [line.split()[-1].rstrip(";") for line in found.splitlines() if line.startswith("  integer")]
    assert declared == ["mem_lane", "mem_2_lane", "mem_lane"]
    assert found.count("wire [1:0] mem_enables") == 2 and "mem_2_enables = { \\we$1 , we2 }" in found
    assert found.count("mem[a[3:0]][mem_2_lane * 8 +: 8] <= mem_2_pieces[mem_2_lane * 8 +: 8];") == 1


@pytest.mark.parametrize("old, new", [("mem[a[3:0]][15:8]", "mem[b][15:8]"), ("mem[a[3:0]][15:8]", "other[a[3:0]][15:8]"), ("15:8", "14:8")])
def test_parts_that_are_not_of_one_word_stay(old, new):
    text = WRITES.replace(old, new)
    assert text != WRITES and group_write_enables(text) == text
