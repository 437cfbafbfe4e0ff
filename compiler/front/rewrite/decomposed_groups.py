"""A GroupNormalization that an exporter wrote as elementary operators becomes the operator again.

before:  i = InstanceNormalization(Reshape(x to (N, groups, ..)), scale, bias); y = Add(Mul(Reshape(i to the shape of x), gamma), beta)
after:   y = GroupNormalization(x, gamma * scale, gamma * bias + beta, num_groups)                                 without Add beta is 0

Where no product follows the second Reshape nothing is left to restore: the importer sees through the Reshapes.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compiler.front.rewrite.decomposed import Net

Shapes = dict[str, tuple[int, ...]]


def _a_channel(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Values of a constant that a tensor of `shape` meets, one a channel of axis 1; None where they vary along other axes."""
    if array is None or array.ndim > len(shape):
        return None
    full = array.reshape(*[1] * (len(shape) - array.ndim), *array.shape)
    fits = all(d == 1 for axis, d in enumerate(full.shape) if axis != 1) and full.shape[1] in (1, shape[1])
    return np.broadcast_to(full.reshape(-1), (shape[1],)).astype(np.float64) if fits else None


def _next(net: Net, name: str, op: str, shape: tuple[int, ...]) -> tuple[onnx.NodeProto, np.ndarray] | None:
    """The node of this operator that alone reads a value, and its constant, one a channel."""
    step = net.only_reader(name, op)
    other = [each for each in step.input if each != name] if step is not None else []
    values = _a_channel(net.constants.get(other[0]), shape) if len(other) == 1 else None
    return (step, values) if step is not None and values is not None else None


def _restored(net: Net, node: onnx.NodeProto, shapes: Shapes) -> tuple[onnx.NodeProto, onnx.NodeProto, list[onnx.TensorProto]] | None:
    """The last node of what an InstanceNormalization is the core of, the node for all of it, and its constants."""
    split, joined = net.made_by(node.input[0], "Reshape"), net.only_reader(node.output[0], "Reshape")
    scale, bias = (net.constants.get(name) for name in node.input[1:])
    if split is None or joined is None or scale is None or bias is None or joined.input[0] != node.output[0]:
        return None
    shape, grouped = shapes.get(split.input[0], ()), shapes.get(split.output[0], ())
    if len(shape) < 2 or len(grouped) < 2 or shapes.get(joined.output[0]) != shape or shape[0] != grouped[0] or shape[1] % grouped[1]:
        return None
    product = _next(net, joined.output[0], "Mul", shape)
    if product is None:
        return None
    last, gamma = product
    total = _next(net, last.output[0], "Add", shape)
    scales, biases = (np.repeat(array.reshape(-1).astype(np.float64), shape[1] // grouped[1]) for array in (scale, bias))
    numbers = {"gamma": gamma * scales, "beta": gamma * biases + (total[1] if total is not None else 0.0)}
    last = total[0] if total is not None else last
    label, epsilon = node.name or node.output[0], {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("epsilon", 1e-5)
    names = {role: f"{last.output[0]}/{role}" for role in numbers}
    constants = [numpy_helper.from_array(array.astype(np.float32), names[role]) for role, array in numbers.items()]
    inputs = [split.input[0], *names.values()]
    return last, helper.make_node("GroupNormalization", inputs, [last.output[0]], name=label, num_groups=grouped[1], epsilon=epsilon), constants


def restore_groups(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with GroupNormalization nodes in place of the decomposition; the model itself where there is none.

    The operator exists from opset 21 on; the importer knows it in any.
    """
    graph = model.graph
    if not any(node.op_type == "InstanceNormalization" for node in graph.node):
        return model
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}
    net = Net(graph)
    made = [_restored(net, node, shapes) for node in graph.node if node.op_type == "InstanceNormalization" and node.domain in ("", "ai.onnx")]
    found = [each for each in made if each is not None]
    if not found:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    replaced = {id(last): node for last, node, _ in found}
    nodes = [replaced.get(id(node), node) for node in graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(constant for _, _, constants in found for constant in constants)
    return result
