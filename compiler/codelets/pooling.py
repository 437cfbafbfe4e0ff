"""Pools: the largest or the average element of a window.

    for n, c, oy, ox:  reduce ky, kx:  y = MAXIMUM(x[n, c, sy*oy + dy*ky - top, ..])
    for n, c, oy, ox:  reduce ky, kx:  acc = SUM(x[..] - zero);  y = REQUANTIZE(acc)        scale by the window's divisor
"""

from __future__ import annotations

import numpy as np

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation, pixel, window_index
from compiler.codelets.contraction import weight_operand
from compiler.ir.network import Network, Node, averaging_scales
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool


def _window(node: Node, network: Network) -> tuple[tuple[Loop, ...], dict[str, Operand]]:
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    attrs = node.attrs
    n, c, oh, ow = y.shape
    kernel: tuple[int, int]
    if isinstance(attrs, GlobalAveragePool):
        kernel, window = x.shape[2:], window_index((1, 1), (1, 1), (0, 0, 0, 0))
    else:
        assert isinstance(attrs, MaxPool | AveragePool)
        kernel, window = attrs.kernel, window_index(attrs.strides, attrs.dilations, attrs.pads)
    loops = (Loop("n", n), Loop("c", c), Loop("oy", oh), Loop("ox", ow), Loop("ky", kernel[0], True), Loop("kx", kernel[1], True))
    operands = {
        "x": Operand(x.dtype, x.shape, (Index((("n", 1),)), Index((("c", 1),)), *window), tensor=x.name),
        "y": Operand(y.dtype, y.shape, pixel("c"), tensor=y.name),
    }
    return loops, operands


def largest(node: Node, network: Network) -> Codelet:
    """Codelet of a MaxPool node."""
    assert isinstance(node.attrs, MaxPool)
    loops, operands = _window(node, network)
    finish = Finish("int", low=node.attrs.y_low, high=node.attrs.y_high)
    return Codelet(node.name, node.op, "window", loops, operands, (Operation("MAXIMUM", "y", ("x",)),), finish, node.origin)


def _averaging(node: Node, network: Network) -> Finish:
    attrs = node.attrs
    assert isinstance(attrs, AveragePool | GlobalAveragePool)
    x, y = network.tensors[node.inputs[0]], network.tensors[node.outputs[0]]
    divisors = attrs.divisors(x.shape[2:], y.shape[2:]) if isinstance(attrs, AveragePool) else np.full((1, 1), x.shape[2] * x.shape[3])
    divisors = np.maximum(divisors, 1)  # a window that sees nothing sums to 0
    scale_of = {int(d): averaging_scales(attrs.x_scale, attrs.y_scale, int(d)) for d in np.unique(divisors)}
    return Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, divisors=divisors, scale_of=scale_of)


def average(node: Node, network: Network) -> Codelet:
    """Codelet of an AveragePool or GlobalAveragePool node."""
    assert isinstance(node.attrs, AveragePool | GlobalAveragePool)
    loops, operands = _window(node, network)
    x = operands["x"]
    operands["x"] = Operand(x.dtype, x.shape, x.index, tensor=x.tensor, zero=node.attrs.x_zero)
    operations = (Operation("SUM", "acc", ("x",)), Operation("REQUANTIZE", "y", ("acc",)))
    return Codelet(node.name, node.op, "window", loops, operands, operations, _averaging(node, network), node.origin)


def average_as_contraction(node: Node, network: Network) -> Codelet:
    """The same average as a grouped convolution with weights of one: for machines without SUM, and windows larger than a memory."""
    codelet = average(node, network)
    n, c, oh, ow = codelet.operands["y"].shape
    kh, kw = codelet.extent("ky"), codelet.extent("kx")
    loops = (Loop("n", n), Loop("oc", c), Loop("ky", kh, True), Loop("kx", kw, True), Loop("ic", 1, True), Loop("oy", oh), Loop("ox", ow))
    x, y = codelet.operands["x"], codelet.operands["y"]
    operands = {
        "x": Operand(x.dtype, x.shape, (x.index[0], Index((("ic", 1),)), *x.index[2:]), tensor=x.tensor, zero=x.zero),
        "w": weight_operand(np.ones((c, 1, kh, kw), np.int8), 0),
        "y": Operand(y.dtype, y.shape, pixel("oc"), tensor=y.tensor),
    }
    operations = (Operation("MATMUL", "acc", ("x", "w")), Operation("REQUANTIZE", "y", ("acc",)))
    return Codelet(node.name, node.op, "contraction", loops, operands, operations, codelet.finish, node.origin, 0, c)
