"""What stands beside a file of waveforms: a save file for GTKWave, a command file for Surfer, and texts for the numbers in them.

    FILE.gtkw                          gtkwave FILE.gtkw: engines with the text of their instructions, queues, AXI ports, groups that open
    FILE.sucl                          surfer -c FILE.sucl FILE.fst: the same signals; Surfer takes the texts as mappings, from ~/.config/surfer/mappings
    FILE.<engine>.instructions.txt     number, layer, tile and disassembly of the engine's instructions
    FILE.engines.txt                   numbers of engines, as they are dispatched
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vcd.gtkw import GTKWSave

from acg.graph import Graph
from acg.isa import instruction_set
from acg.text import printable
from compiler.program import Program
from verif.bench import instruction_signal, parse_ports

__all__ = ["companions"]

#: The value of an engine's instruction signal while it does nothing.
_IDLE = (1 << 32) - 1


@dataclass(frozen=True)
class _Signal:
    """A signal by its path; ``texts``: name of the file that has texts for its values."""

    path: str
    width: int
    texts: str | None = None

    @property
    def with_range(self) -> str:
        """As GTKWave has it."""
        return self.path + (f"[{self.width - 1}:0]" if self.width > 1 else "")


@dataclass(frozen=True)
class _Group:
    name: str
    signals: Sequence[_Signal]
    closed: bool = True


def companions(path: Path, graph: Graph, program: Program, verilog: str, *, top: str) -> dict[Path, str]:
    """Texts by path of the files that belong to the waveforms in ``path`` of ``program`` on the machine of ``verilog``, whose top module is ``top``."""
    texts = {f"{name}.instructions": _instructions(graph, program, name) for name in graph.engines}
    texts["engines"] = _mapping(f"{graph.name} engines", 8, {engine.index: engine.name for engine in graph.engines.values()})
    files = {name: path.with_name(f"{path.stem}.{name}.txt") for name in texts}
    groups = _groups(graph, verilog, top, {name: str(file) for name, file in files.items()})
    return {
        path.with_suffix(".gtkw"): _gtkwave(path, graph, program, groups), path.with_suffix(".sucl"): _surfer(groups),
        **{files[name]: text for name, text in texts.items()},
    }


def _mapping(name: str, bits: int, texts: Mapping[int, str]) -> str:
    """Texts of values: GTKWave compares the decimal number, Surfer reads it; the first two lines are Surfer's."""
    return "\n".join([f"Name = {name}", f"Bits = {bits}", *(f"{value} {printable(text)}" for value, text in texts.items()), ""])


def _instructions(graph: Graph, program: Program, engine: str) -> str:
    isa, texts = instruction_set(graph), {_IDLE: "-"}
    mine = [number for number, instruction in enumerate(program.instructions) if instruction.engine == engine]
    for place, number in enumerate(mine):
        layer, tile = program.layer_of(number), program.provenance[number][1]
        texts[place] = f"{number} {layer.name} {tile}: {isa.disassemble(program.instructions[number])}"
    return _mapping(f"{program.name} {engine}", 32, texts)


def _groups(graph: Graph, verilog: str, top: str, files: Mapping[str, str]) -> list[_Group]:
    pins = parse_ports(verilog, top)

    def of_bus(prefix: str) -> list[_Signal]:
        return [_Signal(f"tb.dut.{name}", port.width) for name, port in pins.items() if name.startswith(prefix)]

    def of_design(instance: str) -> list[_Signal]:
        # A number follows the name of an instance that a signal has too; without one it may be that of another engine.
        found = next((match for tail in ("", r"_\d+") if (match := re.search(rf"^\s*(\w+)\s+({instance}{tail})\s*\($", verilog, flags=re.M))), None)
        ports = parse_ports(verilog, found.group(1)) if found else {}
        return [_Signal(f"tb.dut.{found.group(2)}.{port.name}", port.width) for port in ports.values() if port.name not in ("clk", "rst")] if found else []

    engines = [_Signal(f"tb.{instruction_signal(name)}", 32, files[f"{name}.instructions"]) for name in graph.engines]
    count = len(graph.engines)
    control = [_Signal(f"tb.{name}", 1) for name in ("clk", "running", "irq")]
    dispatch = [_Signal("tb.trace_dispatch", 1), _Signal("tb.trace_dispatch_engine", 8, files["engines"]),
                _Signal("tb.trace_start", count), _Signal("tb.trace_retire", count)]
    groups = [_Group("machine", control, closed=False), _Group("engines: instruction", engines, closed=False), _Group("dispatch, start, retire", dispatch)]
    groups += [_Group(f"queue {name}", of_design(f"queue_{name}")) for name in graph.engines]
    masters = sorted({match.group(1) for name in pins if (match := re.match(r"m_axi_(\w+)_(?:ar|aw)valid$", name))})
    groups += [_Group(f"AXI {name}", of_bus(f"m_axi_{name}_")) for name in masters]
    groups += [_Group("AXI4-Lite registers", of_bus("s_axil_"))]
    groups += [_Group(f"engine {name}", of_design(f"engine_{name}")) for name in graph.engines]
    return [group for group in groups if group.signals]


def _gtkwave(path: Path, graph: Graph, program: Program, groups: Sequence[_Group]) -> str:
    stream = io.StringIO()
    save = GTKWSave(stream)
    save.comment(printable(f"{program.name} on {graph.name}: a nanosecond is a cycle"))
    save.dumpfile(str(path), abspath=False)
    save.signals_width(320)
    for group in groups:
        with save.group(group.name, closed=group.closed):
            for signal in group.signals:
                save.trace(signal.with_range, datafmt="dec" if signal.texts else "hex", translate_filter_file=signal.texts)
    return stream.getvalue()


def _surfer(groups: Sequence[_Group]) -> str:
    lines = []
    for group in groups:
        lines += [f"divider_add {group.name}", *(f"variable_add {signal.path}" for signal in group.signals)]
    return "\n".join([*lines, "zoom_fit", ""])
