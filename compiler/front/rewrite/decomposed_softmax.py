"""A Softmax that an exporter wrote as elementary operators becomes the operator again.

before:  m = ReduceMax(x); e = Exp(Sub(x, m)), or Exp(x); y = Div(e, ReduceSum(e)), or Mul(e, Reciprocal(ReduceSum(e)))         along one axis
after:   y = Softmax(x)

What is reduced may lose its dimension and get it back by Reshape, Unsqueeze and Expand, and JAX takes the larger of it and minus infinity.
"""

from __future__ import annotations

import onnx
from onnx import helper

from compiler.front.rewrite.decomposed import Net

_VIEWS = ("Expand", "Identity", "Reshape", "Unsqueeze")
Shapes = dict[str, tuple[int, ...]]


def shapes_of(graph: onnx.GraphProto) -> Shapes:
    """Shapes of the values whose dimensions are all known."""
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}
    return {name: shape for name, shape in found.items() if all(shape)}


def _reduced(net: Net, name: str, op: str, shapes: Shapes) -> tuple[str, int] | None:
    """What a value, however it is seen again, is the reduction of, and along which axis."""
    seen = [name]
    node = net.producer.get(name)
    while node is not None and node.op_type != op:
        if node.op_type == "Max" and len(node.input) == 2:
            numbers = [net.scalar(other) for other in node.input]
            if float("-inf") not in numbers:
                return None
            seen.append(node.input[1 - numbers.index(float("-inf"))])
        elif node.op_type in _VIEWS:
            seen.append(node.input[0])
        else:
            return None
        node = net.producer.get(seen[-1])
    if node is None or node.domain not in ("", "ai.onnx") or node.input[0] not in shapes:
        return None
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axes = net.constants.get(node.input[1]) if len(node.input) > 1 and node.input[1] else given.get("axes")
    axes = None if axes is None else [int(a) for a in (axes if isinstance(axes, list) else axes.reshape(-1))]
    shape = shapes[node.input[0]]
    if axes is None or len(axes) != 1:
        return None
    axis = axes[0] % len(shape)
    kept = (*shape[:axis], 1, *shape[axis + 1 :])
    dropped = (*shape[:axis], *shape[axis + 1 :])
    # From the reduction on: without its dimension, then with it, then repeated along it.
    order = [next((i for i, form in enumerate((dropped, kept, shape)) if shapes.get(value) == form), -1) for value in reversed(seen)]
    if -1 in order or order != sorted(order) or order[-1] == 0:
        return None
    return node.input[0], axis


def _operand(net: Net, name: str, shapes: Shapes) -> tuple[str, int | None] | None:
    """What a value is the exponential of, apart from its largest number, and the axis of that."""
    exponential = net.made_by(name, "Exp")
    if exponential is None:
        return None
    difference = net.made_by(exponential.input[0], "Sub")
    largest = _reduced(net, difference.input[1], "ReduceMax", shapes) if difference is not None else None
    if difference is not None and largest is not None and net.same(largest[0], difference.input[0]):
        return difference.input[0], largest[1]
    return exponential.input[0], None


def restore_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with Softmax nodes in place of the decomposition; the model itself where there is none."""
    if not any(node.op_type == "Exp" for node in model.graph.node):
        return model
    graph, shapes = model.graph, shapes_of(model.graph)
    net = Net(graph)
    replaced: dict[int, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type not in ("Div", "Mul") or node.domain not in ("", "ai.onnx"):
            continue
        for e, other in (node.input,) if node.op_type == "Div" else (node.input, reversed(node.input)):
            inverse = net.made_by(other, "Reciprocal") if node.op_type == "Mul" else None
            divisor = other if node.op_type == "Div" else inverse.input[0] if inverse is not None else ""
            total, operand = _reduced(net, divisor, "ReduceSum", shapes), _operand(net, e, shapes)
            if total is None or operand is None or total[0] != e or operand[1] not in (None, total[1]):
                continue
            replaced[id(node)] = helper.make_node("Softmax", [operand[0]], node.output, name=node.name or node.output[0], axis=total[1])
    if not replaced:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = [replaced.get(id(node), node) for node in graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


__all__ = ["restore_softmax", "shapes_of"]
