"""Sum or average over whole axes: a window that covers them, or, where channels meet, a contraction with weights of one.

    for n, c, oy, ox:  reduce ky, kx:      acc = SUM(x[n, c, oy + ky, ox + kx] - zero);  y = REQUANTIZE(acc)
    for n, oy, ox:     reduce ic, ky, kx:  acc = MATMUL(x[n, ic, oy + ky, ox + kx] - zero, 1);  y = REQUANTIZE(acc)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets.base import Codelet, Finish
from compiler.codelets.contraction import contraction
from compiler.codelets.pooling import average, average_as_contraction
from compiler.ir.elementwise import Reduction
from compiler.ir.network import Conv, Network, Node, averaging_scales
from compiler.ir.pools import AveragePool


def _finish(attrs: Reduction) -> Finish:
    scale, divisor = averaging_scales(attrs.x_scale, attrs.y_scale, attrs.divisor)
    return Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=scale, divisor=divisor)


def _kernel(attrs: Reduction, shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[2] if 2 in attrs.axes else 1, shape[3] if 3 in attrs.axes else 1)


def _images_as_rows(node: Node, network: Network) -> tuple[Node, Network]:
    """The same reduction over H where it reduces N: images lie one after the other, as rows do."""
    attrs = node.attrs
    assert isinstance(attrs, Reduction)
    if 0 not in attrs.axes:
        return node, network
    x = network.tensors[node.inputs[0]]
    n, c, h, w = x.shape
    axes = tuple(sorted({2} | {a for a in attrs.axes if a > 0}))
    seen = replace(network, tensors={**network.tensors, x.name: replace(x, shape=(1, c, n * h, w))})
    return replace(node, attrs=replace(attrs, axes=axes)), seen


def _as_pool(node: Node, network: Network) -> Node | None:
    attrs = node.attrs
    assert isinstance(attrs, Reduction)
    if 1 in attrs.axes:
        return None
    kernel = _kernel(attrs, network.tensors[node.inputs[0]].shape)
    return replace(node, attrs=AveragePool(kernel, attrs.x_scale, attrs.x_zero, attrs.y_scale, attrs.y_zero))


def reduction(node: Node, network: Network) -> Codelet | None:
    """Codelet of a Reduction over N, H and W, lane by lane; None where it reduces channels."""
    node, network = _images_as_rows(node, network)
    pool = _as_pool(node, network)
    assert isinstance(node.attrs, Reduction)
    return None if pool is None else replace(average(pool, network), op=node.op, finish=_finish(node.attrs))


def reduction_as_contraction(node: Node, network: Network) -> Codelet:
    """Codelet of a Reduction on a matrix unit."""
    node, network = _images_as_rows(node, network)
    attrs = node.attrs
    assert isinstance(attrs, Reduction)
    pool = _as_pool(node, network)
    if pool is not None:
        return replace(average_as_contraction(pool, network), op=node.op, finish=_finish(attrs))
    x = network.tensors[node.inputs[0]]
    weight = np.ones((1, x.shape[1], *_kernel(attrs, x.shape)), np.int8)
    conv = Conv(weight, None, attrs.x_scale, attrs.x_zero, np.ones(1, np.float32), 0, attrs.y_scale, attrs.y_zero)
    made = contraction(replace(node, attrs=conv), network)
    return replace(made, op=node.op, finish=_finish(attrs), macs=0)
