"""Movements of dequantised constants: the integers move, and their scales and zero points with them, so that weights stay weights behind
Slice, Split, Gather, Concat and the like (packed projections, tied embeddings)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import RealConst

#: Operators whose first operand (of Concat each) only moves.
MOVING = ("Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "Slice", "SpaceToDepth", "Split", "Tile")


def moved_constants(node: OnnxNode, evaluate: Callable[..., list[np.ndarray]]) -> list[RealConst] | None:
    """Return the results of a movement of dequantised constants; None for any other node. `evaluate` runs a node on arrays."""
    count = len(node.values) if node.op == "Concat" else 1
    operands = [v for v in node.values[:count] if isinstance(v, RealConst)]
    if node.op not in MOVING or len(operands) < count or len({v.array.dtype for v in operands}) > 1:
        return None
    sizes = np.cumsum([0, *(v.array.size for v in operands)])
    numbers = [np.arange(a, b).reshape(v.shape) for a, b, v in zip(sizes, sizes[1:], operands, strict=False)]
    results = evaluate(node.proto, node.opset, [*numbers, *(node.constant(i) for i in range(count, len(node.values)))])
    parts = [[np.broadcast_to(a, v.shape).reshape(-1) for a in (v.array, v.scale, v.zero)] for v in operands]
    flat = RealConst(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return [flat.moved(lambda array, index=index: array[index]) for index in results]  # type: ignore[misc]


__all__ = ["MOVING", "moved_constants"]
