"""What an engineer gets who wants a machine in a system: `files` has every text of the folder that ``covenant rtl`` writes."""

from pathlib import Path

from acg.graph import Graph
from covenant.driver.registers import registers_header
from covenant.hardware import WAIVERS
from covenant.package.bench import axi_memory, bench, expected_hex, memory_hex
from covenant.package.constraints import sdc, xdc
from covenant.package.fusesoc import core_file
from covenant.package.guide import guide
from covenant.package.interface import interface
from covenant.package.ipxact import component, vivado_tcl
from covenant.package.network import stimulus
from covenant.package.registers import system_rdl
from covenant.package.waves import figures
from covenant.package.wrapper import wrapper
from hwgen.emit import banner

__all__ = ["files"]

_DRIVER = Path(__file__).parent.parent / "driver"


def files(graph: Graph, *, source: str | None = None) -> dict[str, str]:
    """Texts by path within the folder, beside those of `hwgen.emit.generate`. ``source``: what the banners call the description."""
    name, parts, run = graph.name, interface(graph), stimulus(graph)
    sentences = banner(graph, source)
    text = " ".join(sentences)
    slashes, hashes = ("\n".join(f"{mark} {line}" for line in sentences) for mark in ("//", "#"))
    rtl = [f"{name}.v", f"{name}_axi.v"]
    result = {
        f"{name}_axi.v": wrapper(parts, banner=slashes, external_bytes=graph.external.size_bytes),
        f"{name}.vlt": WAIVERS.read_text(),
        "component.xml": component(graph, parts, banner=text, files={"synthesis": [*rtl, f"{name}_ooc.xdc"], "simulation": rtl}),
        "package_ip.tcl": vivado_tcl(parts, banner=hashes, files=rtl),
        f"{name}.core": core_file(parts, banner=hashes, summary=graph.summary, rtl=rtl, waivers=f"{name}.vlt",
                                  bench=["bench/axi_memory.v", f"bench/{name}_bench.v"], data=["bench/memory.hex", "bench/expected.hex"],
                                  constraints=[f"{name}_ooc.xdc"]),
        f"{name}.rdl": system_rdl(graph, name=parts.top, banner=slashes),
        f"{name}.sdc": sdc(parts, banner=hashes),
        f"{name}_ooc.xdc": xdc(parts, banner=hashes),
        "integration.md": guide(graph, parts, run, banner=text),
        "bench/axi_memory.v": axi_memory(),
        f"bench/{name}_bench.v": bench(graph, parts, run, banner=slashes),
        "bench/memory.hex": memory_hex(run, word_bytes=graph.external.bus_bytes),
        "bench/expected.hex": expected_hex(run),
        "driver/covenant_registers.h": registers_header(graph),
    }
    result |= {f"driver/{path.name}": path.read_text() for path in sorted(_DRIVER.glob("*.[ch]"))}
    return result | {f"figures/{stem}.json": figure for stem, figure in figures().items()}
