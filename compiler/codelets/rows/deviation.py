"""The two halves of a LayerNormalization that has a quantisation between them, as micro-programs: Variance, and CentredQuotient.

    for each pixel:  total = MATMUL(x, ones);  y = REQUANTIZE(variance of x)
    for each pixel:  y = REQUANTIZE(MUL(x - mean, 1 / root of e))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, RowProgram, Total, Value
from compiler.codelets.rows.rowwise import Writer, part_of, row_codelet, write_root, write_variance
from compiler.ir.network import Network, Node, Tensor
from compiler.ir.rowwise import LEAST_RADICAND, CentredQuotient, Variance
from compiler.ir.scales import OverRoot


def variance(node: Node, network: Network) -> Codelet:
    """Codelet of a Variance node."""
    attrs = node.attrs
    assert isinstance(attrs, Variance)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("pixel", y.dtype))
    _, v = write_variance(out, x)
    square = float(np.float32(attrs.x_scale**2 / x.shape[1]))
    out.steps.append(Chain("y", v, scale_a=square, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


def write_radicand_root(out: Writer, e: Tensor, quantisation: OverRoot) -> str:
    """Write 1 / sqrt of the node's second operand, at least LEAST_RADICAND; returns the float32 value, one a pixel."""
    out.values["b"] = Value("element", e.dtype, quantisation.e_zero)
    least = out.add(Value("one", "f32"), Constant("least", np.array([LEAST_RADICAND], np.float32)))
    radicand = out.add(Value("pixel", "i32"), Total("e", (("b", 1),)))
    return write_root(out, out.wide("v", radicand, least, "MAX", scale_a=quantisation.e_scale))


def centred_quotient(node: Node, network: Network) -> Codelet:
    """Codelet of a CentredQuotient node."""
    attrs = node.attrs
    assert isinstance(attrs, CentredQuotient)
    x, e, y = (network.tensors[name] for name in (*node.inputs, *node.outputs))
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("element", y.dtype))
    a = out.add(Value("pixel", "i32"), Total("A", (("x", 1),)))
    r = write_radicand_root(out, e, attrs)
    mean = out.wide("mean", a, scale_a=part_of(x.shape[1]))
    centred = out.wide("c", "x", mean, "ADD", scale_b=-1.0, extent="element")
    out.steps.append(
        Chain("y", centred, r, "MUL", scale_a=attrs.x_scale, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high)
    )
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
