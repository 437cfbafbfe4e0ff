"""Div of two dequantised tensors: a table where both are functions of one 8-bit tensor, otherwise a Quotient node. 0 over 0 is 0."""

from __future__ import annotations

import numpy as np

from compiler.constraints import broadcast_shapes, usable_quotient
from compiler.front.floats.sums import expanded
from compiler.front.floats.tables import one_root
from compiler.front.state.broadcast import common_view
from compiler.front.state.step import Step
from compiler.front.state.values import Pending, Quantisation, Real, Table
from compiler.ir.floats import Quotient


def divide(step: Step, a: Real, b: Real) -> Pending | Table:
    """Return a / b, which waits for its quantisation."""
    sources = one_root(step)
    if sources is not None:
        x, y = sources.arrays
        assert x is not None and y is not None
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            floats = np.where(x == 0, np.float32(0), x / y)
        return Table(sources.tensor, sources.shape, floats, (*sources.origin, step.label))
    step.require(usable_quotient, a.scale, b.scale, found=f"{a.scale} and {b.scale}")
    builder = step.builder
    try:
        shape = tuple(int(d) for d in np.broadcast_shapes(a.shape, b.shape))
        seen = common_view(shape, [(v.shape, builder.tensors[v.tensor].shape) for v in (a, b)])
    except ValueError:
        seen = None
    if seen is None:
        step.refuse(broadcast_shapes, f"shapes {a.shape} and {b.shape}")

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        names = tuple(expanded(builder, v.tensor, seen.operands[i], seen.out, origin) for i, v in enumerate((a, b)))
        attrs = Quotient(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
        out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
        return builder.node(step.label, attrs, names, out, origin)

    return Pending(shape, (step.label,), emit)


__all__ = ["divide"]
