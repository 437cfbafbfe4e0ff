"""Networks of 16-bit floats read as float32: each float16 and bfloat16 number is a float32 number.

before:  float16 x -> QuantizeLinear(float16 scale) -> DequantizeLinear -> Conv -> .. -> float16 y
after:   float32 x -> QuantizeLinear(float32 scale) -> DequantizeLinear -> Conv -> .. -> float32 y

Constants keep their values. What is computed between them is not rounded to 16 bits any more: quantised operators are integer arithmetic with
float32 scales, and onnxruntime's host kernels compute in float32 too and round at the end of each node.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from compiler.front.rewrite.subgraphs import subgraphs

Kinds = Mapping[int, str]
#: Types read as float32, and their names in messages.
HALVES: Kinds = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
#: Attributes that are a type: of Cast and others `to`, of EyeLike and others `dtype`, of QuantizeLinear and DequantizeLinear, of LayerNormalization.
_TYPES = ("to", "dtype", "output_dtype", "precision", "stash_type", "softmax_precision")


def _tensor(tensor: onnx.TensorProto, kinds: Kinds) -> set[str]:
    if tensor.data_type not in kinds:
        return set()
    found = {kinds[tensor.data_type]}
    with np.errstate(over="ignore"):  # of float64 alone
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    return found


def _type(kind: onnx.TypeProto, kinds: Kinds) -> set[str]:
    """Widen the elements of a tensor, or of what a sequence or optional value holds."""
    match kind.WhichOneof("value"):
        case "tensor_type" if kind.tensor_type.elem_type in kinds:
            found = {kinds[kind.tensor_type.elem_type]}
            kind.tensor_type.elem_type = TensorProto.FLOAT
            return found
        case "sequence_type":
            return _type(kind.sequence_type.elem_type, kinds)
        case "optional_type":
            return _type(kind.optional_type.elem_type, kinds)
    return set()


def _node(node: onnx.NodeProto, kinds: Kinds) -> set[str]:
    found = set()
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.INT and attribute.name in _TYPES and attribute.i in kinds:
            found.add(kinds[attribute.i])
            attribute.i = TensorProto.FLOAT
        for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
            found |= _tensor(tensor, kinds)
        for kind in (*attribute.type_protos, *([attribute.tp] if attribute.HasField("tp") else [])):
            found |= _type(kind, kinds)
    return found


def widen(model: onnx.ModelProto, kinds: Kinds = HALVES) -> tuple[str, ...]:
    """Read the floats of some types as float32, in place; return which types there were. Raises ValueError for a tensor whose data do not fit its shape."""
    found: set[str] = set()
    for graph in subgraphs(model.graph):
        for tensor in graph.initializer:
            found |= _tensor(tensor, kinds)
        for sparse in graph.sparse_initializer:
            found |= _tensor(sparse.values, kinds)
        for value in (*graph.input, *graph.output, *graph.value_info):
            found |= _type(value.type, kinds)
        for node in graph.node:
            found |= _node(node, kinds)
    for function in model.functions:
        for node in function.node:
            found |= _node(node, kinds)
    return tuple(sorted(found))


__all__ = ["HALVES", "widen"]
