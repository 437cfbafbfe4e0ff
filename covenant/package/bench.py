"""A test bench in Verilog that needs nothing but a simulator: loads a program, starts it through the registers, compares bytes and cycles."""

from pathlib import Path

import verif.bench
from acg.graph import Graph
from acg.register_bits import ControlBit, StatusBit
from acg.regmap import ID_VALUE, RegisterMap
from covenant.package.interface import Bus, Interface
from covenant.package.network import Stimulus
from covenant.package.wrapper import window_bytes, wrapper_name

__all__ = ["READ", "WRITE", "axi_memory", "bench", "expected_hex", "memory_hex"]

#: Signals of a read port and of a write port of the memory.
READ = ("arvalid", "arready", "araddr", "arlen", "arsize", "arburst", "rvalid", "rready", "rdata", "rresp", "rlast")
WRITE = ("awvalid", "awready", "awaddr", "awlen", "awsize", "awburst", "wvalid", "wready", "wdata", "wstrb", "wlast", "bvalid", "bready", "bresp")


def axi_memory() -> str:
    """The memory that the project's own benches use; its head says what it promises."""
    return (Path(verif.bench.__file__).parent / "axi_memory.v").read_text()


def memory_hex(stimulus: Stimulus, *, word_bytes: int) -> str:
    """For ``$readmemh``: the external memory before the run, a word a line; only words that hold something are listed."""
    words = -(-stimulus.memory_bytes // word_bytes)
    data = bytearray(words * word_bytes)
    used: set[int] = set()
    for address, piece in stimulus.segments:
        data[address:address + len(piece)] = piece
        used.update(range(address // word_bytes, -(-(address + len(piece)) // word_bytes)))
    lines, last = [], -2
    for word in sorted(used):
        if word != last + 1:
            lines.append(f"@{word:x}")
        lines.append(data[word * word_bytes:(word + 1) * word_bytes][::-1].hex())
        last = word
    return "\n".join(lines) + "\n"


def expected_hex(stimulus: Stimulus) -> str:
    """For ``$readmemh``: a line a byte to compare, its address (8 hexadecimal digits) and its value (2)."""
    lines = [f"{address + place:08x}{byte:02x}" for address, data, mask in stimulus.expected
             for place, (byte, counts) in enumerate(zip(data, mask, strict=True)) if counts]
    return "\n".join(lines) + "\n"


def _packed(buses: list[Bus], signals: tuple[str, ...], base: int, bits: int) -> list[str]:
    """Connections of the memory: each signal of all ports side by side, port 0 in the low bits."""
    lines = []
    for signal in signals:
        nets = [f"{bus.name}_{signal}" for bus in reversed(buses)]
        if signal in ("araddr", "awaddr"):
            nets = [f"({net} ^ {bits}'h{base:x})" for net in nets]
        lines.append(f"        .{signal}({{{', '.join(nets)}}})")
    return lines


def bench(graph: Graph, interface: Interface, stimulus: Stimulus, *, banner: str) -> str:
    """Text of the bench, a module of Verilog with the tasks of SystemVerilog (``iverilog -g2012``). It prints one line that begins with PASS or FAIL, and of
    a failure ends with a status that is not 0. Memory stands at a base that is not 0 where the address has room for one."""
    registers, external = RegisterMap(graph).offsets, graph.external
    bits, word_bytes = interface.address_bits, external.bus_bytes
    window = window_bytes(external.size_bytes)
    base = window if 2 * window <= 1 << bits else 0
    reads, writes = [bus for bus in interface.managers if not bus.writes], [bus for bus in interface.managers if bus.writes]
    words = -(-stimulus.memory_bytes // word_bytes)
    compared = sum(sum(mask) for _, _, mask in stimulus.expected)
    low, ended = 0xFFFFFFFF, f"32'h{(StatusBit.DONE | StatusBit.IDLE).value:x}"
    start = [("PROGRAM_ADDRESS_LO", stimulus.program_address & low), ("PROGRAM_ADDRESS_HI", stimulus.program_address >> 32),
             ("PROGRAM_COUNT", stimulus.count), ("PROGRAM_FINGERPRINT_LO", stimulus.fingerprint & low),
             ("PROGRAM_FINGERPRINT_HI", stimulus.fingerprint >> 32), ("CONTROL", (ControlBit.START | ControlBit.IRQ_ENABLE).value)]
    patience = 4 * stimulus.cycles + 10_000
    control = interface.control.ports
    address_bits = control["awaddr"].width
    lines = [
        banner, f"// Runs {stimulus.what}, and compares {compared} bytes and the number of cycles.",
        "// iverilog -g2012 -o bench.vvp ../*.v *.v && vvp bench.vvp", f"module {interface.top}_bench;",
        "    reg aclk = 1'b0, aresetn = 1'b0;", "    always #5 aclk = ~aclk;", ""]
    lines += [f"    {'reg' if port.direction == 'input' else 'wire'} {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{port.name}"
              f"{' = 0' if port.direction == 'input' else ''};" for port in control.values()]
    lines += [f"    wire {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{port.name};" for bus in interface.managers
              for port in (*bus.ports.values(), *bus.fixed)]
    lines += ["    wire irq;", "    // As long in reset as the machine, which takes it through a register.", "    reg reset = 1'b1;",
              "    always @(posedge aclk) reset <= ~aresetn;", "", f"    {wrapper_name(interface.top)} #(.MEMORY_BASE({bits}'h{base:x})) machine ("]
    lines += [",\n".join(f"        .{port.name}({port.name})" for port in interface.wrapped), "    );", ""]
    lines += ["    covenant_axi_memory #(",
              f"        .READ_PORTS({len(reads)}), .WRITE_PORTS({len(writes)}), .ADDRESS_BITS({bits}), .DATA_BITS({interface.data_bits}), "
              f".SIZE_WORDS({words}),",
              f"        .READ_LATENCY({external.read_latency_cycles}), .WRITE_LATENCY({external.write_latency_cycles})", "    ) memory (",
              "        .clk(aclk), .rst(reset),"]
    lines += [",\n".join([*_packed(reads, READ, base, bits), *_packed(writes, WRITE, base, bits)]), "    );",
              "", f"    reg [39:0] expected [0:{compared - 1}];", "    reg [31:0] value;", "    integer place, wrong = 0, waited = 0;", "",
              "    task fail(input [8*40-1:0] what, input [63:0] found, input [63:0] right);", "        begin",
              '            $display("FAIL: %0s: found %0h, expected %0h", what, found, right);', "            $fatal(1);", "        end", "    endtask", "",
              f"    task write_register(input [{address_bits - 1}:0] offset, input [31:0] data);", "        begin", "            @(negedge aclk);",
              "            s_axil_awaddr = offset; s_axil_wdata = data; s_axil_wstrb = 4'hf;",
              "            s_axil_awvalid = 1'b1; s_axil_wvalid = 1'b1; s_axil_bready = 1'b1;",
              "            #4 while (!(s_axil_awready && s_axil_wready)) @(negedge aclk) #4;",
              "            @(negedge aclk) s_axil_awvalid = 1'b0; s_axil_wvalid = 1'b0;",
              "            #4 while (!s_axil_bvalid) @(negedge aclk) #4;",
              '            if (s_axil_bresp !== 2\'b00) fail("response to a register write", s_axil_bresp, 0);',
              "            @(negedge aclk) s_axil_bready = 1'b0;", "        end", "    endtask", "",
              f"    task read_register(input [{address_bits - 1}:0] offset);", "        begin", "            @(negedge aclk);",
              "            s_axil_araddr = offset; s_axil_arvalid = 1'b1; s_axil_rready = 1'b1;",
              "            #4 while (!s_axil_arready) @(negedge aclk) #4;", "            @(negedge aclk) s_axil_arvalid = 1'b0;",
              "            #4 while (!s_axil_rvalid) @(negedge aclk) #4;",
              '            if (s_axil_rresp !== 2\'b00) fail("response to a register read", s_axil_rresp, 0);',
              "            value = s_axil_rdata;", "            @(negedge aclk) s_axil_rready = 1'b0;", "        end", "    endtask", "",
              "    initial begin", '        $readmemh("memory.hex", memory.memory);', '        $readmemh("expected.hex", expected);',
              "        repeat (8) @(negedge aclk);", "        aresetn = 1'b1;", "        repeat (4) @(negedge aclk);",
              '        if (irq !== 1\'b0) fail("irq after reset", irq, 0);', f"        read_register({registers['ID']});",
              f'        if (value !== 32\'h{ID_VALUE:08x}) fail("ID", value, 32\'h{ID_VALUE:08x});']
    lines += [f"        write_register({registers[name]}, 32'h{number:08x});" for name, number in start]
    lines += [f"        while (irq !== 1'b1 && waited < {patience}) @(negedge aclk) waited = waited + 1;",
              f'        if (irq !== 1\'b1) fail("cycles without an interrupt", waited, {stimulus.cycles});',
              f"        read_register({registers['STATUS']});",
              f'        if (value !== {ended}) fail("STATUS", value, {ended});',
              f"        write_register({registers['CONTROL']}, 32'h0);", '        if (irq !== 1\'b0) fail("irq after it was disabled", irq, 0);',
              f"        for (place = 0; place < {compared}; place = place + 1)",
              f"            if (memory.memory[expected[place][39:8] / {word_bytes}][expected[place][39:8] % {word_bytes} * 8 +: 8] !== expected[place][7:0]) "
              "begin",
              "                if (wrong < 8)",
              '                    $display("byte %h: found %h, expected %h", expected[place][39:8], '
              f"memory.memory[expected[place][39:8] / {word_bytes}][expected[place][39:8] % {word_bytes} * 8 +: 8], expected[place][7:0]);",
              "                wrong = wrong + 1;", "            end", '        if (wrong != 0) fail("bytes that differ", wrong, 0);',
              f"        read_register({registers['CYCLES_LO']});",
              f'        if (value !== {stimulus.cycles}) fail("CYCLES", value, {stimulus.cycles});',
              f'        $display("PASS: {compared} bytes and {stimulus.cycles} cycles are as expected");', "        $finish;", "    end", "endmodule", ""]
    return "\n".join(lines)
