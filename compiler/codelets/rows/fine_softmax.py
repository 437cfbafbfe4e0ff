"""Softmax of numbers of two or three digits, as a micro-program: their largest is looked for digit by digit, exponentials are a table times a polynomial.

    for each pixel:  m = MAXIMUM(x);  d = ADD(x, -m, b ..);  e = MUL(TABLE(d), polynomial(d));  S = MATMUL(digits of e, ones);  y = REQUANTIZE(MUL(e, 1 / S))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, Largest, RowProgram, Total, Value
from compiler.codelets.rows.rowwise import Writer, row_codelet, row_names, write_reciprocal
from compiler.ir.fine_softmax import MIDDLE, ORIGIN, STEP, TOP, FineSoftmax
from compiler.ir.network import Network, Node, f32
from compiler.ir.rowwise import BASE, PEAKS


def _byte(out: Writer, name: str, a: str, step: float, zero: int, table: np.ndarray | None = None, *, read: int = 0) -> str:
    """Append a number's byte, in steps; its zero point is `read` where it is read."""
    return out.add(Value("element", "u8", read), Chain(name, a, divisor=step, zero=zero, table=table))


def _distance(out: Writer, attrs: FineSoftmax) -> str:
    """Append the distance of each channel from about the largest."""
    largest = out.add(Value("pixel", "u8"), Largest("m", "x"))
    d = out.wide("d", "x", largest, "ADD", scale_a=attrs.units[0], scale_b=-attrs.units[0], extent="element")
    for number, (name, unit) in enumerate(zip(row_names(len(attrs.units))[1:], attrs.units[1:], strict=True), 1):
        d = out.wide(f"d{number}", d, name, "ADD", scale_b=unit, extent="element")
    for number, level in enumerate(attrs.levels):
        h = _byte(out, f"h{number}", d, level, MIDDLE)
        m = out.add(Value("pixel", "u8", MIDDLE), Largest(f"m{number}", h))
        d = out.wide(f"l{number}", d, m, "ADD", scale_b=-level, extent="element")
    return d


def _exponential(out: Writer, attrs: FineSoftmax, d: str) -> str:
    """Append the exponential of a number that is at most a quarter."""
    k = _byte(out, "k", d, STEP, ORIGIN, read=ORIGIN)
    digits = [_byte(out, f"t{i}", d, STEP, ORIGIN, table) for i, table in enumerate(attrs.tables())]
    half, one = (out.add(Value("one", "f32"), Constant(name, np.array([v], np.float32))) for name, v in (("half", 0.5), ("one", 1.0)))
    r = out.wide("r", d, k, "ADD", scale_b=-STEP, extent="element")
    p = out.wide("p0", r, half, "ADD", scale_a=f32(1 / 6), extent="element")
    for number in (1, 2):
        p = out.wide(f"p{number}", out.wide(f"p{number}.r", p, r, "MUL", extent="element"), one, "ADD", extent="element")
    t = out.wide("t", out.wide("t01", digits[0], digits[1], "ADD", scale_a=BASE, extent="element"), digits[2], "ADD", scale_a=BASE, extent="element")
    return out.wide("e", t, p, "MUL", scale_a=f32(TOP / PEAKS[3]), extent="element")


def fine_softmax(node: Node, network: Network) -> Codelet:
    """Codelet of a FineSoftmax node; the arithmetic is that of `compiler.ir.fine_softmax`."""
    attrs = node.attrs
    assert isinstance(attrs, FineSoftmax)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    out = Writer(Value("element", "u8"), Value("element", y.dtype))
    out.values |= {name: Value("element", "u8", MIDDLE) for name in row_names(len(attrs.units))[1:]}
    e = _exponential(out, attrs, _distance(out, attrs))
    planes, units = attrs.planes(x.shape[1], floats=y.dtype == "f32"), attrs.weights
    rest, digits = e, []
    for number in range(planes):
        zero = MIDDLE if number else 0
        digits.append(_byte(out, f"g{number}", rest, units[number], zero, read=zero))
        if number + 1 < planes:
            rest = out.wide(f"e{number + 1}", rest, digits[-1], "ADD", scale_b=-units[number], extent="element")
    total = out.add(Value("pixel", "i32"), Total("S", ((digits[0], 254), (digits[1], 1))))
    if planes == 3:
        total = out.wide("S3", total, out.add(Value("pixel", "i32"), Total("S2", ((digits[2], 1),))), "ADD", scale_a=254)
    r = write_reciprocal(out, out.wide("sum", total, scale_a=units[planes - 1]), "q")
    out.steps.append(Chain("y", e, r, "MUL", divisor=attrs.y_scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))


__all__ = ["fine_softmax"]
