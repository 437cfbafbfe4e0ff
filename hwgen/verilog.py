"""Conversion to Verilog text that is the same for the same design, and quick to read for simulators."""

import gc
import re
from collections import Counter

from amaranth.back import verilog
from amaranth.lib import wiring

from .names import plain_names

__all__ = ["compact_initial_values", "convert", "drop_idle_attributes", "group_write_enables", "start_processes"]

_AT_START = re.compile(r"^  reg (at_start(?:_\d+)?) = 0;$", re.M)
_IDLE = re.compile(r"^ *\(\*[^\n]*\*\)\n *\n", re.M)
_INITIAL = re.compile(r"  initial begin\n((?:    (\S+)\[\d+\] = \d+'[hd]0+;\n)+)  end\n")
_WRITES = re.compile(r"  always @\(posedge (\w+)\) begin\n((?:    if \([^\n]+\)\n      \w+\[[^\n]+\]\[\d+:\d+\] <= [^\n]+;\n){2,})  end\n")
_WRITE = re.compile(r"    if \(([^\n]+)\)\n      (\w+)\[([^\n]+)\]\[(\d+):(\d+)\] <= ([^\n]+);\n")


def compact_initial_values(text: str) -> str:
    """Write the initial zeros of each memory as a loop instead of a line a word.

    Before: ``initial begin mem[0] = 8'd0; mem[1] = 8'd0; ... end``; after: a ``for`` over the same words.
    """
    def loop(match: re.Match) -> str:
        lines = match.group(1).splitlines()
        parsed = [re.fullmatch(r"\s*(\S+)\[(\d+)\] = (\d+)'[hd]0+;", line).groups() for line in lines]
        if [(name, int(index)) for name, index, _ in parsed] != [(parsed[0][0], index) for index in range(len(parsed))] or len(parsed) < 8:
            return match.group(0)
        name, _, width = parsed[0]
        counter = f"{name}_word"
        return f"  integer {counter};\n  initial for ({counter} = 0; {counter} < {len(parsed)}; {counter} = {counter} + 1) " \
               f"{name}[{counter}] = {width}'d0;\n"
    return _INITIAL.sub(loop, text)


def group_write_enables(text: str) -> str:
    """Write a memory's enabled parts in a loop instead of a statement each.

    Before: ``if (we[0]) mem[a][7:0] <= d[7:0]; if (we[1]) mem[a][15:8] <= d[15:8]; ...``; after: a loop over the parts, entered only if an
    enable is set. This is the form by which vendor tools know a memory with byte enables. The simulator must not unroll the loop:
    it would keep a flag a part and test all of them in every cycle. A memory of several write ports has a loop for each.
    """
    ports: Counter[tuple[int, str]] = Counter()

    def loop(match: re.Match) -> str:
        clock, body = match.groups()
        parts = _WRITE.findall(body)
        names, addresses = {part[1] for part in parts}, {part[2] for part in parts}
        width = int(parts[0][3]) + 1
        regular = [(number * width + width - 1, number * width) for number in range(len(parts))]
        if len(names) > 1 or len(addresses) > 1 or [(int(part[3]), int(part[4])) for part in parts] != regular:
            return match.group(0)
        (name,), (address,) = names, addresses
        # Names are those of a module: the memory's own, and for its second port and further ones with their number.
        own = (text.rfind("\nmodule ", 0, match.start()), name)
        ports[own] += 1
        label = name if ports[own] == 1 else f"{name}_{ports[own]}"
        enables, pieces = (", ".join(part[column] for part in reversed(parts)) for column in (0, 5))
        lane = f"{label}_lane"
        return (
            f"  wire [{len(parts) - 1}:0] {label}_enables = {{ {enables} }};\n"
            f"  wire [{len(parts) * width - 1}:0] {label}_pieces = {{ {pieces} }};\n"
            f"  integer {lane};\n"
            f"  always @(posedge {clock}) begin\n"
            f"    if (|{label}_enables) begin\n"
            f"      /* verilator unroll_disable */\n"
            f"      for ({lane} = 0; {lane} < {len(parts)}; {lane} = {lane} + 1) begin\n"
            f"        if ({label}_enables[{lane}]) begin\n"
            f"          {name}[{address}][{lane} * {width} +: {width}] <= {label}_pieces[{lane} * {width} +: {width}];\n"
            f"        end\n      end\n    end\n  end\n")
    return _WRITES.sub(loop, text)


def drop_idle_attributes(text: str) -> str:
    """Leave out attributes of a statement that is not there: of a switch that was found to do nothing, the writer leaves ``full_case`` and an empty line.

    An attribute before ``end`` is not Verilog, though some simulators take it.
    """
    return _IDLE.sub("", text)


def start_processes(text: str) -> str:
    """Let every combinational process run once at the start: what it waits for changes after all have begun to wait.

    The writer gives it a value where it is declared, which event-driven simulators see before they look: outputs that never change stayed unknown.
    Verilator, which evaluates everything, would warn of the only assignment that comes late enough.
    """
    return _AT_START.sub(r"  reg \1 = 1'h0;\n  /* verilator lint_off INITIALDLY */ initial \1 <= 1'h1; /* verilator lint_on INITIALDLY */", text)


def convert(design: wiring.Component, *, name: str) -> str:
    """Verilog of a design, its top module called ``name``; plain identifiers, no source paths, no dates, no tool's banner."""
    # Millions of small objects that all live to the end: looking for cycles among them took two thirds of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        text = verilog.convert(design, name=name, emit_src=False, strip_internal_attrs=True)
    finally:
        if collecting:
            gc.enable()
    text = re.sub(r"\A/\*.*?\*/\n*", "", text, flags=re.DOTALL)
    return group_write_enables(compact_initial_values(start_processes(plain_names(drop_idle_attributes(text)))))
