"""Product of two computed matrices: a contraction whose weights are a tensor, one product after another.

    for n, oc, oy:  reduce ic:  acc = MATMUL(x[a_batch(n), ic, oy], w[b_batch(n), oc, ic]);  y = REQUANTIZE(acc)

Loop n counts products, oy rows of a, ic the reduced dimension, oc columns of b. Operand w has the shape (products of b, N, K, 1): its pixels
are the reduced dimension, its channels the columns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.codelets.base import Codelet, Finish, Index, Loop, Operand, Operation, pixel
from compiler.ir.matmul import MatMul
from compiler.ir.network import Network, Node


def product(node: Node, network: Network) -> Codelet:
    """Codelet of a MatMul node."""
    attrs = node.attrs
    assert isinstance(attrs, MatMul)
    a, b = (network.tensors[name] for name in node.inputs)
    y = network.tensors[node.outputs[0]]
    m, k, n = attrs.sizes(a.shape, b.shape)
    products = len(attrs.a_batch)
    loops = (Loop("n", products), Loop("oc", n), Loop("ic", k, True), Loop("oy", m), Loop("ox", 1))
    image = Index((("n", 1),))
    operands = {
        "x": Operand(a.dtype, (a.shape[0] // m, k, m, 1), pixel("ic"), tensor=a.name, zero=attrs.a_zero),
        "w": Operand(b.dtype, (b.shape[0] // k, n, k, 1), (image, Index((("oc", 1),)), Index((("ic", 1),)), Index()), tensor=b.name, zero=attrs.b_zero),
        "y": Operand(y.dtype, (products, n, m, 1), pixel("oc"), tensor=y.name),
    }
    finish, operations = Finish("raw"), [Operation("MATMUL", "acc", ("x", "w"))]
    if attrs.y_scale is not None:
        finish = Finish("float", zero=attrs.y_zero, low=attrs.y_low, high=attrs.y_high, scale_a=attrs.scale)
        operations.append(Operation("REQUANTIZE", "y", ("acc",)))
    if attrs.bias is not None:
        finish = replace(finish, bias=attrs.bias, scale=np.full(n, attrs.scale, np.float32))
    return Codelet(
        node.name, node.op, "product", loops, operands, tuple(operations), finish, node.origin, network.macs(node),
        batches=(attrs.a_batch, attrs.b_batch),
    )
