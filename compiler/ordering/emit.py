"""Pass: placed operations -> instructions, each with its provenance.

    before   TileOp matrix {a_base: Ref(x + 64), n_3: 4}, x at byte 4096
    after    Instruction(engine, {a_base: 260, n_3: 4, ..every field..})

Waits come later, with the order (`schedule`).
"""

from __future__ import annotations

from acg.isa import Instruction, InstructionSet
from compiler.tiles import TileOp


def emit(ops: list[TileOp], instruction_set: InstructionSet) -> list[Instruction]:
    """Instructions with all fields of their format, in the order of the operations; addresses wrap as the format says."""
    instructions = []
    defaults = {name: {item.name: item.bias for item in form.fields} for name, form in instruction_set.formats.items()}
    wraps = {name: {item.name: (1 << item.width) - 1 for item in form.fields if item.wraps} for name, form in instruction_set.formats.items()}
    for op in ops:
        fields = defaults[op.engine] | op.resolved()
        for name, mask in wraps[op.engine].items():
            fields[name] &= mask
        instructions.append(Instruction(op.engine, fields))
    return instructions
