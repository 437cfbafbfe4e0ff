"""A Gemm whose third operand is computed is a product and an addition.

before:  y = Gemm(a, b, c; alpha, beta), c from other nodes or a graph input
after:   p = Gemm(a, b; alpha);  y = Add(p, c), with Mul(c, beta) where beta is not 1

A constant third operand stays where it is: it is the bias of the product. onnxruntime's optimiser makes the others of MatMul and Add.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def constant_names(graph: onnx.GraphProto) -> set[str]:
    """Values of a graph in order that no graph input has a part in."""
    names = {item.name for item in graph.initializer}
    for node in graph.node:
        branches = any(attribute.graphs or attribute.HasField("g") for attribute in node.attribute)  # may read more than the inputs
        if all(name in names for name in node.input if name) and not branches and not node.op_type.startswith("Random"):
            names |= set(node.output)
    return names


def _halves(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    beta = next((a.f for a in node.attribute if a.name == "beta"), 1.0)
    c, y = node.input[2], node.output[0]
    product = onnx.NodeProto.FromString(node.SerializeToString())
    del product.input[2:], product.attribute[:]
    product.attribute.extend(a for a in node.attribute if a.name != "beta")
    product.output[0] = f"{y}/product"
    halves = [product]
    if beta != 1.0:
        graph.initializer.append(numpy_helper.from_array(np.asarray(beta, np.float32), f"{y}/beta"))
        halves.append(helper.make_node("Mul", [c, f"{y}/beta"], [f"{y}/scaled"], name=f"{node.name}/beta"))
        c = f"{y}/scaled"
    return [*halves, helper.make_node("Add", [product.output[0], c], [y], name=f"{node.name}/add")]


def split_computed_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with such Gemms in two; the model itself where there are none."""
    constants = constant_names(model.graph)
    found = [
        index for index, node in enumerate(model.graph.node)
        if node.op_type == "Gemm" and node.domain in ("", "ai.onnx") and len(node.input) > 2 and node.input[2] and node.input[2] not in constants
    ]
    if not found:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(model.graph.node):
        nodes += _halves(result.graph, node) if index in found else [node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


__all__ = ["constant_names", "split_computed_bias"]
