"""Conversion to Verilog text that is the same for the same design, and quick to read for simulators."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

__all__ = ["compact_initial_values", "convert", "group_write_enables"]

_INITIAL = re.compile(r"  initial begin\n((?:    (\S+)\[\d+\] = \d+'[hd]0+;\n)+)  end\n")
_ENABLES = re.compile(
    r"  always @\(posedge (\w+)\) begin\n((?:    if \((\S+)\[\d+\]\)\n      \S+\[[^\n]+?\]\[[^\n]+?\] <= [^\n]+;\n){2,})  end\n")


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
    """Test a memory's write enables one by one only in cycles in which one of them is set.

    Before: ``always @(posedge clk) begin if (we[0]) ...; if (we[1]) ...; end``; after: the same under ``if (|we)``. The behaviour is
    that of the text without: only a simulator's work is less.
    """
    def guard(match: re.Match) -> str:
        clock, body, enable = match.groups()
        if any(line.split("[")[0] != f"    if ({enable}" for line in body.splitlines()[::2]):
            return match.group(0)
        return f"  always @(posedge {clock}) begin\n    if (|{enable}) begin\n{body}    end\n  end\n"
    return _ENABLES.sub(guard, text)


def convert(design: wiring.Component, *, name: str) -> str:
    """Verilog of a design, its top module called ``name``; no source paths, no dates, no tool's banner."""
    text = verilog.convert(design, name=name, emit_src=False, strip_internal_attrs=True)
    text = re.sub(r"\A/\*.*?\*/\n*", "", text, flags=re.DOTALL)
    return group_write_enables(compact_initial_values(text))
