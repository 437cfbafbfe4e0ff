"""Data movement: a copy whose two sides number the same elements in their own order.

    for each element i of y, in row-major order:  y[i] = COPY((x, x1, ..)[index[i]])
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Loop, Operand, Operation, pixel
from compiler.ir.network import Move, Network, Node


def movement(node: Node, network: Network) -> Codelet:
    """Codelet of a Move or Reshape node; inputs are the operands x, x1, x2 and so on."""
    y = network.tensors[node.outputs[0]]
    attrs = node.attrs if isinstance(node.attrs, Move) else Move(np.arange(y.elements))
    loops = tuple(Loop(name, extent) for name, extent in zip(("n", "c", "y", "x"), y.shape, strict=True))
    operands = {}
    for number, name in enumerate(node.inputs):
        x = network.tensors[name]
        operands[f"x{number or ''}"] = Operand(x.dtype, x.shape, pixel("c", "y", "x"), tensor=name)
    operands["y"] = Operand(y.dtype, y.shape, pixel("c", "y", "x"), tensor=y.name)
    family = "move" if isinstance(node.attrs, Move) else "reshape"
    copy = Operation("COPY", "y", tuple(role for role in operands if role != "y"))
    return Codelet(node.name, node.op, family, loops, operands, (copy,), Finish("int"), node.origin, move=attrs)
