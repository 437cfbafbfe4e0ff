"""Texts generated from a graph: Verilog, JSON sidecar, C header, manual. The same graph gives the same bytes, wherever and whenever."""

import json
import re

from amaranth.hdl import Shape
from amaranth.lib.wiring import Flow

from acg.fields import Field
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import InstructionSet
from acg.manual.describe import describe
from acg.register_bits import ControlBit, StatusBit
from acg.regmap import ErrorCode, RegisterMap
from acg.timing.fetch import DONE_CYCLES

from .names import top_name
from .top import Accelerator, top_members
from .verilog import convert

__all__ = ["banner", "generate", "header", "manual", "sidecar", "verilog"]


def banner(graph: Graph, source: str | None) -> tuple[str, str]:
    """The two sentences that every generated text of a graph begins with; ``source`` as in `verilog`."""
    return (f"Generated from architecture '{graph.name}', fingerprint {fingerprint(graph):016x}: do not edit.",
            f"Regenerate with: covenant rtl {source or graph.name}")


def verilog(graph: Graph, *, source: str | None = None) -> str:
    """Verilog of the machine; its top module is `hwgen.names.top_name` of the machine, its ports are those of :class:`hwgen.top.Accelerator`.

    ``source``, here and below, is what the banner's command calls the description; its name unless given.
    """
    lines = "".join(f"// {line}\n" for line in banner(graph, source))
    return lines + "\n" + convert(Accelerator(graph), name=top_name(graph.name))


def _fields(fields: tuple[Field, ...]) -> list[dict]:
    return [{"name": f.name, "lsb": f.lsb, "width": f.width, "signed": f.signed, "bias": f.bias, "wraps": f.wraps} for f in fields]


def sidecar(graph: Graph, *, source: str | None = None) -> dict:
    """What software must know of the Verilog: ports, registers, error codes, memories, engines, instruction set, fingerprint."""
    isa, registers = InstructionSet(graph), RegisterMap(graph)
    ports = [{"name": name, "direction": "input", "width": 1} for name in ("clk", "rst")]
    ports += [{"name": name, "direction": "output" if member.flow is Flow.Out else "input", "width": Shape.cast(member.shape).width}
              for name, member in top_members(graph).items()]
    return {
        "do_not_edit": " ".join(banner(graph, source)),
        "name": graph.name,
        "summary": graph.summary,
        "fingerprint": f"{fingerprint(graph):016x}",
        "top": top_name(graph.name),
        "ports": ports,
        "registers": [{"name": r.name, "offset_bytes": r.offset_bytes, "access": r.access, "reset": r.reset, "doc": r.doc}
                      for r in registers.registers],
        "errors": {code.name: int(code) for code in ErrorCode},
        "cycles_after_last_retire": 1 + DONE_CYCLES,
        "memories": [{
            "name": m.name, "kind": m.kind, "banks": m.banks, "depth_words": m.depth_words, "word_bytes": m.word_bytes,
            "size_bytes": m.size_bytes, "read_latency_cycles": m.read_latency_cycles, "write_latency_cycles": m.write_latency_cycles,
            "bus_bits": m.bus_bits, "address_bits": m.address_bits,
        } for m in graph.memories.values()],
        "engines": [{
            "name": e.name, "index": e.index, "kind": e.kind, "capabilities": [str(c) for c in e.capabilities],
            "links": [{"port": link.port, "memory": link.memory, "reads": link.reads, "element": link.element.name, "lanes": link.lanes,
                       "port_bytes": link.port_bytes}
                      for link in graph.links if link.engine == e.name],
        } for e in graph.engines.values()],
        "instructions": {
            "bytes": isa.instruction_bytes,
            "header": _fields(isa.header),
            "engines": {name: _fields(layout.fields) for name, layout in isa.formats.items()},
        },
    }


def header(graph: Graph, *, source: str | None = None) -> str:
    """C header: fingerprint, instruction size, register offsets, register bits, error codes, engine numbers."""
    prefix = "COVENANT_" + re.sub(r"\W", "_", graph.name).upper()
    isa, registers = InstructionSet(graph), RegisterMap(graph)
    value = fingerprint(graph)
    define = [
        ("FINGERPRINT_LO", f"UINT32_C({value & 0xFFFFFFFF:#010x})"),
        ("FINGERPRINT_HI", f"UINT32_C({value >> 32:#010x})"),
        ("INSTRUCTION_BYTES", str(isa.instruction_bytes)),
        ("EXTERNAL_BYTES", f"UINT64_C({graph.external.size_bytes})"),
        ("REGISTERS_BYTES", str(registers.size_bytes)),
        ("ENGINES", str(len(graph.engines))),
    ]
    define += [(f"REG_{r.name}", f"{r.offset_bytes:#05x}") for r in registers.registers]
    define += [(f"CONTROL_{bit.name}", f"{bit:#x}") for bit in ControlBit]
    define += [(f"STATUS_{bit.name}", f"{bit:#x}") for bit in StatusBit]
    define += [(f"ERROR_{code.name}", str(int(code))) for code in ErrorCode]
    define += [(f"ENGINE_{name.upper()}", str(engine.index)) for name, engine in graph.engines.items()]
    width = max(len(name) for name, _ in define)
    lines = [f"#define {prefix}_{name:<{width}} {text}" for name, text in define]
    opening = "".join(f"/* {line} */\n" for line in banner(graph, source))
    return f"{opening}\n#ifndef {prefix}_H\n#define {prefix}_H\n\n#include <stdint.h>\n\n" + "\n".join(lines) + f"\n\n#endif /* {prefix}_H */\n"


def manual(graph: Graph, *, source: str | None = None) -> str:
    """Markdown for people: engines, memory map, every instruction bit by bit, registers, error codes."""
    return f"<!-- {' '.join(banner(graph, source))} -->\n\n{describe(graph)}"


def generate(graph: Graph, *, source: str | None = None, verilog_text: str | None = None) -> dict[str, str]:
    """Texts by file name: ``<name>.v``, ``<name>.json``, ``<name>.h`` and ``<name>.md``.

    ``verilog_text`` is what :func:`verilog` gave for this graph and source before, if it need not be made again.
    """
    return {
        f"{graph.name}.v": verilog(graph, source=source) if verilog_text is None else verilog_text,
        f"{graph.name}.json": json.dumps(sidecar(graph, source=source), indent=1) + "\n",
        f"{graph.name}.h": header(graph, source=source),
        f"{graph.name}.md": manual(graph, source=source),
    }
