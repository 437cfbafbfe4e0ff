"""Depthwise convolution (one filter a channel): lane by lane, no channel meets another.

    for n, c, oy, ox:  reduce ky, kx:  acc = MAC(x[n, c, sy*oy + dy*ky - top, ..], w[c, 0, ky, kx]);  y = REQUANTIZE(acc)
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Index, Loop, Operand, Operation, pixel, window_index
from compiler.codelets.contraction import conv_finish, weight_operand
from compiler.ir.network import Conv, Network, Node


def depthwise(node: Node, network: Network) -> Codelet | None:
    """Codelet of a Conv node whose groups are single channels; None for any other, for int32 results and for weights of more than 8 bits."""
    attrs = node.attrs
    assert isinstance(attrs, Conv)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    oc, ic, kh, kw = attrs.weight.shape
    if ic != 1 or oc != attrs.group or attrs.group == 1 or attrs.y_scale is None or attrs.weight.dtype == np.int16:
        return None
    n, _, oh, ow = y.shape
    loops = (Loop("n", n), Loop("c", oc), Loop("oy", oh), Loop("ox", ow), Loop("ky", kh, True), Loop("kx", kw, True))
    window = window_index(attrs.strides, attrs.dilations, attrs.pads)
    operands = {
        "x": Operand(x.dtype, x.shape, (Index((("n", 1),)), Index((("c", 1),)), *window), tensor=x.name, zero=attrs.x_zero),
        "w": weight_operand(attrs.weight, attrs.w_zero),
        "y": Operand(y.dtype, y.shape, pixel("c"), tensor=y.name),
    }
    operations = (Operation("MAC", "acc", ("x", "w")), Operation("REQUANTIZE", "y", ("acc",)))
    return Codelet(node.name, node.op, "depthwise", loops, operands, operations, conv_finish(attrs, node.name), node.origin, network.macs(node))
