"""fuse_flatten: a Gemm that reads a flattened image becomes a convolution whose kernel is the whole image.

before:  x (N, C, H, W) -> Reshape -> (N, C*H*W, 1, 1) -> Conv 1x1, weight (OC, C*H*W, 1, 1)
after:   x (N, C, H, W) -> Conv HxW, weight (OC, C, H, W)

The flattened order (c, y, x) is that of the weights' (C, H, W), so no data moves.
"""

from __future__ import annotations

from dataclasses import replace

from compiler.ir.edit import rebuild
from compiler.ir.network import Conv, Network, Node, Reshape, Tensor
from compiler.ir.rules import verify


def _is_point(attrs: Conv) -> bool:
    return attrs.weight.shape[2:] == (1, 1) and attrs.group == 1 and attrs.strides == (1, 1) and not any(attrs.pads)


def _is_flatten(x: Tensor, y: Tensor) -> bool:
    n, c, h, w = x.shape
    return y.shape == (n, c * h * w, 1, 1)


def fuse_flatten(network: Network) -> Network:
    """Return `network` with Reshape and Conv 1x1 merged where the Reshape flattens."""
    flat: dict[str, Tensor] = {}
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node.attrs, Reshape):
            x, y = (network.tensors[t] for t in (node.inputs[0], node.outputs[0]))
            if _is_flatten(x, y):
                flat[y.name] = x
        elif isinstance(node.attrs, Conv) and node.inputs[0] in flat and _is_point(node.attrs):
            x = flat[node.inputs[0]]
            weight = node.attrs.weight.reshape(node.attrs.out_channels, *x.shape[1:])
            node = replace(node, attrs=replace(node.attrs, weight=weight), inputs=(x.name,))
        nodes.append(node)
    return verify(rebuild(network, nodes=nodes))
