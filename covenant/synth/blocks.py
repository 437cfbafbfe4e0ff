"""The Verilog of a machine, taken apart: each block that stands in the top module with all below it, and the top with its blocks left empty."""

import re
from dataclasses import dataclass

__all__ = ["Block", "Port", "blocks", "harness", "modules"]

_MODULE = re.compile(r"^module (\w+)\(.*?^endmodule$", re.M | re.S)
_INSTANCE = re.compile(r"^  (\w+) \w+ \($", re.M)
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", re.M)


@dataclass(frozen=True)
class Port:
    """A port of a module; ``width`` in bits."""

    name: str
    direction: str
    width: int


@dataclass(frozen=True)
class Block:
    """A part that is synthesised on its own: its name (the module's without that of the machine; ``top`` for what is left of the top module), module, ports,
    Verilog text, and the names of the modules within it."""

    name: str
    module: str
    ports: tuple[Port, ...]
    text: str
    within: tuple[str, ...]


def modules(verilog: str) -> dict[str, str]:
    """Texts of the modules by name, in order."""
    return {match[1]: match[0] for match in _MODULE.finditer(verilog)}


def _ports(text: str) -> tuple[Port, ...]:
    return tuple(Port(name, direction, int(high) + 1 if high else 1) for direction, high, name in _PORT.findall(text))


def _instances(text: str, known: dict[str, str]) -> list[str]:
    """Modules of the instances in a module's text."""
    return [module for module in _INSTANCE.findall(text) if module in known]


def _below(module: str, known: dict[str, str]) -> tuple[str, ...]:
    found = [module]
    for child in _instances(known[module], known):
        found += _below(child, known)
    return tuple(dict.fromkeys(found))


def _empty(module: str, text: str) -> str:
    """The module as a black box."""
    head = text[:text.index(";") + 1]
    return f"(* blackbox *)\n{head}\n" + "\n".join(match.group() for match in _PORT.finditer(text)) + "\nendmodule\n"


def blocks(verilog: str, top: str) -> list[Block]:
    """The blocks of a machine's Verilog whose top module is ``top``, in the order of the text; the top itself comes last."""
    known = modules(verilog)
    result, boxes = [], []
    for module in _instances(known[top], known):
        within = _below(module, known)
        result.append(Block(module.removeprefix(f"{top}_"), module, _ports(known[module]), "\n".join(known[item] for item in within) + "\n", within))
        boxes.append(_empty(module, known[module]))
    result.append(Block("top", top, _ports(known[top]), known[top] + "\n" + "\n".join(boxes), (top,)))
    return result


def harness(block: Block) -> str:
    """A module ``harness`` of four pins around a block, so that it can be placed where it has more ports than a chip: inputs come from a shift register,
    outputs go through registers and are folded into one bit. All paths of the block begin and end in registers."""
    inputs = [port for port in block.ports if port.direction == "input" and port.name != "clk"]
    outputs = [port for port in block.ports if port.direction == "output"]
    wide, deep = sum(port.width for port in inputs), sum(port.width for port in outputs)
    low_pins, high_pins = max(wide, 1), max(deep, 1)
    lines = [
        "module harness(input clk, input shift, input feed, output reg fold);", f"  reg [{low_pins - 1}:0] source;", f"  reg [{high_pins - 1}:0] sink;",
        f"  wire [{high_pins - 1}:0] result;", "  always @(posedge clk) begin", "    if (shift) source <= {source, feed};",
        "    sink <= shift ? result : {sink, 1'b0};" if deep else "    sink <= 1'b0;", f"    fold <= sink[{high_pins - 1}];", "  end",
        f"  {block.module} dut ("]
    low, pins = 0, [".clk(clk)"] if any(port.name == "clk" for port in block.ports) else []
    for port in inputs:
        pins.append(f".{port.name}(source[{low + port.width - 1}:{low}])")
        low += port.width
    low = 0
    for port in outputs:
        pins.append(f".{port.name}(result[{low + port.width - 1}:{low}])")
        low += port.width
    return "\n".join([*lines, ",\n".join(f"    {pin}" for pin in pins), "  );", "endmodule", ""])
