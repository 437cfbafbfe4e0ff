"""Sums of several tensors and quotients of two, as micro-programs whose intermediate values are float32.

    for each element:  s = ADD(a, b);  s = ADD(s, c);  y = REQUANTIZE(s)
    for each element:  d0 .. d4 = TABLE(b);  r = ADD(ADD(ADD(ADD(d0, d1), d2), d3), d4);  y = REQUANTIZE(MUL(a, r))
"""

from __future__ import annotations

from dataclasses import replace

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, Lookup, RowProgram, Value
from compiler.codelets.rows.rowwise import Writer, row_codelet, row_names
from compiler.ir.floats import HEADROOM, Quotient, Sum
from compiler.ir.network import Network, Node

#: A power of two whose reciprocal multiplies a quotient's reciprocals back; what is beyond it is taken from the dividend's scale.
_LEAST_SCALE = -120


def sum_of_several(node: Node, network: Network) -> Codelet:
    """Codelet of a Sum node; the arithmetic is that of `compiler.ir.floats`."""
    attrs = node.attrs
    assert isinstance(attrs, Sum)
    tensors, y = list(dict.fromkeys(node.inputs)), network.tensors[node.outputs[0]]
    names = dict(zip(tensors, row_names(len(tensors)), strict=True))
    zeros = {node.inputs[term.source]: term.zero for term in attrs.terms if term.constant is None}
    values = {name: Value("element", network.tensors[tensor].dtype, zeros[tensor]) for tensor, name in names.items()}
    out = Writer(values["x"], Value("element", y.dtype))
    out.values |= values
    operands: list[tuple[str, float]] = []
    for i, term in enumerate(attrs.terms):
        if term.constant is None:
            operands.append((names[node.inputs[term.source]], term.scale))
        else:
            extent = "one" if term.constant.size == 1 else "channel"
            operands.append((out.add(Value(extent, "f32"), Constant(f"k{i}", term.constant)), 1.0))
    finish = {"divisor": attrs.y_scale, "zero": attrs.y_zero, "low": attrs.y_low, "high": attrs.y_high}
    for number, (i, j) in enumerate(attrs.additions):
        (a, scale_a), (b, scale_b) = operands[i], operands[j]
        last = number == len(attrs.additions) - 1
        # A tensor beside itself: no instruction reads it twice at once, and twice a float32 number or none of it is exact.
        added = (a, "", "", scale_a + scale_b, 1.0) if a == b else (a, b, "ADD", scale_a, scale_b)
        if last and attrs.factor == 1:
            out.steps.append(Chain("y", *added, **finish))  # type: ignore[arg-type]
            break
        operands.append((out.add(Value("element", "f32"), Chain(f"s{number}", *added)), attrs.factor if last else 1.0))
    if attrs.factor != 1:
        total, factor = operands[-1]
        out.steps.append(Chain("y", total, scale_a=factor, **finish))  # type: ignore[arg-type]
    return row_codelet(replace(node, inputs=tuple(tensors)), network, RowProgram(out.values, tuple(out.steps)))


def quotient(node: Node, network: Network) -> Codelet:
    """Codelet of a Quotient node; the arithmetic is that of `compiler.ir.floats`."""
    attrs = node.attrs
    assert isinstance(attrs, Quotient)
    a, b, y = (network.tensors[name] for name in (*node.inputs, *node.outputs))
    out = Writer(Value("element", a.dtype, attrs.a_zero), Value("element", y.dtype))
    out.values["b"] = Value("element", b.dtype, attrs.b_zero)
    tables, e = attrs.digits(b.dtype)
    for i, table in enumerate(tables):
        out.add(Value("element", "u8" if i < 3 else "i8"), Lookup(f"d{i}", "b", table))
    # Sums of the lower three are at most 24 bits; with the fourth what is below 2^31 is the integer itself, and of a larger one, a float32 number
    # too, the low byte is 0: exact all.
    r = out.wide("r1", "d1", "d0", "ADD", scale_a=256.0, extent="element")
    r = out.wide("r2", r, "d2", "ADD", scale_b=2.0**16, extent="element")
    r = out.wide("r3", r, "d3", "ADD", scale_b=2.0**24, extent="element")
    r = out.add(Value("element", "f32"), Chain("r4", r, "d4", "ADD", scale_b=2.0**32, divisor=2.0**-HEADROOM))
    back = max(-e - HEADROOM, _LEAST_SCALE)
    scale = attrs.a_scale * 2.0 ** (-e - HEADROOM - back)
    out.steps.append(
        Chain("y", "x", r, "MUL", scale, 2.0**back, divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high)
    )
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
