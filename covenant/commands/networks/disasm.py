"""``covenant disasm``."""

from acg.isa import InstructionSet
from acg.text import printable
from covenant.errors import EXACT
from covenant.files import write_json
from covenant.networks import load_program_file

__all__ = ["disasm"]


def disasm(options) -> int:
    """Print a program, one instruction a line, below the layer it belongs to."""
    graph, program = load_program_file(options.file, options.arch)
    isa = InstructionSet(graph)
    if options.json:
        write_json(options.json, [
            {"number": number, "engine": instruction.engine, "waits": dict(instruction.waits), "fields": dict(instruction.fields),
             "layer": program.layer_of(number).name, "tile": program.provenance[number][1], "text": isa.disassemble(instruction)}
            for number, instruction in enumerate(program.instructions)
        ])
    if options.json == "-":
        return EXACT
    last = None
    for number, instruction in enumerate(program.instructions):
        layer = program.provenance[number][0]
        if layer != last and layer >= 0:
            print(printable(f"; {program.layers[layer].name} ({program.layers[layer].op})"))
            last = layer
        print(f"{number:6d}  {isa.disassemble(instruction)}")
    return EXACT
