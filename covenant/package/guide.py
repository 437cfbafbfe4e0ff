"""The integration guide: what an engineer must know who puts a machine into a system, and no more."""

from acg.graph import Graph
from acg.regmap import ErrorCode, RegisterMap
from covenant.package.interface import FIXED, Interface
from covenant.package.network import Stimulus
from covenant.package.waves import figures
from covenant.package.wrapper import window_bytes, wrapper_name

__all__ = ["guide"]


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(map(str, row)) + " |" for row in rows)]
    return "\n".join(lines)


def _buses(graph: Graph, interface: Interface) -> str:
    rows: list[tuple] = [(f"`{interface.control.name}`", "AXI4-Lite subordinate", "32", str(interface.control.ports["awaddr"].width), "registers")]
    for bus in interface.managers:
        kind = "AXI4 manager, writes" if bus.writes else "AXI4 manager, reads"
        what = "instructions" if bus.name == "m_axi_fetch" else f"engine `{bus.name.removeprefix('m_axi_')}`"
        rows.append((f"`{bus.name}`", kind, interface.data_bits, interface.address_bits, what))
    return _table(("bus", "role", "data bits", "address bits", "for"), rows)


def guide(graph: Graph, interface: Interface, stimulus: Stimulus, *, banner: str) -> str:
    """Markdown of the guide. ``banner``: sentences for a comment that it begins with."""
    external, registers = graph.external, RegisterMap(graph)
    offset = registers.offsets
    fixed = ", ".join(f"`a?{name}` = {value:#0{width + 2}b}" for name, width, value in FIXED)
    figure = {name: f"`figures/{name}.json`" for name in figures()}
    window = window_bytes(external.size_bytes)
    errors = [(int(code), code.name, code.doc) for code in ErrorCode]
    engines = [(engine.index + 1, f"`{name}`", engine.kind, f"{offset[f'RETIRED_{engine.index}']:#x}") for name, engine in graph.engines.items()]
    return "\n\n".join([
        f"<!-- {banner} -->", f"# Integrating {graph.name}", f"{graph.summary}. This is module `{wrapper_name(interface.top)}`; `{graph.name}.md` has the "
        "instruction set, `driver/covenant.h` what software sees. Figures are WaveJSON: paste one into any WaveDrom editor.",
        "## Clock and reset", f"One clock, `aclk`, rising edge; no gated, divided or second clock. `aresetn` is low active, synchronous, at least one cycle "
        f"long, and taken through a register: two cycles after its rise the registers answer ({figure['reset']}). Memories are not reset; nothing is read "
        "before it is written. FPGAs wake up in the reset state, for registers have initial values. Constraints: "
        f"`{graph.name}.sdc`, `{graph.name}_ooc.xdc`.",
        "## Buses", _buses(graph, interface), f"Managers send INCR bursts of full-width beats, at most 256, that do not cross 4 KiB; byte enables on "
        f"writes; no identifiers, so every bus answers in order; constants: {fixed}. A manager asks for nothing in the cycles after `aresetn` and "
        f"withdraws no offer, with one exception that AXI has too: reset. {figure['read_burst']}, {figure['write_burst']}. An answer other than OKAY ends "
        "the run with the error BUS. Any pace is right; predicted cycles hold where the memory takes every address at once, gives the first beat "
        f"{external.read_latency_cycles} cycles after it and one beat a cycle from then, and answers a write {external.write_latency_cycles} cycles after its "
        "last beat.",
        "The control port takes one write and one read at a time; byte enables are honoured; an address without a register answers SLVERR, a write to a "
        f"read-only register is ignored ({figure['register_write']}, {figure['register_read']}).",
        "## Memory map", f"Registers take {registers.size_bytes} bytes. External memory is addressed from 0 to {external.size_bytes:,}; parameter "
        f"`MEMORY_BASE` of the wrapper, a multiple of {window:#x}, is where that 0 stands on the buses. A program needs only the "
        "first bytes, as many as its image says. "
        "Caches between processor and machine are the driver's to clean and invalidate (`to_device`, `from_device`).",
        _table(("offset", "register", "access", "what it is"), [(f"{register.offset_bytes:#x}", f"`{register.name}`", register.access, register.doc)
                                                               for register in registers.registers]),
        "## A run", f"""1. Read ID ({offset['ID']:#x}), VERSION and FINGERPRINT: is it this machine?
2. Copy the image's segments and the inputs into external memory.
3. Write PROGRAM_ADDRESS, PROGRAM_COUNT and PROGRAM_FINGERPRINT (the image has all three).
4. Write CONTROL ({offset['CONTROL']:#x}): START, and IRQ_ENABLE if the interrupt is wanted.
5. Wait for `irq`, or poll STATUS ({offset['STATUS']:#x}) for DONE or ERROR ({figure['run']}).
6. Write 0 to CONTROL, which lowers `irq`; read the outputs.""",
        "From step 2 on with the next inputs: the program stays. `driver/covenant.c` does all of this (`covenant_probe`, `covenant_load`, `covenant_pack`, "
        "`covenant_run`, `covenant_unpack`).",
        "## Interrupt", "`irq` is a level, high while IRQ_ENABLE and one of DONE and ERROR are set. A start or a soft reset takes DONE back.",
        "## Errors", "A run that fails stops all engines, finishes the bursts that are under way, sets ERROR and holds the first error's code, engine and "
        "address. CONTROL's SOFT_RESET ends that state, once STATUS shows IDLE; the program's registers keep their values.",
        _table(("code", "error", "what it says"), errors), _table(("ERROR_ENGINE", "engine", "kind", "its counters at"), engines),
        "## See that it works", f"""```
cd bench
iverilog -g2012 -o bench.vvp ../*.v *.v && vvp bench.vvp
```

runs {stimulus.what}: {stimulus.count} instructions, {stimulus.cycles} cycles, and ends in PASS.
`fusesoc --cores-root . run --target sim covenant:accelerator:{interface.top}` does the same, `--target lint` asks Verilator. In a system, the first program to
try is one of `covenant compile NET.onnx --arch {graph.name} --image NET.bin --header NET.h`.""",
        "## Files", _table(("file", "what"), [
            (f"`{graph.name}.v`, `{graph.name}_axi.v`", "the core, and the wrapper for block designs"), (f"`{graph.name}.vlt`", "Verilator's waivers"),
            ("`component.xml`, `package_ip.tcl`", "IP-XACT, and Vivado's packager run on the wrapper"), (f"`{graph.name}.core`", "FuseSoC"),
            (f"`{graph.name}.rdl`, `{graph.name}.h`, `{graph.name}.json`", "registers as SystemRDL, as C, and with everything else as JSON"),
            (f"`{graph.name}.sdc`, `{graph.name}_ooc.xdc`", "constraints"), ("`bench/`", "the bench, its memory, program and expected bytes"),
            ("`driver/`", "C99 driver, with a part for Linux"), ("`figures/`", "WaveDrom")]),
    ]) + "\n"
