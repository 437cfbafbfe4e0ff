"""A function of two tensors, or of a tensor and a constant array.

    for n, c, oy, ox:  y = REQUANTIZE(ADD(x[n, c, oy, ox], b[n, c, oy, ox]))        or MUL, MIN, MAX

An index of an operand does not count the loops of the dimensions in which it has one element. Where both operands have the result's
shape, images of a batch are further rows.
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation, pixel
from compiler.codelets.contraction import ELEMENT
from compiler.ir.elementwise import Binary
from compiler.ir.network import Network, Node, Shape4, Tensor

#: Operation of each kind, as capabilities name it.
OPERATIONS = {"add": "ADD", "mul": "MUL", "min": "MIN", "max": "MAX"}


def _operand(dtype: str, shape: Shape4, zero: int, out: Shape4, tensor: str = "", constant: np.ndarray | None = None) -> Operand:
    index = tuple(Index() if d == 1 < e else i for d, e, i in zip(shape, out, pixel("c"), strict=True))
    return Operand(dtype, shape, index, tensor, **({} if constant is None else {"constant": constant}), zero=zero)  # type: ignore[arg-type]


def binary(node: Node, network: Network) -> Codelet:
    """Codelet of a Binary node."""
    attrs = node.attrs
    assert isinstance(attrs, Binary)
    y = network.tensors[node.outputs[0]]
    sources: list[Tensor | np.ndarray] = [network.tensors[name] for name in node.inputs]
    if attrs.constant is not None:
        sources.insert(0 if attrs.constant_first else 1, attrs.constant)
    folded = all(tuple(source.shape) == y.shape for source in sources)

    def rows(shape: Shape4) -> Shape4:
        return (1, shape[1], shape[0] * shape[2], shape[3]) if folded else shape

    def operand(source: Tensor | np.ndarray, zero: int) -> Operand:
        if isinstance(source, Tensor):
            return _operand(source.dtype, rows(source.shape), zero, out, source.name)
        return _operand(ELEMENT[source.dtype], rows(source.shape), zero, out, constant=_folded(source, folded))  # type: ignore[arg-type]

    out = rows(y.shape)
    operands = {
        "x": operand(sources[0], attrs.a_zero), "b": operand(sources[1], attrs.b_zero), "y": _operand(y.dtype, out, 0, out, y.name),
    }
    loops = tuple(Loop(name, extent) for name, extent in zip(("n", "c", "oy", "ox"), out, strict=True))
    operations = (Operation(OPERATIONS[attrs.kind], "f", ("x", "b")), Operation("REQUANTIZE", "y", ("f",)))
    return Codelet(node.name, node.op, "elementwise", loops, operands, operations, _finish(attrs, y.shape[1]), node.origin)


def _folded(constant: np.ndarray, folded: bool) -> np.ndarray:
    """A constant array (N, C, H, W) with its images as further rows."""
    n, c, h, w = constant.shape
    return np.ascontiguousarray(constant.transpose(1, 0, 2, 3).reshape(1, c, n * h, w)) if folded else constant


def _finish(attrs: Binary, channels: int) -> Finish:
    each = attrs.a_scale.size > 1
    return Finish(
        "float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=float(attrs.a_scale[0]), scale_b=attrs.b_scale,
        divisor=attrs.y_scale, bias=np.zeros(channels if each else 0, np.int32), scale=attrs.a_scale if each else np.zeros(0, np.float32),
    )
