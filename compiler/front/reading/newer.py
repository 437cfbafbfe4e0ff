"""Operators that are newer than the opsets that are read, written with older ones: what onnx's version converter has no adapter for.

    RMSNormalization    Div(x, Sqrt(Add(ReduceMean(Mul(x, x)), epsilon))) times the scale
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference


def _rms_normalization(model: onnx.ModelProto, node: onnx.NodeProto, rank: int) -> list[onnx.NodeProto]:
    """Nodes of an RMSNormalization of a tensor of this rank."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    x, gamma, y = str(node.input[0]), str(node.input[1]), str(node.output[0])
    axis = given.get("axis", -1)
    names = {part: f"{y}/{part}" for part in ("axes", "epsilon", "square", "mean", "shifted", "root", "quotient")}
    axes = np.arange(axis - rank if axis >= 0 else axis, 0)
    constants = {"axes": axes.astype(np.int64), "epsilon": np.float32(given.get("epsilon", 1e-5))}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), names[part]) for part, array in constants.items())
    parts = [
        ("Mul", [x, x], names["square"]),
        ("ReduceMean", [names["square"], names["axes"]], names["mean"]),
        ("Add", [names["mean"], names["epsilon"]], names["shifted"]),
        ("Sqrt", [names["shifted"]], names["root"]),
        ("Div", [x, names["root"]], names["quotient"]),
        ("Mul", [names["quotient"], gamma], y),
    ]
    return [helper.make_node(op, inputs, [out], name=f"{node.name}/{op}/{out}" if out != names["quotient"] else node.name) for op, inputs, out in parts]


def spell_out(model: onnx.ModelProto) -> None:
    """Write the operators above with older ones, in place."""
    if not any(node.op_type == "RMSNormalization" and node.domain in ("", "ai.onnx") for node in model.graph.node):
        return
    graph = shape_inference.infer_shapes(model).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input) if v.type.tensor_type.HasField("shape")}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        found = node.op_type == "RMSNormalization" and node.domain in ("", "ai.onnx") and len(node.input) == 2 and node.input[0] in ranks
        nodes += _rms_normalization(model, node, ranks[node.input[0]]) if found else [onnx.NodeProto.FromString(node.SerializeToString())]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
