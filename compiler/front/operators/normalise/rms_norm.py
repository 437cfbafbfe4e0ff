"""RMSNormalization of a dequantised tensor, whole or in two parts: they wait for their QuantizeLinear."""

from __future__ import annotations

from compiler.front.constraints import quantised_operand, usable_epsilon
from compiler.front.operators.normalise.normalise import channel_numbers, normalised_view, one_a_row, pending_rows
from compiler.front.rewrite.templates.rms_normalization import PART_DOMAIN
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Quantisation, Real, Value
from compiler.ir.network import Attrs
from compiler.ir.normalise import MeanSquare, RMSNormalization, RootQuotient


def _operand(node: OnnxNode, index: int) -> Real:
    value = node.value(index)
    node.require(quantised_operand, value, found=node.describe(index))
    assert isinstance(value, Real)
    return value


def rms_normalization(node: OnnxNode) -> list[Value]:
    """RMSNormalization; the scale is a constant."""
    x = _operand(node, 0)
    view = normalised_view(node, x)
    gamma = channel_numbers(node, 1, view[1])
    epsilon = float(node.attribute("epsilon", 1e-5))
    node.require(usable_epsilon, epsilon / x.scale**2, found=f"{epsilon} for an input of scale {x.scale}")

    def attrs(target: Quantisation) -> Attrs:
        return RMSNormalization(gamma, epsilon, x.scale, x.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(node, x, view, attrs)]


def mean_square(node: OnnxNode) -> list[Value]:
    """The mean of the squares along one axis."""
    x = _operand(node, 0)
    view = normalised_view(node, x)
    return [pending_rows(node, x, view, lambda t: MeanSquare(x.scale, x.zero, t.scale, t.zero, t.low, t.high), one_channel=one_a_row(node, x))]


def root_quotient(node: OnnxNode) -> list[Value]:
    """A tensor over the root of a radicand a row."""
    x, e = _operand(node, 0), _operand(node, 1)

    def attrs(target: Quantisation) -> Attrs:
        return RootQuotient(x.scale, x.zero, e.scale, e.zero, target.scale, target.zero, target.low, target.high)

    return [pending_rows(node, x, normalised_view(node, x), attrs, more=(e,))]


#: Handlers of what `compiler.front.rewrite.templates.rms_normalization` makes that is no operator of ONNX, by domain and operator.
PARTS = {
    (PART_DOMAIN, "RMSNormalization"): rms_normalization, (PART_DOMAIN, "ReduceMean"): mean_square, (PART_DOMAIN, "Div"): root_quotient,
}  # fmt: skip
