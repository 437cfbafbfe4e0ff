"""Operators of old opsets that onnx's version converter takes over as they are though they have changed their meaning.

    PRelu before opset 7    slopes (C,) are one a channel, of whatever rank the tensor is; since then they broadcast from the right: Unsqueeze to (C, 1, ...)
    Resize and Upsample before opset 11
                            coordinates are asymmetric, and the nearest is the one before where an axis grows, the one behind where it shrinks
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from compiler.errors import ModelError

#: The opset in which operators began to broadcast from the right.
BROADCASTS = 7
#: The opset in which Resize got its coordinates.
COORDINATES = 11


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(model).graph
    return {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.output, *graph.input) if v.type.tensor_type.HasField("shape")}


def carry_over(model: onnx.ModelProto, opset: int) -> None:
    """Write the operators above so that they mean the same in newer opsets, in place."""
    if opset >= BROADCASTS or not any(node.op_type == "PRelu" and node.domain == "" for node in model.graph.node):
        return
    ranks, sizes = _ranks(model), {item.name: list(item.dims) for item in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        node = onnx.NodeProto.FromString(node.SerializeToString())
        rank = ranks.get(node.input[0], 0) if node.op_type == "PRelu" and node.domain == "" and len(node.input) == 2 else 0
        if rank > 2 and len(sizes.get(node.input[1], [1])) == 1 and sizes.get(node.input[1]) != [1]:
            slopes = f"{node.output[0]}/slopes"
            nodes.append(helper.make_node("Unsqueeze", [node.input[1]], [slopes], name=f"{node.name}/slopes", axes=list(range(1, rank - 1))))
            node.input[1] = slopes
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def resized(model: onnx.ModelProto, opset: int) -> set[str]:
    """Names of what is resized as it was before COORDINATES, for `keep_resized`."""
    old = [node for node in model.graph.node if node.op_type in ("Resize", "Upsample") and node.domain == ""] if opset < COORDINATES else []
    return {node.output[0] for node in old}


def keep_resized(model: onnx.ModelProto, names: set[str]) -> None:
    """Say of the Resize nodes that make these values how they were meant, in place. Raises ModelError where one word cannot."""
    constants = {item.name: item for item in model.graph.initializer}
    constants |= {node.output[0]: a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value"}
    for node in model.graph.node:
        if node.op_type != "Resize" or node.output[0] not in names:
            continue
        node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
        scales = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 and node.input[2] in constants else np.ones(1)
        nearest = helper.get_node_attr_value(node, "mode") == b"nearest" if any(a.name == "mode" for a in node.attribute) else True
        if nearest and scales.min() < 1 < scales.max():
            raise ModelError(
                f"node {node.name or node.output[0]} (Resize)", found=f"scales {scales.tolist()} of the nearest in an opset before {COORDINATES}",
                expected="all axes to grow or all to shrink", do=f"export it with opset {COORDINATES} or newer",
            )
        node.attribute.append(helper.make_attribute("nearest_mode", "ceil" if scales.min() < 1 else "floor"))


__all__ = ["carry_over", "keep_resized", "resized"]
