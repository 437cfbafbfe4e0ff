"""GroupNormalization and InstanceNormalization of a dequantised tensor: they wait for their QuantizeLinear.

Exporters write GroupNormalization as an InstanceNormalization of (N, groups, ..) between two Reshapes. Where the IR tensor is still of (N, channels,
height, width) and the groups part its channels, it is normalised as it lies, and no Reshape is left.
"""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import countable_group, equal_groups, quantised_operand, usable_epsilon
from compiler.front.operators.normalise.normalise import channel_numbers
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Quantisation, Real, Value
from compiler.ir.network import Attrs, Shape4
from compiler.ir.normalise import GroupNormalization


def _place(node: OnnxNode, x: Real) -> Shape4:
    """The view that is normalised: that of the IR tensor where each channel of x is some whole ones of it, else the usual one."""
    shape, usual = node.builder.tensors[x.tensor].shape, default_view(x.shape)
    return shape if shape[0] == usual[0] and shape[1] % usual[1] == 0 else usual


def group_normalization(node: OnnxNode) -> list[Value]:
    """Both operators. Scale and bias are constants, one a channel."""
    x = node.value(0)
    node.require(quantised_operand, x, found=node.describe(0))
    assert isinstance(x, Real)
    channels = x.shape[1]
    groups = node.attribute("num_groups", channels)
    node.require(equal_groups, groups, channels, found=f"{groups} groups of {channels} channels")
    view = _place(node, x)
    numbers = int(np.prod(view[1:])) // groups
    node.require(countable_group, numbers, found=f"{numbers}")
    gamma, beta = (np.repeat(channel_numbers(node, i, channels), view[1] // channels) for i in (1, 2))
    epsilon = float(node.attribute("epsilon", 1e-5))
    node.require(usable_epsilon, epsilon / x.scale**2, found=f"{epsilon} for an input of scale {x.scale}")

    def attrs(target: Quantisation) -> Attrs:
        return GroupNormalization(groups, gamma, beta, epsilon, x.scale, x.zero, target.scale, target.zero, target.low, target.high)

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        out = node.builder.tensor(target.name, view, target.dtype, target.scale, target.zero)
        return node.builder.node(node.label, attrs(target), (node.builder.view(x.tensor, view),), out, origin)

    return [Pending(x.shape, (node.label,), emit, floats=True)]
