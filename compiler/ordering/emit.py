"""Pass: placed operations -> instructions, each with its provenance.

    before   TileOp matrix {a_base: Ref(x + 64), n_3: 4}, x at byte 4096
    after    Instruction(engine, {a_base: 260, n_3: 4, ..every field..})

Waits come later, with the order (`schedule`).
"""

from __future__ import annotations

from acg.isa import Instruction
from acg.machine import Machine
from compiler.tiles import TileOp


def emit(ops: list[TileOp], machine: Machine) -> list[Instruction]:
    """Instructions with all fields of their format, in the order of the operations; addresses wrap as the format says."""
    instructions = []
    formats = machine.instruction_set.formats
    wraps = {name: {item.name: (1 << item.width) - 1 for item in form.fields if item.wraps} for name, form in formats.items()}
    for op in ops:
        fields = machine.least[op.engine] | op.resolved()
        for name, mask in wraps[op.engine].items():
            fields[name] &= mask
        instructions.append(Instruction(op.engine, fields))
    return instructions
