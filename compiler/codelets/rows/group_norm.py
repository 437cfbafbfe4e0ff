"""Normalisation of groups of channels over all pixels of an image, as a micro-program.

    for each image:  A = SUM(x), B = SUM(TABLE(x)) over its pixels, of a group's channels by MATMUL with ones;  m, o = ..;  y = REQUANTIZE(x * m + o)
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, Lookup, Neighbours, PixelSum, RowProgram, Value
from compiler.codelets.rows.rowwise import Writer, part_of, row_codelet, squares, write_about_mean, write_root
from compiler.ir.network import Network, Node
from compiler.ir.normalise import GroupNormalization
from compiler.ir.rowwise import BASE


def group_normalization(node: Node, network: Network) -> Codelet:
    """Codelet of a GroupNormalization node; the arithmetic is that of `compiler.ir.normalise`."""
    attrs = node.attrs
    assert isinstance(attrs, GroupNormalization)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    images, c, h, w = x.shape
    n = c // attrs.groups * h * w
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("element", y.dtype))
    digits = [out.add(Value("element", "u8"), Lookup(f"s{i}", "x", table)) for i, table in enumerate(squares(x.dtype, attrs.x_zero))]
    sums = []
    for name, operand in (("A", "x"), ("B0", digits[0]), ("B1", digits[1])):
        if attrs.groups < c:
            operand = out.add(Value("element", "i32"), Neighbours(f"{name}.group", ((operand, 1),), *attrs.members(c)))
        sums.append(out.add(Value("channel", "i32"), PixelSum(name, operand)))

    def wide(name: str, a: str, b: str = "", binary: str = "", scale_a: float = 1.0, scale_b: float = 1.0) -> str:
        return out.wide(name, a, b, binary, scale_a=scale_a, scale_b=scale_b, extent="channel")

    v = write_about_mean(out, x, sums[0], wide("B", sums[1], sums[2], "ADD", float(BASE)), n, extent="channel")
    eps = out.add(Value("one", "f32"), Constant("eps", np.array([attrs.epsilon_steps], np.float32)))
    r = write_root(out, wide("v", wide("v0", v, eps, "ADD", part_of(n)), eps, "MAX"), extent="channel")
    m = out.add(Value("channel", "f32"), Chain("m", r, channel_scale=attrs.gamma))
    o = wide("o0", wide("mean", sums[0], scale_a=part_of(n)), m, "MUL", scale_a=-1.0)
    if attrs.beta.any():
        o = wide("o", out.add(Value("channel", "f32"), Constant("beta", attrs.beta)), o, "ADD")
    g = out.wide("g", "x", m, "MUL", extent="element")
    out.steps.append(Chain("y", g, o, "ADD", divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps), images))
