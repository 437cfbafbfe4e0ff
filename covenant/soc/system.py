"""The Verilog of the system: processor, accelerator, memory, and between them either a port of the memory for each manager, as the machine's description
promises, or one port that all share."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path

from acg.graph import Graph
from covenant.errors import UserError
from covenant.package.bench import READ, WRITE
from covenant.package.interface import Bus, interface

__all__ = ["RAM_WORDS", "processor_source", "system"]

#: Memory of the processor's own, in words of 4 bytes.
RAM_WORDS = 1 << 18
#: Signals that the processor's bridges have, to the registers as to the memory.
_OWN = ("arvalid", "arready", "araddr", "rvalid", "rready", "rdata", "awvalid", "awready", "awaddr", "wvalid", "wready", "wdata", "wstrb", "bvalid", "bready")


def processor_source() -> str:
    """Verilog of PicoRV32, from its wheel. Raises UserError where that is missing."""
    found = importlib.util.find_spec("pythondata_cpu_picorv32")
    if found is None or not found.submodule_search_locations:
        raise UserError("soc: the package pythondata-cpu-picorv32 is missing, which has the processor's Verilog; expected it, install the extra: "
                        "pip install 'covenant[soc]'")
    return (Path(next(iter(found.submodule_search_locations))) / "verilog" / "picorv32.v").read_text()


def _width(signal: str, bits: int, data: int) -> int:
    return {"araddr": bits, "awaddr": bits, "arlen": 8, "awlen": 8, "arsize": 3, "awsize": 3, "arburst": 2, "awburst": 2, "rdata": data, "wdata": data,
            "wstrb": data // 8, "rresp": 2, "bresp": 2}.get(signal, 1)


def _wire(name: str, width: int) -> str:
    return f"    wire {f'[{width - 1}:0] ' if width > 1 else ''}{name};"


def system(graph: Graph, *, top: str, shared: bool, memory_words: int) -> dict[str, str]:
    """Files by name, module ``tb`` with the inputs ``clk`` and ``rst``. ``memory_words``: of the bus' width."""
    machine, external = interface(graph), graph.external
    bits, data = machine.address_bits, machine.data_bits
    reads = [bus for bus in machine.managers if not bus.writes]
    writes = [bus for bus in machine.managers if bus.writes]
    size = (data // 8 - 1).bit_length()
    lines = ["// A processor, the accelerator and their memory: see soc_cpu.v.", "module tb(input clk, input rst);"]
    control = machine.control.ports
    lines += [_wire(port.name, port.width) for port in control.values()]
    lines += [_wire(port.name, port.width) for bus in machine.managers for port in bus.ports.values()]
    lines += [_wire(port.name, port.width) for port in machine.others]
    lines += [_wire(f"cpu_{signal}", _width(signal, bits, data)) for signal in (*READ, *WRITE)]
    lines += [f"    assign cpu_arlen = 8'd0, cpu_awlen = 8'd0, cpu_arsize = 3'd{size}, cpu_awsize = 3'd{size}, cpu_arburst = 2'd1, cpu_awburst = 2'd1;",
              "    assign cpu_wlast = 1'b1;"]
    lines += [f"    assign {control[name].name} = 0;" for name in ("awprot", "arprot") if name in control]
    pins = [".clk(clk)", ".rst(rst)", *(f".lite_{name}(s_axil_{name})" for name in _OWN), *(f".{name}(cpu_{name})" for name in _OWN)]
    lines += [f"    covenant_soc_cpu #(.DATA_BITS({data}), .ADDRESS_BITS({bits}), .LITE_BITS({control['awaddr'].width}), .RAM_WORDS({RAM_WORDS})) cpu (",
              ",\n".join(f"        {pin}" for pin in pins), "    );"]
    pins = [".clk(clk)", ".rst(rst)", *(f".{port.name}({port.name})" for bus in machine.buses for port in bus.ports.values()),
            *(f".{port.name}({port.name})" for port in machine.others)]
    lines += [f"    {top} accelerator (", ",\n".join(f"        {pin}" for pin in pins), "    );"]
    sides = _side(reads, READ) + _side(writes, WRITE)
    sizes = f".READ_PORTS({len(reads) + 1}), .WRITE_PORTS({len(writes) + 1}), .ADDRESS_BITS({bits}), .DATA_BITS({data})"
    latencies = f".SIZE_WORDS({memory_words}), .READ_LATENCY({external.read_latency_cycles}), .WRITE_LATENCY({external.write_latency_cycles})"
    if shared:
        lines += [_wire(f"m_{signal}", _width(signal, bits, data)) for signal in (*READ, *WRITE)]
        pins = [".clk(clk)", ".rst(rst)", *sides, *(f".m_{signal}(m_{signal})" for signal in (*READ, *WRITE))]
        lines += [f"    covenant_soc_shared #({sizes}) shared (", ",\n".join(f"        {pin}" for pin in pins), "    );"]
        sizes, sides = f".READ_PORTS(1), .WRITE_PORTS(1), .ADDRESS_BITS({bits}), .DATA_BITS({data})", [f".{name}(m_{name})" for name in (*READ, *WRITE)]
    lines += [f"    covenant_axi_memory #({sizes}, {latencies}) memory (", ",\n".join(f"        {pin}" for pin in (".clk(clk)", ".rst(rst)", *sides)), "    );",
              '    initial $readmemh("firmware.hex", cpu.ram);', "endmodule", ""]
    room = files("covenant.soc")
    sources = {"soc.v": "\n".join(lines), "soc_cpu.v": (room / "soc_cpu.v").read_text(), "soc_shared.v": (room / "soc_shared.v").read_text(),
               "picorv32.v": processor_source()}
    return sources if shared else {name: text for name, text in sources.items() if name != "soc_shared.v"}


def _side(buses: list[Bus], signals: tuple[str, ...]) -> list[str]:
    """Pins of a memory: each signal of all managers side by side, the first in the low bits, the processor in the highest."""
    return [f".{signal}({{cpu_{signal}, {', '.join(f'{bus.name}_{signal}' for bus in reversed(buses))}}})" for signal in signals]
