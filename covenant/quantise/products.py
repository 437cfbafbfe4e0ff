"""Products in the forms that onnxruntime's quantiser gives a scale a channel, and that one engine computes.

    Gemm(a, b, c), c computed              Gemm(a, b), Add(c): see compiler.front.rewrite.computed_bias
    Gemm(a, b, c), c one number or a row   c (columns,): of folded constants, as in unrolled LSTMs, onnxruntime takes the first axis for the channels
    Gemm(a, b, c; beta)                    Gemm(a, b, beta c): onnxruntime's quantiser forgets beta
    Gemm(a, b, c), c a number a row        Gemm(a, b), Add(c)
    Gemm(a, b, c), a constant              MatMul(a, b), Add(c)
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.rewrite.computed_bias import split_computed_bias

__all__ = ["plain_products"]


class _Writer:
    """Nodes and constants that take the place of others."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.arrays = {item.name: item for item in graph.initializer}
        values = (*graph.value_info, *graph.input, *graph.output)
        self.shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
        self.shapes |= {name: list(item.dims) for name, item in self.arrays.items()}
        self.extra: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []

    def constant(self, array: np.ndarray, name: str) -> str:
        self.extra.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.arrays[name])


def _constant_first(writer: _Writer, node: onnx.NodeProto, given: dict[str, float]) -> None:
    y = node.output[0]
    matrix = writer.array(node.input[0])
    first = writer.constant(np.float32(given.get("alpha", 1.0)) * (matrix.T if given.get("transA") else matrix), f"{y}/matrix")
    second = node.input[1]
    if given.get("transB"):
        writer.nodes.append(helper.make_node("Transpose", [second], [f"{y}/transposed"], name=f"{node.name}/transposed", perm=[1, 0]))
        second = f"{y}/transposed"
    third = node.input[2] if len(node.input) > 2 else ""
    product = f"{y}/product" if third else y
    writer.nodes.append(helper.make_node("MatMul", [first, second], [product], name=node.name))
    if third:
        addend = writer.constant(np.float32(given.get("beta", 1.0)) * writer.array(third), f"{y}/addend")
        writer.nodes.append(helper.make_node("Add", [product, addend], [y], name=f"{node.name}/add"))


def _gemm(writer: _Writer, node: onnx.NodeProto) -> None:
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.input[0] in writer.arrays:
        _constant_first(writer, node, given)
        return
    node = onnx.NodeProto.FromString(node.SerializeToString())
    writer.nodes.append(node)
    columns = writer.shapes[node.input[1]][0 if given.get("transB") else 1]
    beta = given.get("beta", 1.0)
    if len(node.input) < 3 or not node.input[2] or (writer.shapes[node.input[2]] == [columns] and beta == 1.0):
        return
    third, y = np.float32(beta) * writer.array(node.input[2]), node.output[0]
    for attribute in [attribute for attribute in node.attribute if attribute.name == "beta"]:
        node.attribute.remove(attribute)
    if third.size == 1 or third.shape in ((columns,), (1, columns)):
        node.input[2] = writer.constant(np.broadcast_to(third.reshape(-1), (columns,)), f"{y}/bias")
        return
    addend = writer.constant(third, f"{y}/addend")
    del node.input[2:]
    node.output[0] = f"{y}/product"
    writer.nodes.append(helper.make_node("Add", [node.output[0], addend], [y], name=f"{node.name}/add"))


def plain_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network with constants folded in these forms; the model itself where it is so."""
    model = split_computed_bias(model)
    writer = _Writer(model.graph)
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.domain == "":
            _gemm(writer, node)
        else:
            writer.nodes.append(node)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(writer.nodes)
    if list(result.graph.node) == list(model.graph.node):
        return onnx.shape_inference.infer_shapes(model)
    result.graph.initializer.extend(writer.extra)
    read = {name for node in result.graph.node for name in node.input} | {value.name for value in result.graph.output}
    kept = [onnx.TensorProto.FromString(item.SerializeToString()) for item in result.graph.initializer if item.name in read]
    del result.graph.initializer[:]
    result.graph.initializer.extend(kept)
    return onnx.shape_inference.infer_shapes(result)
