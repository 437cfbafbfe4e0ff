"""Rule: a dequantised tensor over another: a Quotient node, the product with the float32 reciprocal (`compiler.ir.floats`). 0 over 0 is 0."""

from __future__ import annotations

from compiler.front.constraints import usable_quotient
from compiler.front.floats.rules.sums import expanded
from compiler.front.floats.spread import spread
from compiler.front.state.broadcast import common_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Operation, Quantisation, Real
from compiler.ir.floats import Quotient


def quotient(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """The rule."""
    a, b = value.a, value.b
    if value.kind != "DIV" or not isinstance(a, Real) or not isinstance(b, Real):
        return None
    node: OnnxNode = value.node
    node.require(usable_quotient, a.scale, b.scale, found=f"{a.scale} and {b.scale}")
    builder = node.builder
    seen = common_view(value.shape, [(v.shape, builder.tensors[v.tensor].shape) for v in (a, b)])
    if seen is None:
        whole, _ = spread(node, value, None)
        assert isinstance(whole, Operation)
        return quotient(whole, target, origin)
    names = tuple(expanded(builder, v.tensor, seen.operands[i], seen.out, origin) for i, v in enumerate((a, b)))
    attrs = Quotient(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
    return builder.node(node.label, attrs, names, builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero), origin)


__all__ = ["quotient"]
