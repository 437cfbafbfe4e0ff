"""Whether a network is quantised: a float network is refused node by node, which says less than one sentence."""

from __future__ import annotations

import onnx

from compiler.front.rewrite.subgraphs import subgraphs

#: Operators of quantised networks on integers alone; all others have the word in their name.
INTEGERS = ("ConvInteger", "MatMulInteger", "QGemm", "QAttention")


def quantised_operator(model: onnx.ModelProto) -> str | None:
    """Return an operator of quantised networks that a network has; None for a float network."""
    nodes = [*(node for graph in subgraphs(model.graph) for node in graph.node), *(node for function in model.functions for node in function.node)]
    kinds = (node.op_type for node in nodes)
    return next((kind for kind in kinds if "QuantizeLinear" in kind or kind.startswith("QLinear") or kind in INTEGERS), None)


__all__ = ["quantised_operator"]
