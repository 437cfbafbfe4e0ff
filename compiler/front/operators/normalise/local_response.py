"""LRN of a dequantised tensor: over windows of its channels, it waits for its QuantizeLinear."""

from __future__ import annotations

from compiler.front.constraints import quantised_operand, reachable_power, usable_denominator
from compiler.front.operators.normalise.normalise import pending_rows, row_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Real, Value
from compiler.ir.normalise import LRN


def local_response(node: OnnxNode) -> list[Value]:
    """LRN along axis 1."""
    x = node.value(0)
    node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real)
    size, alpha = node.attribute("size", 1), node.attribute("alpha", 1e-4)
    beta, bias = node.attribute("beta", 0.75), node.attribute("bias", 1.0)
    node.require(reachable_power, beta, found=f"{beta:.7g}")
    factor = alpha * x.scale**2
    node.require(usable_denominator, bias, factor, found=f"a bias of {bias:.7g} and an alpha of {alpha:.7g} for an input of scale {x.scale:.7g}")
    view = row_view(x.shape, 1, onwards=False)
    return [pending_rows(node, x, view, lambda t: LRN(size, alpha, beta, bias, x.scale, x.zero, t.scale, t.zero, t.low, t.high))]
