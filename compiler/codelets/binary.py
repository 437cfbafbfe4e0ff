"""A function of two tensors, or of a tensor and a constant array.

    for n, c, oy, ox:  y = REQUANTIZE(ADD(x[n, c, oy, ox], b[n, c, oy, ox]))        ADD, MIN, MAX of scaled numbers; MAC of integers

An index of an operand does not count the loops of the dimensions in which it has one element. Where both operands have the result's
shape, images of a batch are further rows.
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation, pixel
from compiler.codelets.contraction import ELEMENT
from compiler.ir import Graph, Node, Shape4
from compiler.ir_elementwise import Binary

#: Operation of each kind, as capabilities name it: an integer product is a multiply-accumulate of one element.
OPERATIONS = {"add": "ADD", "mul": "MAC", "min": "MIN", "max": "MAX", "div": "DIV"}


def _operand(dtype: str, shape: Shape4, zero: int, out: Shape4, tensor: str = "", constant: np.ndarray | None = None) -> Operand:
    index = tuple(Index() if d == 1 < e else i for d, e, i in zip(shape, out, pixel("c"), strict=True))
    return Operand(dtype, shape, index, tensor, **({} if constant is None else {"constant": constant}), zero=zero)  # type: ignore[arg-type]


def binary(node: Node, graph: Graph) -> Codelet:
    """Codelet of a Binary node."""
    attrs = node.attrs
    assert isinstance(attrs, Binary)
    a, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    constant = attrs.constant
    b = None if constant is not None else graph.tensors[node.inputs[1]]
    shapes = [a.shape, b.shape if b is not None else constant.shape if constant is not None else a.shape]
    folded = all(shape == y.shape for shape in shapes)

    def rows(shape: Shape4) -> Shape4:
        return (1, shape[1], shape[0] * shape[2], shape[3]) if folded else shape

    out = rows(y.shape)
    second = (
        _operand(b.dtype, rows(b.shape), attrs.b_zero, out, b.name) if b is not None
        else _operand(ELEMENT[constant.dtype], rows(shapes[1]), attrs.b_zero, out, constant=_folded(constant, folded)) if constant is not None
        else None
    )
    assert second is not None
    operands = {"x": _operand(a.dtype, rows(a.shape), attrs.a_zero, out, a.name), "b": second, "y": _operand(y.dtype, out, 0, out, y.name)}
    loops = tuple(Loop(name, extent) for name, extent in zip(("n", "c", "oy", "ox"), out, strict=True))
    operations = (Operation(OPERATIONS[attrs.kind], "f", ("x", "b")), Operation("REQUANTIZE", "y", ("f",)))
    return Codelet(node.name, node.op, "elementwise", loops, operands, operations, _finish(attrs, y.shape[1]), node.origin)


def _folded(constant: np.ndarray, folded: bool) -> np.ndarray:
    """A constant array (N, C, H, W) with its images as further rows."""
    n, c, h, w = constant.shape
    return np.ascontiguousarray(constant.transpose(1, 0, 2, 3).reshape(1, c, n * h, w)) if folded else constant


def _finish(attrs: Binary, channels: int) -> Finish:
    scale = attrs.product_scale if attrs.kind == "mul" else attrs.a_scale
    per_channel = {}
    if scale.size > 1:
        per_channel = {"bias": np.zeros(channels, np.int32), "scale": scale}
    rest = {} if attrs.kind == "mul" else {"scale_b": attrs.b_scale, "divisor": attrs.y_scale}
    return Finish(
        "float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=float(scale[0]), **rest, **per_channel  # type: ignore[arg-type]
    )
