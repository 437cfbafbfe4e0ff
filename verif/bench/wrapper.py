"""The test bench around a generated machine: reads the Verilog top's ports and writes ``tb.v`` and the visibility file.

The Verilog header is the truth about the ports (names, directions, widths); a `Description` adds what a header cannot say: the memory's
size and timing and the order of the engines. Every ``m_axi_<name>_*`` group becomes a port of the one AXI memory: a read port if it has
``arvalid``, a write port if it has ``awvalid``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from .errors import BuildError

__all__ = ["Description", "Port", "generate", "instruction_signal", "parse_ports", "visibility"]

_READ = ("arvalid", "arready", "araddr", "arlen", "arsize", "arburst", "rvalid", "rready", "rdata", "rresp", "rlast")
_WRITE = ("awvalid", "awready", "awaddr", "awlen", "awsize", "awburst", "wvalid", "wready", "wdata", "wstrb", "wlast",
          "bvalid", "bready", "bresp")
_TRACE = ("running", "irq", "trace_start", "trace_retire", "trace_dispatch", "trace_dispatch_engine")
_WRAPPER_PORTS = ("s_axil_awvalid", "s_axil_awready", "s_axil_awaddr", "s_axil_wvalid", "s_axil_wready", "s_axil_wdata", "s_axil_wstrb",
                  "s_axil_bvalid", "s_axil_bready", "s_axil_bresp", "s_axil_arvalid", "s_axil_arready", "s_axil_araddr",
                  "s_axil_rvalid", "s_axil_rready", "s_axil_rdata", "s_axil_rresp")


@dataclass(frozen=True)
class Description:
    """What the bench must know of a machine beside its Verilog.

    Parameters
    ----------
    memory_bytes : int
        Size of the external memory; a multiple of the bus width.
    read_latency_cycles, write_latency_cycles : int
        AR handshake to first R beat, last W handshake to B; at least 1.
    engines : tuple of str
        Engine names in index order: bit e of ``trace_start`` is engine e.
    top : str
        Name of the Verilog top module.
    """

    memory_bytes: int
    read_latency_cycles: int
    write_latency_cycles: int
    engines: tuple[str, ...]
    top: str = "top"

    def __post_init__(self) -> None:
        object.__setattr__(self, "engines", tuple(self.engines))
        for name in ("memory_bytes", "read_latency_cycles", "write_latency_cycles"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"Description: {name} must be a positive integer, not {value!r}")
        if not 1 <= len(self.engines) <= 255:
            raise ValueError(f"Description: engines must be 1 to 255 names, not {len(self.engines)}")

    @classmethod
    def from_dict(cls, description: Mapping[str, object]) -> "Description":
        """From a mapping with the fields' names (a JSON object)."""
        return cls(**description)  # type: ignore[arg-type]

    @classmethod
    def from_graph(cls, graph: object, *, top: str = "top") -> "Description":
        """From an `acg.graph.Graph`."""
        external = graph.external  # type: ignore[attr-defined]
        return cls(memory_bytes=external.size_bytes, read_latency_cycles=external.read_latency_cycles,
                   write_latency_cycles=external.write_latency_cycles, engines=tuple(graph.engines), top=top)  # type: ignore[attr-defined]

    def as_dict(self) -> dict[str, object]:
        """The inverse of `from_dict`."""
        return asdict(self)


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module; `width` in bits."""

    name: str
    direction: str
    width: int


def _header(verilog: str, top: str) -> str:
    """Text of module `top` without comments and attributes."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\(\*.*?\*\)", " ", verilog, flags=re.S)
    match = re.search(rf"\bmodule\s+\\?{re.escape(top)}\b(.*?)\bendmodule\b", text, flags=re.S)
    if match is None:
        raise BuildError(f"Verilog module {top!r}", found="no such module in the text", expected="the top module of the design",
                         action="name the top module in the description")
    return match.group(1)


