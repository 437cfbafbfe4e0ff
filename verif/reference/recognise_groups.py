"""Finds a GroupNormalization that was written as an InstanceNormalization between two Reshapes, a product and mostly a sum with constants.

The chain is followed backwards from each Add and Mul. What the constants come to is computed in double precision and rounded once.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from verif.reference.recognise import Expressions, replaced


class _Chain:
    """A graph with the shapes of its values."""

    def __init__(self, model: onnx.ModelProto, original: onnx.ModelProto) -> None:
        self.found = Expressions(model.graph)
        graph = shape_inference.infer_shapes(original).graph
        values = [v for v in (*graph.input, *graph.value_info, *graph.output) if v.type.tensor_type.HasField("shape")]
        self.shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}

    def maker(self, name: str, op: str, *, alone: bool = True) -> onnx.NodeProto | None:
        """The node of this operator that makes a value, which mostly has to have a single reader."""
        node = self.found.node_of.get(name)
        fits = node is not None and node.op_type == op and node.domain in ("", "ai.onnx")
        return node if fits and (not alone or self.found.readers.count(name) == 1) else None

    def with_constant(self, node: onnx.NodeProto) -> tuple[str, np.ndarray] | None:
        """Of an operator of a value and a constant one a channel: the name of the value and the constant, float64 (C,)."""
        shape = self.shapes.get(node.output[0], ())
        for value, constant in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
            array = self.found.constants.get(constant)
            if array is None or value in self.found.constants or self.shapes.get(value) != shape or not 1 < len(shape) >= array.ndim:
                continue
            along = np.ones((1, shape[1], *[1] * (len(shape) - 2)), bool)
            if array.size == 1 or np.broadcast_shapes(array.shape, along.shape) == along.shape:
                return value, np.broadcast_to(array.reshape(-1), shape[1:2]).astype(np.float64)
        return None

    def core(self, name: str) -> tuple[onnx.NodeProto, str, int] | None:
        """Of a value that is an InstanceNormalization between Reshapes: its node, what is normalised, and how many groups of channels."""
        joined = self.maker(name, "Reshape")
        node = self.maker(joined.input[0], "InstanceNormalization") if joined is not None else None
        split = self.maker(node.input[0], "Reshape", alone=False) if node is not None else None
        if node is None or split is None or any(each not in self.found.constants for each in node.input[1:]):
            return None
        shape, grouped = self.shapes.get(split.input[0], ()), self.shapes.get(node.input[0], ())
        fits = len(shape) > 1 and len(grouped) > 1 and self.shapes.get(name) == shape and shape[0] == grouped[0] and shape[1] % grouped[1] == 0
        return (node, split.input[0], grouped[1]) if fits else None


def recognised_groups(model: onnx.ModelProto, original: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Return `model`, or a copy in which each decomposed GroupNormalization is a node of that name.

    `original`: the model of onnx's own operators that it was made from, where it is none any more; shapes are those of its values.
    """
    if not any(node.op_type == "InstanceNormalization" for node in model.graph.node):
        return model
    chain = _Chain(model, original or model)
    made: dict[str, onnx.NodeProto] = {}
    constants: list[onnx.TensorProto] = []
    for node in model.graph.node:
        if node.op_type != "Mul":
            continue
        product = chain.with_constant(node)
        core = chain.core(product[0]) if product is not None else None
        if product is None or core is None:
            continue
        instance, x, groups = core
        scale, bias = (np.repeat(chain.found.constants[name].reshape(-1).astype(np.float64), len(product[1]) // groups) for name in instance.input[1:])
        gamma, beta, last = product[1] * scale, product[1] * bias, node.output[0]
        readers = [n for n in model.graph.node if last in n.input]
        total = chain.with_constant(readers[0]) if len(readers) == 1 and readers[0].op_type == "Add" and chain.found.readers.count(last) == 1 else None
        if total is not None:
            beta, last = beta + total[1], readers[0].output[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in instance.attribute} | {"num_groups": groups}
        constants += [numpy_helper.from_array(array.astype(np.float32), f"{last}/{role}") for role, array in (("scale", gamma), ("bias", beta))]
        made[last] = helper.make_node("GroupNormalization", [x, f"{last}/scale", f"{last}/bias"], [last], name=instance.name, **attributes)
    result = replaced(model, made)
    result.graph.initializer.extend(constants)
    return result
