"""Elementwise operators: the sum of two tensors, and any function of one 8-bit tensor.

    for c, oy, ox:  y = REQUANTIZE(ADD(x[c, oy, ox], b[c, oy, ox]))
    for c, oy, ox:  y = TABLE(x[c, oy, ox])

Images of a batch are further rows.
"""

from __future__ import annotations

from compiler.codelets.base import Codelet, Finish, Loop, Operand, Operation, pixel
from compiler.ir.network import Add, Network, Node, Tensor, Unary


def _rows(tensor: Tensor, zero: int = 0) -> Operand:
    n, c, h, w = tensor.shape
    return Operand(tensor.dtype, (1, c, n * h, w), pixel("c"), tensor=tensor.name, zero=zero)


def _loops(tensor: Tensor) -> tuple[Loop, ...]:
    n, c, h, w = tensor.shape
    return (Loop("n", 1), Loop("c", c), Loop("oy", n * h), Loop("ox", w))


def addition(node: Node, network: Network) -> Codelet:
    """Codelet of an Add node."""
    attrs = node.attrs
    assert isinstance(attrs, Add)
    a, b, y = (network.tensors[name] for name in (*node.inputs, *node.outputs))
    operands = {"x": _rows(a, attrs.a_zero), "b": _rows(b, attrs.b_zero), "y": _rows(y)}
    finish = Finish(
        "float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=attrs.a_scale, scale_b=attrs.b_scale, divisor=attrs.y_scale
    )
    operations = (Operation("ADD", "sum", ("x", "b")), Operation("REQUANTIZE", "y", ("sum",)))
    return Codelet(node.name, node.op, "elementwise", _loops(y), operands, operations, finish, node.origin)


def lookup(node: Node, network: Network) -> Codelet:
    """Codelet of a Unary node: the index and the value of the table are raw bytes."""
    assert isinstance(node.attrs, Unary)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    low, high = (-128, 127) if x.dtype == "i8" else (0, 255)
    finish = Finish("int", low=low, high=high, table=node.attrs.table)
    operands = {"x": _rows(x), "y": _rows(y)}
    return Codelet(node.name, node.op, "elementwise", _loops(y), operands, (Operation("TABLE", "y", ("x",)),), finish, node.origin)
