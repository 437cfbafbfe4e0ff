"""L2 normalisation of a dequantised tensor: an RMSNormalization whose scale is one over the root of the number of elements.

x / sqrt(sum of x^2) = x / sqrt(mean of x^2) / sqrt(n). An integer that is not zero is at least 1, and so is the norm of a row of them: a bound below
one step changes nothing but the row of zeros, which stays one. The machine's epsilon is 2^-40 square steps, less than half an ulp of any mean.
"""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import countable_row, least_norm, quadratic_norm, quantised_operand
from compiler.front.operators.normalise.normalise import pending_rows, row_view
from compiler.front.rewrite.templates.l2_normalization import DOMAIN
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Quantisation, Real, Value
from compiler.ir.network import Attrs
from compiler.ir.normalise import RMSNormalization

EPSILON_STEPS = 2.0**-40


def l2_normalization(node: OnnxNode) -> list[Value]:
    """LpNormalization with p = 2, along any axis, and its form of DOMAIN with a least norm."""
    x = node.value(0)
    node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real)
    node.require(quadratic_norm, node.attribute("p", 2), found=f"p = {node.attribute('p', 2)}")
    least, added = (float(node.attribute(name, 0.0)) for name in ("least", "added"))
    found = f"at least {least}" if least else f"{added} added"
    node.require(least_norm, least / x.scale, added / x.scale, found=f"{found}, for an input of scale {x.scale}")
    axis = node.attribute("axis", -1)
    view = row_view(x.shape, axis + len(x.shape) if axis < 0 else axis, onwards=False)
    node.require(countable_row, view[1], found=f"{view[1]}")
    gamma = np.full(view[1], np.float32(1) / np.sqrt(np.float32(view[1])), np.float32)
    epsilon = EPSILON_STEPS * x.scale**2

    def attrs(target: Quantisation) -> Attrs:
        return RMSNormalization(gamma, epsilon, x.scale, x.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(node, x, view, attrs)]


#: Handlers of the nodes that `compiler.front.rewrite.templates.l2_normalization` makes, by domain and operator.
PARTS = {(DOMAIN, "LpNormalization"): l2_normalization}
