"""A LayerNormalization that an exporter wrote out becomes the operator before a float network is quantised.

onnxruntime's quantiser knows the operator, and of its parts Add and Mul only: it would quantise the variance, the radicand and every product.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper, version_converter

from compiler.front.reading.clean import opset_of
from compiler.front.rewrite.restore import restored
from compiler.front.rewrite.templates import layer_normalization

__all__ = ["with_normalisations"]

#: The opset that has the operator first.
FIRST_OPSET = 17


def _full_scales(model: onnx.ModelProto) -> None:
    """Give a scale of one number as many as there are channels, in place: the quantiser's axis has to exist."""
    graph = model.graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.input)}
    scalars = {item.name: item for item in graph.initializer if not item.dims}
    for node in graph.node:
        scale = scalars.get(node.input[1]) if node.op_type == "LayerNormalization" else None
        if scale is not None and shapes.get(node.input[0]):
            name = f"{node.output[0]}/scale"
            graph.initializer.append(numpy_helper.from_array(np.full(shapes[node.input[0]][-1:], numpy_helper.to_array(scale)), name))
            node.input[1] = name


def with_normalisations(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the float network with these operators; as it is where there are none, or onnx cannot convert it to their opset."""
    if restored(model, [layer_normalization.OF_OLD]) is model:
        return model
    if opset_of(model, "model") < FIRST_OPSET:
        try:
            model = onnx.shape_inference.infer_shapes(version_converter.convert_version(model, FIRST_OPSET), data_prop=True)
        except (version_converter.ConvertError, RuntimeError, ValueError):
            return model
    made = restored(model, [layer_normalization.OF_OLD])
    if made is not model:
        _full_scales(made)
    return onnx.shape_inference.infer_shapes(made)
