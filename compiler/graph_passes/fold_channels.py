"""fold_channels: a convolution that reads reordered channels reads them in their old order, with its weights reordered instead.

before:  x (N, C, H, W) -> Move, channels in another order -> Conv
after:   x (N, C, H, W) -> Conv, input channels of the weights in another order

Likewise a product of whole images in another order (channels last, flattened) becomes a convolution whose kernel is the whole image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.ir.edit import rebuild
from compiler.ir.network import Conv, Move, Network, Node, Tensor
from compiler.ir.rules import verify


def _same_each_image(move: Move, x: Tensor, y: Tensor) -> np.ndarray | None:
    """For each element of an image of y, the element of the image of x that it is; None where a Move does more than reorder images."""
    n = y.shape[0]
    if x.elements != y.elements or x.shape[0] != n or move.index.min() < 0:
        return None
    order = move.index.reshape(n, -1)
    size = order.shape[1]
    same = np.array_equal(order, order[0] + np.arange(n)[:, None] * size)
    return order[0] if same and np.array_equal(np.sort(order[0]), np.arange(size)) else None


def _folded(attrs: Conv, move: Move, x: Tensor, y: Tensor) -> Conv | None:
    order = _same_each_image(move, x, y)
    if order is None or attrs.group != 1:
        return None
    oc, ic, kh, kw = attrs.weight.shape
    if x.shape == y.shape:
        pixels = x.shape[2] * x.shape[3]
        channel = order.reshape(ic, pixels)[:, 0] // pixels
        if np.array_equal(order.reshape(ic, pixels), channel[:, None] * pixels + np.arange(pixels)):
            weight = np.empty_like(attrs.weight)
            weight[:, channel] = attrs.weight
            return replace(attrs, weight=weight)
    if y.shape[2:] == (1, 1) == (kh, kw) and attrs.strides == (1, 1) and not any(attrs.pads):
        weight = np.empty((oc, ic), attrs.weight.dtype)
        weight[:, order] = attrs.weight.reshape(oc, ic)
        return replace(attrs, weight=weight.reshape(oc, *x.shape[1:]))
    return None


def fold_channels(network: Network) -> Network:
    """Return `network` with the order of channels folded into the weights behind them."""
    made = {n.outputs[0]: n for n in network.nodes if isinstance(n.attrs, Move) and len(n.inputs) == 1}
    nodes: list[Node] = []
    for node in network.nodes:
        before = made.get(node.inputs[0])
        if isinstance(node.attrs, Conv) and before is not None and isinstance(before.attrs, Move):
            x, y = network.tensors[before.inputs[0]], network.tensors[node.inputs[0]]
            attrs = _folded(node.attrs, before.attrs, x, y)
            if attrs is not None and (x.scale, x.zero_point) == (y.scale, y.zero_point):
                node = replace(node, attrs=attrs, inputs=before.inputs)
        nodes.append(node)
    return verify(rebuild(network, nodes=nodes))
