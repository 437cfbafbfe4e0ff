"""Row-major reinterpretation of (N, C, H, W): a copy whose two sides number the same elements in their own order.

    for each element i in row-major order:  y[i] = COPY(x[i])
"""

from __future__ import annotations

from compiler.codelets.base import Codelet, Finish, Loop, Operand, Operation, pixel
from compiler.ir import Graph, Node


def reshape(node: Node, graph: Graph) -> Codelet:
    """Codelet of a Reshape node."""
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    loops = tuple(Loop(name, extent) for name, extent in zip(("n", "c", "y", "x"), y.shape, strict=True))
    operands = {
        "x": Operand(x.dtype, x.shape, pixel("c", "y", "x"), tensor=x.name),
        "y": Operand(y.dtype, y.shape, pixel("c", "y", "x"), tensor=y.name),
    }
    return Codelet(node.name, node.op, "reshape", loops, operands, (Operation("COPY", "y", ("x",)),), Finish("int"), node.origin)
