"""fold_pads: padding that a window can do itself is left to it.

before:  x -> Move, a frame of the zero point around each image -> Conv, pads (0, 0, 0, 0)
after:   x -> Conv, pads (1, 1, 1, 1)

A maximum ignores its padding, so a frame of the lowest value goes into it; an average counts a frame of the zero point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.network import RANGES, Conv, Move, Network, Node, Pads
from compiler.ir.pools import AveragePool, MaxPool
from compiler.ir.rules import verify


def _frame(node: Node, network: Network) -> tuple[Pads, int] | None:
    """The padding that a Move adds to each image and its value; None where it does anything else."""
    move = node.attrs
    assert isinstance(move, Move), f"{node.name} is no movement"
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    if len(node.inputs) != 1 or move.constants.size != 1 or x.shape[:2] != y.shape[:2]:
        return None
    at = np.argwhere(move.index.reshape(y.shape)[0, 0] >= 0)
    if not at.size:
        return None
    (top, left), (h, w) = at[0].tolist(), x.shape[2:]
    pads = (top, left, y.shape[2] - h - top, y.shape[3] - w - left)
    if min(pads) < 0:
        return None
    numbers = np.arange(x.elements).reshape(x.shape)
    framed = np.pad(numbers, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=-1)
    return (pads, int(move.constants[0])) if np.array_equal(framed.reshape(-1), move.index) else None


def _padded(attrs: Conv | MaxPool | AveragePool, pads: Pads, value: int, dtype: str) -> Conv | MaxPool | AveragePool | None:
    """The window with the frame as its own padding; None where that is something else."""
    both = tuple(a + b for a, b in zip(attrs.pads, pads, strict=True))
    if isinstance(attrs, Conv):
        return replace(attrs, pads=both) if value == attrs.x_zero else None  # type: ignore[arg-type]
    if isinstance(attrs, MaxPool):
        return replace(attrs, pads=both) if value == RANGES[dtype][0] else None  # type: ignore[arg-type]
    counted = attrs.count_include_pad or not any(attrs.pads)
    return replace(attrs, pads=both, count_include_pad=True) if value == attrs.x_zero and counted else None  # type: ignore[arg-type]


def fold_pads(network: Network) -> Network:
    """Return `network` with frames around images in the padding of the windows that read them."""
    frames: dict[str, tuple[str, Pads, int]] = {}
    nodes = []
    for node in network.nodes:
        if isinstance(node.attrs, Move):
            frame = _frame(node, network)
            if frame is not None:
                frames[node.outputs[0]] = (node.inputs[0], *frame)
        elif isinstance(node.attrs, Conv | MaxPool | AveragePool) and node.inputs[0] in frames:
            source, pads, value = frames[node.inputs[0]]
            attrs = _padded(node.attrs, pads, value, network.tensors[source].dtype)
            x, framed = network.tensors[source], network.tensors[node.inputs[0]]
            if attrs is not None and (x.scale, x.zero_point) == (framed.scale, framed.zero_point):
                node = replace(node, attrs=attrs, inputs=(source,))
        nodes.append(node)
    return verify(rebuild(network, nodes=nodes))
