"""Local response normalisation over the channels of each pixel, as a micro-program.

    for each pixel:  S = MATMUL(TABLE(x), bands of ones);  v = ADD(S * factor, bias);  y = REQUANTIZE(MUL(x, v to a power))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, Lookup, Neighbours, RowProgram, Value
from compiler.codelets.rows.rowwise import Writer, row_codelet, squares, write_reciprocal, write_root
from compiler.ir.network import Network, Node
from compiler.ir.normalise import LRN
from compiler.ir.rowwise import BASE


def local_response(node: Node, network: Network) -> Codelet:
    """Codelet of an LRN node; the arithmetic is that of `compiler.ir.normalise`."""
    attrs = node.attrs
    assert isinstance(attrs, LRN)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("element", y.dtype))
    bias = out.add(Value("one", "f32"), Constant("bias", np.array([attrs.bias], np.float32)))
    digits = [out.add(Value("element", "u8"), Lookup(f"s{i}", "x", table)) for i, table in enumerate(squares(x.dtype, attrs.x_zero))]
    total = out.add(Value("element", "i32"), Neighbours("S", ((digits[0], BASE), (digits[1], 1)), *attrs.window(x.shape[1])))
    v = out.wide("v", total, bias, "ADD", scale_a=attrs.factor, extent="element")
    p = (write_reciprocal if attrs.beta == 1.0 else write_root)(out, v, extent="element")
    if attrs.beta == 0.75:
        root = out.wide("w", v, p, "MUL", extent="element")
        p = out.wide("p", p, write_root(out, root, "q", extent="element"), "MUL", extent="element")
    out.steps.append(
        Chain("y", "x", p, "MUL", scale_a=attrs.x_scale, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high)
    )
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
