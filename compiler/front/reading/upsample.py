"""Upsample, and Resize of opset 10, which onnx's version converter takes over with the coordinates that Resize has by default since opset 11.

    before   opset 10 and older: element y of the result is at y / scale, linear or nearest by rounding down, or up along axes that shrink
    after    Resize with coordinate_transformation_mode asymmetric and nearest_mode floor or ceil: two nodes where axes grow and axes shrink

Which scales shrink is known where they are a constant; computed ones are taken to grow.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

#: The opset in which Resize is converted with attributes that are set on it, and Upsample is no more.
AT = 10


def _scales(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The constant of this name; empty where it is computed."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type == "Constant" and name in node.output:
            return next((numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), np.zeros(0))
    return np.zeros(0)


def _spelled(node: onnx.NodeProto, scales: np.ndarray, model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The node with attributes; two of them where some axes grow and some shrink."""
    shrink, grow = np.minimum(scales, 1).astype(np.float32), np.maximum(scales, 1).astype(np.float32)
    made = []
    for part, rounding in ((grow, "floor"), (shrink, "ceil")):
        if (part == 1).all() and not (rounding == "floor" and (shrink == 1).all()):
            continue
        one = onnx.NodeProto.FromString(node.SerializeToString())
        one.attribute.extend([helper.make_attribute("coordinate_transformation_mode", "asymmetric"), helper.make_attribute("nearest_mode", rounding)])
        if scales.size and not np.array_equal(part, scales):
            name = f"{node.output[0]}/{rounding}"
            model.graph.initializer.append(numpy_helper.from_array(part, name))
            one.input[1] = name
        made.append(one)
    if len(made) > 1:
        between = f"{node.output[0]}/grown"
        made[0].output[0] = made[1].input[0] = between
        made[0].name = f"{node.name}/grown" if node.name else ""
    return made


def spell_resizes(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a model of an opset up to AT in opset AT, its Resizes with attributes; another as it is. Raises what onnx's converter raises."""
    if opset > AT or not any(node.op_type in ("Upsample", "Resize") and node.domain in ("", "ai.onnx") for node in model.graph.node):
        return model
    model = model if opset == AT else version_converter.convert_version(model, AT)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        resizes = node.op_type == "Resize" and node.domain in ("", "ai.onnx")
        nodes.extend(_spelled(node, _scales(model, node.input[1]), model) if resizes else [node])
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


__all__ = ["spell_resizes"]
