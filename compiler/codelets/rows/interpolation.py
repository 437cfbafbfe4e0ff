"""Weighted sums of the channels of each pixel, as a micro-program: products of digits, put together in float32.

    for each pixel:  S0 = MATMUL(x, w0);  S1 = MATMUL(x, w1);  S = ADD(S1 * 256, S0);  y = REQUANTIZE(S)
    for each pixel:  ..;  T = ADD(S, offset);  h = REQUANTIZE(ADD(T / 256, -127.5 / 256));  y = REQUANTIZE(ADD(T, -256 * h))
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, RowProgram, Value, Weighted
from compiler.codelets.rows.rowwise import Writer, row_codelet, row_names
from compiler.ir.interpolation import BASE, Interpolation
from compiler.ir.network import Network, Node

#: A float32 number beside which one of up to 2^22 in magnitude rounds to a whole number, half to even.
WHOLE = 1.5 * 2.0**23
#: What makes rounding a number over 256 a division that leaves from 0 to 255, without a tie.
_HALF = (BASE - 1) / 2


def interpolation(node: Node, network: Network) -> Codelet:
    """Codelet of an Interpolation node; the arithmetic is that of `compiler.ir.interpolation`."""
    attrs = node.attrs
    assert isinstance(attrs, Interpolation)
    tensors, y = [network.tensors[name] for name in node.inputs], network.tensors[node.outputs[0]]
    names = row_names(len(tensors))
    values = {name: Value("element", t.dtype, zero) for name, t, zero in zip(names, tensors, attrs.zeros, strict=True)}
    out = Writer(values["x"], Value("element", y.dtype))
    out.values |= values

    def one(name: str, number: float) -> str:
        return out.add(Value("one", "f32"), Constant(name, np.array([number], np.float32)))

    # Constants first: from the first number of 32 bits on the channels may be taken in pieces.
    whole, less = (one("whole", WHOLE), one("less", attrs.offset - WHOLE)) if attrs.shift else ("", one("offset", attrs.offset) if attrs.offset else "")
    half = one("half", -_HALF / BASE) if attrs.part else ""
    total = _total(out, names, attrs.digits)
    if attrs.shift:
        total = out.wide("T", out.wide("v", total, whole, "ADD", scale_a=2.0**-attrs.shift, extent="element"), less, "ADD", extent="element")
    elif less:
        total = out.wide("T", total, less, "ADD", extent="element")
    if not attrs.part:
        out.steps.append(Chain("y", total, scale_a=attrs.scale, zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high))
    elif attrs.part == "high":
        out.steps.append(Chain("y", total, half, "ADD", scale_a=1 / BASE))
    else:
        high = out.add(Value("element", "u8"), Chain("h", total, half, "ADD", scale_a=1 / BASE))
        out.steps.append(Chain("y", total, high, "ADD", scale_b=-float(BASE)))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps), channels=y.shape[1]))


def _total(out: Writer, inputs: tuple[str, ...], digits: tuple[np.ndarray, ...]) -> str:
    """Append the sum of all products of a digit of the input and one of the weights; returns its name."""
    sums = []
    for place in range(len(inputs) + len(digits) - 1):
        terms = tuple((name, digits[place - i]) for i, name in enumerate(inputs) if 0 <= place - i < len(digits))
        sums.append(out.add(Value("element", "i32"), Weighted(f"S{place}", terms)))
    total = sums.pop()
    while sums:
        total = out.wide(f"S{len(sums)}.up", total, sums.pop(), "ADD", scale_a=float(BASE), extent="element")
    return total


__all__ = ["interpolation"]
