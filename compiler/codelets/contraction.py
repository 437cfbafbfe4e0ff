"""Convolution, Gemm and MatMul by a constant: a contraction over input channels and kernel positions, then requantisation.

    for n, oc, oy, ox:  reduce ic, ky, kx:  acc = MATMUL(x[n, ic, sy*oy + dy*ky - top, ..], w[oc, ic, ky, kx]);  y = REQUANTIZE(acc)
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation, pixel, window_index
from compiler.errors import CompilerError
from compiler.ir.network import Conv, Network, Node, Shape4

ELEMENT = {np.dtype(np.int8): "i8", np.dtype(np.uint8): "u8", np.dtype(np.int16): "i9"}


def conv_finish(attrs: Conv, name: str) -> Finish:
    """Bias, per-channel scale and clamp of a convolution; 'raw' where its result is the int32 sum."""
    if attrs.y_scale is None:
        if attrs.bias is not None and attrs.bias.any():
            raise CompilerError(
                f"node {name}", found="a bias on an int32 result", expected="none: sums leave the accumulators as they are",
                do="add the bias behind the network, or requantise the result",
            )
        return Finish("raw")
    bias = np.zeros(attrs.out_channels, np.int32) if attrs.bias is None else attrs.bias
    return Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, bias=bias, scale=attrs.scale)


def weight_operand(weight: np.ndarray, zero: int) -> Operand:
    """Constant (OC, IC/group, KH, KW)."""
    oc, ic, kh, kw = weight.shape
    index = (Index((("oc", 1),)), Index((("ic", 1),)), Index((("ky", 1),)), Index((("kx", 1),)))
    return Operand(ELEMENT[weight.dtype], (oc, ic, kh, kw), index, constant=weight, zero=zero)


def contraction(node: Node, network: Network, view: Shape4 | None = None) -> Codelet:
    """Codelet of a Conv node of any kernel, stride, dilation, padding and group; `view`: how its result is seen, for pointwise ones any images."""
    attrs = node.attrs
    assert isinstance(attrs, Conv)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    _, ic, kh, kw = attrs.weight.shape
    n, oc, oh, ow = y.shape
    pointwise = (kh, kw, *attrs.strides, *attrs.pads) == (1, 1, 1, 1, 0, 0, 0, 0)
    x_shape = x.shape
    if view is not None:
        n, _, oh, ow = view
        x_shape = (n, x.shape[1], oh, ow) if pointwise else x.shape
    elif pointwise:  # images are further rows: one loop nest for the whole batch
        n, oh = 1, n * oh
        if ow == 1:  # and a column of pixels is a row
            oh, ow = 1, oh
        x_shape = (1, x.shape[1], oh, ow)
    loops = (Loop("n", n), Loop("oc", oc), Loop("ky", kh, True), Loop("kx", kw, True), Loop("ic", ic, True), Loop("oy", oh), Loop("ox", ow))
    window = window_index(attrs.strides, attrs.dilations, attrs.pads)
    operands = {
        "x": Operand(x.dtype, x_shape, (Index((("n", 1),)), Index((("ic", 1),)), *window), tensor=x.name, zero=attrs.x_zero),
        "w": weight_operand(attrs.weight, attrs.w_zero),
        "y": Operand(y.dtype, (n, oc, oh, ow), pixel("oc"), tensor=y.name),
    }
    finish = conv_finish(attrs, node.name)
    operations = [Operation("MATMUL", "acc", ("x", "w"))]
    if finish.kind != "raw":
        operations.append(Operation("REQUANTIZE", "y", ("acc",)))
    return Codelet(
        node.name, node.op, "contraction", loops, operands, tuple(operations), finish, node.origin, network.macs(node), attrs.group
    )
