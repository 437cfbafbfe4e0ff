"""LRN of a dequantised tensor: over windows of its channels, it waits for its QuantizeLinear."""

from __future__ import annotations

from compiler.front.constraints import quantised_operand, reachable_power, usable_denominator
from compiler.front.operators.normalise.normalise import pending_rows, row_view
from compiler.front.state.step import Step
from compiler.front.state.values import Real, Value
from compiler.ir.normalise import LRN


def local_response(step: Step) -> list[Value]:
    """LRN along axis 1."""
    x = step.value(0)
    step.require(quantised_operand, x, found=step.describe(0))
    assert isinstance(x, Real)
    size, alpha = step.attribute("size", 1), step.attribute("alpha", 1e-4)
    beta, bias = step.attribute("beta", 0.75), step.attribute("bias", 1.0)
    step.require(reachable_power, beta, found=f"{beta:.7g}")
    factor = alpha * x.scale**2
    step.require(usable_denominator, bias, factor, found=f"a bias of {bias:.7g} and an alpha of {alpha:.7g} for an input of scale {x.scale:.7g}")
    view = row_view(x.shape, 1, onwards=False)
    return [pending_rows(step, x, view, lambda t: LRN(size, alpha, beta, bias, x.scale, x.zero, t.scale, t.zero, t.low, t.high))]
