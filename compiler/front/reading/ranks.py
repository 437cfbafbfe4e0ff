"""Ranks of values, before a file is known to be valid."""

from __future__ import annotations

from contextlib import suppress

import onnx
from onnx import shape_inference


def ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Rank of each value of the main graph, by name, as far as onnx infers them.

    What the file says of its outputs is left out: whoever judges the model says where that contradicts the nodes.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for value in bare.graph.output:
        value.ClearField("type")
    with suppress(shape_inference.InferenceError, RuntimeError, ValueError):  # said by whoever judges the model
        bare = shape_inference.infer_shapes(bare)
    graph = bare.graph
    return {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.output, *graph.input) if v.type.tensor_type.HasField("shape")}


__all__ = ["ranks"]
