"""The number of the largest channel of each pixel, as a micro-program: every largest channel scores, and the highest score tells the first.

    for each pixel:  m = MAXIMUM(x);  e = TABLE(x - m), 1 where it is 0;  s = e * (C - c), or e * (c + 1);  y = C - MAXIMUM(s), or MAXIMUM(s) - 1
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet
from compiler.codelets.row_program import Chain, Largest, RowProgram, Value
from compiler.codelets.rowwise import Writer, row_codelet
from compiler.ir import RANGES, Graph, Node
from compiler.ir_rowwise import ArgMax


def arg_max(node: Node, graph: Graph) -> Codelet:
    """Codelet of an ArgMax node."""
    attrs = node.attrs
    assert isinstance(attrs, ArgMax)
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    channels = x.shape[1]
    equal = np.zeros(256, np.uint8)
    equal[255] = 1
    scores = np.arange(1, channels + 1, dtype=np.float32)
    scores = scores if attrs.last else scores[::-1].copy()
    out = Writer(Value("element", x.dtype, RANGES[x.dtype][0]), Value("pixel", y.dtype))
    largest = out.add(Value("pixel", "u8"), Largest("m", "x"))
    e = out.add(Value("element", "u8"), Chain("e", "x", largest, "ADD", scale_b=-1.0, zero=255, table=equal))
    s = out.add(Value("element", "u8"), Chain("s", e, channel_scale=scores))
    best = out.add(Value("pixel", "u8"), Largest("l", s))
    out.steps.append(Chain("y", best, scale_a=1.0 if attrs.last else -1.0, zero=-1 if attrs.last else channels))
    return row_codelet(node, graph, RowProgram(out.values, tuple(out.steps)))
