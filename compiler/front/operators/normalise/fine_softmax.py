"""Softmax of what nothing has quantised: scores times a number plus a mask, a product as it is, a function of a tensor.

    dq s -> Mul 1/8 -> Add mask -> Softmax -> Q          digits of (s/8 + mask) -> FineSoftmax

The numbers are written in two or three digits (`compiler.front.floats.reductions.digits`), from `REACH` below the greatest that they can be on: what a
mask puts further away is nothing beside any other number, and where all of a row is further away all of it is the same.
"""

from __future__ import annotations

from compiler.front.constraints import bounded_operand, countable_row
from compiler.front.floats.formula import bounds, ended, opened
from compiler.front.floats.masks import FAR, finite
from compiler.front.floats.reductions.digits import BASE, Written
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Quantisation, Table, Unquantised
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.network import Shape4

#: Exponents count from here below their greatest on; most steps of the last of two digits: 1/256 moves a probability by less than 0.0005.
REACH, FINE = 2.0**14, 2.0**-8


def fine_softmax(node: OnnxNode, x: Unquantised | Table, view: Shape4) -> Pending:
    """Return the Softmax over the channels of `view` of x, which waits for its quantisation."""
    builder = node.builder
    node.require(countable_row, view[1], found=f"{view[1]}")
    value = opened(x)
    node.require(bounded_operand, ended(value), found=node.describe(0))
    low, high = bounds(value)
    node.require(bounded_operand, high <= -FAR, found=f"{node.name_of(0)}, of numbers up to {high:.3g}")
    least = max(low, high - REACH)
    written = Written.of(finite(value), 2 if max(high, 0.0) - min(least, 0.0) <= (BASE - 1) * BASE * FINE else 3, least=least)
    node.require(bounded_operand, written is not None, found=f"{node.name_of(0)}, of numbers down to {low:.3g}")
    assert written is not None

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        digits = tuple(builder.view(digit.tensor, view) for digit in written.emit(node, target.name, origin))
        out = builder.tensor(target.name, view, target.dtype, target.scale, target.zero)
        return builder.node(node.label, FineSoftmax(written.units, target.scale, target.zero, target.low, target.high), digits, out, origin)

    labels = x.origin if isinstance(x, Unquantised | Table) else ()
    return Pending(x.shape, (*labels, node.label), emit, floats=True)


__all__ = ["fine_softmax"]
