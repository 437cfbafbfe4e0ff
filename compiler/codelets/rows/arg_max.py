"""The number of the largest channel of each pixel, as a micro-program: every largest channel scores, and the highest score tells the first.

    for each pixel:  m = MAXIMUM(x);  e = TABLE(x - m), 1 where it is 0;  s = e * (C - c), or e * (c + 1);  y = C - MAXIMUM(s), or MAXIMUM(s) - 1

More channels than a byte can number are blocks of 255. First the highest score of a block tells the block, and those that have it stay; then scores
within the blocks tell the channel: y = 255 * block + channel, a sum of the matrix unit.
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.rows.row_program import Chain, Constant, Largest, RowProgram, Total, Value
from compiler.codelets.rows.rowwise import Writer, row_codelet
from compiler.ir.network import RANGES, Network, Node
from compiler.ir.rowwise import BASE, ArgMax

#: A byte of 255 plus what is not above 0: 1 where that is 0.
_EQUAL = np.eye(1, 256, 255, dtype=np.uint8)[0]


def _digit(out: Writer, name: str, among: str, numbers: np.ndarray, last: bool) -> tuple[str, str, str]:
    """Append the steps to the lowest, or highest, of `numbers`, ascending ones of the channels, where `among` is 1.

    Returns the names of the channels' scores, the highest score, and the number.
    """
    highest = int(numbers.max())
    scores = (numbers + 1 if last else highest + 1 - numbers).astype(np.uint8)
    constant = out.add(Value("channel", "u8"), Constant(f"{name}.scores", scores))
    s = out.add(Value("element", "u8"), Chain(f"{name}.s", among, constant, "MUL"))
    best = out.add(Value("pixel", "u8"), Largest(f"{name}.l", s))
    scale, zero = (1.0, -1) if last else (-1.0, highest + 1)
    return s, best, out.add(Value("pixel", "u8"), Chain(name, best, scale_a=scale, zero=zero))


def _where_equal(out: Writer, name: str, a: str, largest: str) -> str:
    """Append the step to 1 where a is as large as the largest, else 0."""
    return out.add(Value("element", "u8"), Chain(name, a, largest, "ADD", scale_b=-1.0, zero=255, table=_EQUAL))


def arg_max(node: Node, network: Network) -> Codelet:
    """Codelet of an ArgMax node."""
    attrs = node.attrs
    assert isinstance(attrs, ArgMax)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    channels = np.arange(x.shape[1])
    out = Writer(Value("element", x.dtype, RANGES[x.dtype][0]), Value("pixel", y.dtype))
    e = _where_equal(out, "e", "x", out.add(Value("pixel", "u8"), Largest("m", "x")))
    if y.dtype == "u8":
        _digit(out, "y", e, channels, attrs.last)
    else:
        s, best, block = _digit(out, "block", e, channels // BASE, attrs.last)
        _, _, within = _digit(out, "within", _where_equal(out, "f", s, best), channels % BASE, attrs.last)
        out.steps.append(Total("y", ((block, BASE), (within, 1))))
    return row_codelet(node, network, RowProgram(out.values, tuple(out.steps)))
