"""Operators of old opsets that onnx's version converter takes over as they are though they have changed their meaning.

    PRelu before opset 7    slopes (C,) are one a channel, of whatever rank the tensor is; since then they broadcast from the right: Unsqueeze to (C, 1, ...)
"""

from __future__ import annotations

import onnx
from onnx import helper

from compiler.front.reading.ranks import ranks

#: The opset in which operators began to broadcast from the right.
BROADCASTS = 7


def carry_over(model: onnx.ModelProto, opset: int) -> None:
    """Write the operators above so that they mean the same in newer opsets, in place."""
    if opset >= BROADCASTS or not any(node.op_type == "PRelu" and node.domain == "" for node in model.graph.node):
        return
    known, sizes = ranks(model), {item.name: list(item.dims) for item in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        node = onnx.NodeProto.FromString(node.SerializeToString())
        rank = known.get(node.input[0], 0) if node.op_type == "PRelu" and node.domain == "" and len(node.input) == 2 else 0
        if rank > 2 and len(sizes.get(node.input[1], [1])) == 1 and sizes.get(node.input[1]) != [1]:
            slopes = f"{node.output[0]}/slopes"
            nodes.append(helper.make_node("Unsqueeze", [node.input[1]], [slopes], name=f"{node.name}/slopes", axes=list(range(1, rank - 1))))
            node.input[1] = slopes
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


__all__ = ["carry_over"]
