"""Division of each pixel's channels by the root of their mean square, as micro-programs: whole, and its halves where a quantisation stands between.

    for each pixel:  B = MATMUL(TABLE(x), ones);  y = REQUANTIZE(MUL(x * gamma, 1 / root of (B / n + eps)))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.deviation import write_radicand_root
from compiler.codelets.rows.row_program import Chain, Constant, Lookup, RowProgram, Total, Value
from compiler.codelets.rows.rowwise import Writer, part_of, row_codelet, squares, write_root
from compiler.ir.network import Network, Node, Tensor
from compiler.ir.normalise import MeanSquare, RMSNormalization, RootQuotient
from compiler.ir.rowwise import BASE


def _sum_of_squares(out: Writer, x: Tensor) -> str:
    digits = [out.add(Value("element", "u8"), Lookup(f"s{i}", "x", table)) for i, table in enumerate(squares(x.dtype, x.zero_point))]
    return out.add(Value("pixel", "i32"), Total("B", ((digits[0], BASE), (digits[1], 1))))


def rms_normalization(node: Node, network: Network) -> Codelet:
    """Codelet of an RMSNormalization node; the arithmetic of this and the others is that of `compiler.ir.normalise`."""
    attrs = node.attrs
    assert isinstance(attrs, RMSNormalization)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("element", y.dtype))
    eps = out.add(Value("one", "f32"), Constant("eps", np.array([attrs.epsilon_steps], np.float32)))
    r = write_root(out, out.wide("v", _sum_of_squares(out, x), eps, "ADD", scale_a=part_of(x.shape[1])))
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    out.steps.append(Chain("y", "x", r, "MUL", channel_scale=attrs.gamma, **finish))  # type: ignore[arg-type]
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


def mean_square(node: Node, network: Network) -> Codelet:
    """Codelet of a MeanSquare node."""
    attrs = node.attrs
    assert isinstance(attrs, MeanSquare)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("pixel", y.dtype))
    b, square = _sum_of_squares(out, x), float(np.float32(attrs.x_scale**2 / x.shape[1]))
    out.steps.append(Chain("y", b, scale_a=square, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


def root_quotient(node: Node, network: Network) -> Codelet:
    """Codelet of a RootQuotient node."""
    attrs = node.attrs
    assert isinstance(attrs, RootQuotient)
    x, e, y = (network.tensors[name] for name in (*node.inputs, *node.outputs))
    out = Writer(Value("element", x.dtype, attrs.x_zero), Value("element", y.dtype))
    r = write_radicand_root(out, e, attrs)
    out.steps.append(Chain("y", "x", r, "MUL", scale_a=attrs.x_scale, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
