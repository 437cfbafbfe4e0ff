"""The wrapper takes names, directions and widths from the Verilog, and refuses tops that are not a machine's."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from verif.bench import BuildError, Description
from verif.bench.wrapper import Port, generate, parse_ports

DUT = (Path(__file__).parent / "data" / "bench_dut.v").read_text()
MACHINE = Description(memory_bytes=1 << 16, read_latency_cycles=5, write_latency_cycles=3, engines=("load", "store"))


def test_ports_of_both_declaration_styles():
    separate = """
    (* top =  1  *)
    (* keep = "module inner ( endmodule" *)
    module top(clk, data, m_axi_x_araddr);
      input clk; // input wrong
      wire clk;
      /* output worse; */
      output [31:0] data;
      reg [31:0] data = 32'd0;
      output [15:0] m_axi_x_araddr;
    endmodule
    module other(input nothing); endmodule
    """
    expected = {"clk": Port("clk", "input", 1), "data": Port("data", "output", 32), "m_axi_x_araddr": Port("m_axi_x_araddr", "output", 16)}
    assert parse_ports(separate, "top") == expected
    ports = parse_ports(DUT, "top")
    assert ports["m_axi_load_rdata"] == Port("m_axi_load_rdata", "input", 64)
    assert ports["s_axil_rdata"] == Port("s_axil_rdata", "output", 32)
    assert ports["trace_retire"] == Port("trace_retire", "output", 2)


def test_memory_has_the_described_timing_and_every_port_once():
    text = generate(DUT, MACHINE)
    assert ".SIZE_WORDS(8192)" in text
    assert ".READ_LATENCY(5), .WRITE_LATENCY(3)" in text
    assert ".READ_PORTS(1), .WRITE_PORTS(1), .ADDRESS_BITS(32), .DATA_BITS(64)" in text
    dut = text[text.index("top dut ("):text.index("covenant_axi_memory")]
    assert sorted(re.findall(r"\.(\w+)\(", dut)) == sorted(parse_ports(DUT, "top"))


def test_second_reader_becomes_port_1():
    group = "\n".join(line.replace("_load_", "_weights_") for line in DUT.splitlines() if re.search(r"\b(in|out)put.*m_axi_load_", line))
    text = generate(DUT.replace("    output irq,", group + "\n    output irq,"), MACHINE)
    assert ".READ_PORTS(2)" in text
    assert ".rdata({m_axi_weights_rdata, m_axi_load_rdata})" in text


def test_description_of_a_graph_and_back():
    external = SimpleNamespace(size_bytes=1 << 16, read_latency_cycles=5, write_latency_cycles=3)
    graph = SimpleNamespace(external=external, engines={"load": None, "store": None})
    assert Description.from_graph(graph) == MACHINE
    assert Description.from_dict(MACHINE.as_dict()) == MACHINE


@pytest.mark.parametrize(("fields", "message"), [
    ({"memory_bytes": 0}, "Description: memory_bytes must be a positive integer, not 0"),
    ({"read_latency_cycles": 1.5}, "Description: read_latency_cycles must be a positive integer, not 1.5"),
    ({"engines": ()}, "Description: engines must be 1 to 255 names, not 0"),
])
def test_bad_descriptions_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Description(**{**MACHINE.as_dict(), **fields})


@pytest.mark.parametrize(("change", "fields", "message"), [
    (("module top", "module pot"), {},
     "Verilog module 'top': found no such module in the text; expected the top module of the design; name the top module in the description"),
    (("output irq", "output interrupt"), {},
     "Verilog module 'top': found no port irq; expected the ports of a generated machine; generate the Verilog with hwgen, or add the ports"),
    (("input clk,", "input clk, input scan,"), {},
     "Verilog module 'top': found inputs scan that the bench does not drive; expected clk, rst, s_axil_* and m_axi_*; "
     "remove them or teach verif/bench/wrapper.py to drive them"),
    (("clk", "clk"), {"engines": ("a", "b", "c")},
     "Verilog module 'top': found trace_start of 2 bits; expected 3, one an engine; "
     "use the Verilog and the description of the same architecture"),
    (("[63:0] m_axi_store_wdata", "[31:0] m_axi_store_wdata"), {},
     "Verilog module 'top': found data widths {'m_axi_load_rdata': 64, 'm_axi_store_wdata': 32}; expected one width on all AXI masters; "
     "give every master the widths of the external memory's bus"),
    (("m_axi_store_awvalid,", "m_axi_store_awv,"), {},
     "Verilog module 'top': found 1 reading and 0 writing AXI masters; expected at least one of each; "
     "generate the Verilog from an architecture with load and store engines"),
    (("clk", "clk"), {"memory_bytes": 1001},
     "description: found memory_bytes 1001; expected a multiple of the bus's 8 bytes; correct the external memory's size"),
])
def test_unfit_tops_are_refused(change, fields, message):
    with pytest.raises(BuildError, match=f"^{re.escape(message)}$"):
        generate(DUT.replace(*change), Description(**{**MACHINE.as_dict(), **fields}))
