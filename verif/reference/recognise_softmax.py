"""Finds a Softmax that was written as elementary operators: Exp(x), or Exp(x - max x), over its own sum along one axis.

A reduction is followed from where it is used: through views that give the reduced dimension back, or repeat along it, and the larger of a
number and minus infinity. It is the one along axis a when its operand without dimension a has the elements that are used, in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, shape_inference

from verif.reference.recognise import Expressions, replaced


class _Rows:
    """Reductions of a graph, found from their uses."""

    def __init__(self, graph: onnx.GraphProto, inferred: onnx.GraphProto) -> None:
        self.found = Expressions(graph)
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        self.shape = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values if v.type.tensor_type.HasField("shape")}

    def reduction(self, name: str, op: str) -> tuple[str, int] | None:
        """Operand and axis of the reduction that a value is."""
        used, node = self.shape.get(name), self.found.node_of.get(name)
        expanded = False
        while node is not None and node.op_type in ("Expand", "Identity", "Max", "Reshape", "Unsqueeze"):
            numbers = [self.found.number(other) for other in node.input]
            if node.op_type == "Max" and (len(numbers) != 2 or -np.inf not in numbers):
                return None
            if node.op_type == "Expand":
                if expanded:
                    return None
                expanded, used = True, self.shape.get(node.input[0])
            name = node.input[1] if node.op_type == "Max" and numbers[0] == -np.inf else node.input[0]
            node = self.found.node_of.get(name)
        if node is None or node.op_type != op or node.domain not in ("", "ai.onnx") or used is None or not self.shape.get(node.input[0]):
            return None
        attributes: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        axes = self.found.constants.get(node.input[1]) if len(node.input) > 1 else attributes.get("axes")
        if axes is None or np.size(axes) != 1:
            return None
        whole = self.shape[node.input[0]]
        axis = int(np.reshape(axes, -1)[0]) % len(whole)
        return (node.input[0], axis) if used == [1 if i == axis else d for i, d in enumerate(whole)] else None

    def softmax(self, node: onnx.NodeProto) -> tuple[str, int] | None:
        """Operand and axis of the Softmax that ends in a node."""
        for e, divisor in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
            if node.op_type == "Mul":
                inverse = self.found.node_of.get(divisor)
                if inverse is None or inverse.op_type != "Reciprocal":
                    continue
                divisor = inverse.input[0]
            total, power = self.reduction(divisor, "ReduceSum"), self.found.node_of.get(e)
            if total is not None and power is not None and power.op_type == "Exp" and total[0] == e:
                return self._operand(power.input[0], total[1])
            if node.op_type == "Div":
                break
        return None

    def _operand(self, name: str, axis: int) -> tuple[str, int] | None:
        node = self.found.node_of.get(name)
        largest = self.reduction(node.input[1], "ReduceMax") if node is not None and node.op_type == "Sub" else None
        if node is None or largest is None or self.found.of(largest[0]) != self.found.of(node.input[0]):
            return name, axis
        return (node.input[0], axis) if largest[1] == axis else None


def recognised_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy in which each decomposed Softmax is one."""
    if not {"Exp", "ReduceSum"} <= {node.op_type for node in model.graph.node}:
        return model
    rows = _Rows(model.graph, shape_inference.infer_shapes(model, data_prop=True).graph)
    made = {}
    for node in model.graph.node:
        match = rows.softmax(node) if node.op_type in ("Div", "Mul") and node.domain in ("", "ai.onnx") else None
        if match is not None:
            made[node.output[0]] = helper.make_node("Softmax", [match[0]], node.output, name=node.name, axis=match[1])
    return replaced(model, made)


__all__ = ["recognised_softmax"]