def parse_ports(verilog: str, top: str) -> dict[str, Port]:
    """Ports of module `top` of a Verilog-2001 text, ANSI or separate declarations, by name; not those that Yosys made up names with a dollar sign for.

    Raises
    ------
    BuildError
        If the text has no such module.
    """
    ports = {}
    pattern = r"\b(input|output)\b\s*(?:wire\b|reg\b|logic\b)?\s*(?:\[\s*(\d+)\s*:\s*(\d+)\s*\])?\s*\\?(\w+)(?![\w$])"
    for direction, high, low, name in re.findall(pattern, _header(verilog, top)):
        ports[name] = Port(name, direction, int(high) - int(low) + 1 if high else 1)
    return ports


def _masters(ports: Mapping[str, Port], valid: str) -> list[str]:
    """Prefixes ``m_axi_<name>_`` of the groups that have the port `valid`, in order of their names."""
    return sorted(name[: -len(valid)] for name in ports if name.startswith("m_axi_") and name.endswith("_" + valid))


def _check(ports: Mapping[str, Port], description: Description, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Every needed port is there, data widths agree, nothing else is left open."""
    where = f"Verilog module {description.top!r}"
    needed = [*_WRAPPER_PORTS, *_TRACE, *(prefix + name for prefix, names in groups.items() for name in names)]
    missing = [name for name in needed if name not in ports]
    if missing:
        raise BuildError(where, found=f"no port {', '.join(missing)}", expected="the ports of a generated machine",
                         action="generate the Verilog with hwgen, or add the ports")
    known = {*needed, "clk", "rst", "s_axil_awprot", "s_axil_arprot"}
    loose = [port.name for port in ports.values() if port.direction == "input" and port.name not in known]
    if loose:
        raise BuildError(where, found=f"inputs {', '.join(loose)} that the bench does not drive", expected="clk, rst, s_axil_* and m_axi_*",
                         action="remove them or teach verif/bench/wrapper.py to drive them")
    engines = len(description.engines)
    if ports["trace_start"].width != engines or ports["trace_retire"].width != engines:
        raise BuildError(where, found=f"trace_start of {ports['trace_start'].width} bits", expected=f"{engines}, one an engine",
                         action="use the Verilog and the description of the same architecture")
    for kind, suffixes in (("data", ("_rdata", "_wdata")), ("address", ("_araddr", "_awaddr"))):
        widths = {name: ports[name].width for name in needed if name.endswith(suffixes) and name.startswith("m_axi_")}
        if len(set(widths.values())) != 1:
            raise BuildError(where, found=f"{kind} widths {widths}", expected="one width on all AXI masters",
                             action="give every master the widths of the external memory's bus")


def _concat(prefixes: list[str], name: str) -> str:
    """Concatenation of one signal of all ports, port 0 in the low bits."""
    return "{" + ", ".join(prefix + name for prefix in reversed(prefixes)) + "}"


def _wire(port: Port, name: str | None = None) -> str:
    return f"    wire {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{name or port.name};"


def generate(verilog: str, description: Description, *, waves: bool = False) -> str:
    """Text of ``tb.v`` for a design.

    Parameters
    ----------
    verilog : str
        All Verilog of the design, with the module ``description.top``.
    waves : bool
        With a signal ``instruction_<engine>`` for each engine (``instructions.v``).

    Raises
    ------
    BuildError
        If the top's ports are not those of a generated machine.
    """
    ports = parse_ports(verilog, description.top)
    reads, writes = _masters(ports, "arvalid"), _masters(ports, "awvalid")
    if not reads or not writes:
        raise BuildError(f"Verilog module {description.top!r}", found=f"{len(reads)} reading and {len(writes)} writing AXI masters",
                         expected="at least one of each", action="generate the Verilog from an architecture with load and store engines")
    groups: dict[str, tuple[str, ...]] = {}
    for prefix in reads:
        groups[prefix] = _READ
    for prefix in writes:
        groups[prefix] = groups.get(prefix, ()) + _WRITE
    _check(ports, description, groups)

    data_bits = ports[reads[0] + "rdata"].width
    address_bits = ports[reads[0] + "araddr"].width
    if description.memory_bytes % (data_bits // 8):
        raise BuildError("description", found=f"memory_bytes {description.memory_bytes}",
                         expected=f"a multiple of the bus's {data_bits // 8} bytes", action="correct the external memory's size")
    outer = [ports[name] for name in ports if name.startswith("s_axil_")] + [ports["irq"]]
    inner = [ports[prefix + name] for prefix, names in groups.items() for name in names]
    lines = ["// Generated by verif/bench/wrapper.py from the design's ports: do not edit.", "module tb ("]
    lines.append("    input clk,\n    input rst,")
    lines.append(",\n".join(f"    {port.direction} {f'[{port.width - 1}:0] ' if port.width > 1 else ''}{port.name}" for port in outer))
    lines += [");", *(_wire(port) for port in inner), *(_wire(ports[name]) for name in _TRACE if name != "irq")]
    lines.append("    wire [31:0] runs;")
    # A pin reaches reset logic everywhere; Verilator would evaluate all of it on every call. From a register it costs nothing.
    lines.append("    reg reset;\n    always @(posedge clk) reset <= rst;")

    connections = [("clk", "clk"), ("rst", "reset")] + [(port.name, port.name) for port in [*outer, *inner]]
    connections += [(name, name) for name in _TRACE if name != "irq"]
    lines += [f"\n    {description.top} dut (", ",\n".join(f"        .{port}({net})" for port, net in connections), "    );"]

    lines += ["\n    covenant_axi_memory #(",
              f"        .READ_PORTS({len(reads)}), .WRITE_PORTS({len(writes)}), .ADDRESS_BITS({address_bits}), .DATA_BITS({data_bits}),",
              f"        .SIZE_WORDS({description.memory_bytes * 8 // data_bits}),",
              f"        .READ_LATENCY({description.read_latency_cycles}), .WRITE_LATENCY({description.write_latency_cycles})",
              "    ) memory (", "        .clk(clk), .rst(reset),"]
    channels = ((reads, _READ), (writes, _WRITE))
    lines.append(",\n".join(f"        .{name}({_concat(prefixes, name)})" for prefixes, names in channels for name in names))
    sizes = f".ENGINES({len(description.engines)}), .ENGINE_BITS({ports['trace_dispatch_engine'].width})"
    lines += ["    );", f"\n    covenant_monitor #({sizes}) monitor (",
              "        .clk(clk), .rst(reset), .running(running), .dispatch(trace_dispatch), .dispatch_engine(trace_dispatch_engine),",
              "        .start(trace_start), .retire(trace_retire), .runs(runs)", "    );"]
    if waves:
        lines += _instructions(description.engines)
    lines += ["endmodule", ""]
    return "\n".join(lines)


def _instructions(engines: Sequence[str]) -> list[str]:
    """What each engine works on, a signal each: for waveforms."""
    count = len(engines)
    return [
        f"\n    wire [{32 * count - 1}:0] instructions;",
        *(f"    wire [31:0] {instruction_signal(name)} = instructions[{32 * index + 31}:{32 * index}];" for index, name in enumerate(engines)),
        f"    covenant_instructions #(.ENGINES({count})) numbers (",
        "        .clk(clk), .running(running), .start(trace_start), .retire(trace_retire), .instruction(instructions)", "    );",
    ]


def instruction_signal(engine: str) -> str:
    """Name of the signal in ``tb``, in builds with waveforms, of the number of the instruction that an engine works on; all ones for none."""
    return f"instruction_{engine}"


def visibility(*, waves: bool = False) -> str:
    """Text of the Verilator configuration file that makes public what the bench touches, and nothing else."""
    return "\n".join([
        "`verilator_config",
        'public_flat_rw -module "tb" -var "clk"',
        'public_flat_rw -module "tb" -var "rst"',
        'public_flat_rw -module "tb" -var "s_axil_*"',
        'public_flat_rd -module "tb" -var "irq"',
        'public_flat_rd -module "tb" -var "runs"',
        *(['public_flat_rd -module "tb" -var "running"'] if waves else []),
        'public_flat_rw -module "covenant_axi_memory" -var "memory"',
        "",
    ])
