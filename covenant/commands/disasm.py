"""``covenant disasm``."""

import sys

from acg.isa import InstructionSet
from covenant.errors import EXACT
from covenant.networks import load_program_file

__all__ = ["disasm"]


def disasm(options) -> int:
    """Print a program, one instruction a line, each with its layer."""
    graph, program = load_program_file(options.file, options.arch)
    isa = InstructionSet(graph)
    last = None
    for number, instruction in enumerate(program.instructions):
        layer = program.provenance[number][0]
        if layer != last and layer >= 0:
            print(f"; {program.layers[layer].name} ({program.layers[layer].op})")
            last = layer
        print(f"{number:6d}  {isa.disassemble(instruction)}")
    sys.stdout.flush()
    return EXACT
