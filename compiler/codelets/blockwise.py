"""Convolution with weight scales along the reduction: a contraction for each set of positions that share their scales, and a float32 sum of them.

    for n, oc, oy, ox:  for each set:  reduce its ic, ky, kx:  acc = MATMUL(x, w);  t = ADD(acc * scale[oc], t)
                        t = ADD(t, addend[oc]);  y = REQUANTIZE(t)
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets.base import Codelet, Finish, Operation
from compiler.codelets.contraction import contraction
from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.network import Conv, Network, Node


def blockwise(node: Node, network: Network) -> Codelet:
    """Codelet of a BlockwiseConv node; the arithmetic is that of `compiler.ir.blockwise`."""
    attrs = node.attrs
    assert isinstance(attrs, BlockwiseConv)
    plain = Conv(
        weight=attrs.weight, bias=None, x_scale=attrs.x_scale, x_zero=attrs.x_zero, w_scale=attrs.w_scale[0].copy(), w_zero=attrs.w_zero, y_scale=None,
        strides=attrs.strides, dilations=attrs.dilations, pads=attrs.pads, group=attrs.group,
    )  # fmt: skip
    codelet = contraction(replace(node, attrs=plain), network)
    finish = Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, divisor=attrs.y_scale)
    scales = attrs.scales
    operations = [Operation("MATMUL", "acc", ("x", "w")), Operation("ADD", "t", ("acc", "t")), Operation("REQUANTIZE", "y", ("t",))]
    if attrs.addend is not None:
        operations.append(Operation("MAC", "constants", ("t",)))
    return replace(
        codelet, op=node.op, family="blockwise", finish=finish, macs=network.macs(node), addend=attrs.addend,
        sums=tuple((attrs.part == number, scales[number]) for number in range(len(scales))),
        operations=tuple(operations),
    )  # fmt: skip


__all__ = ["blockwise"]
