"""Types and shapes of onnxruntime's operators (com.microsoft), which onnx does not infer: those of the ONNX operator that each quantises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, shape_inference

from compiler.front.validity.facts import Facts

if TYPE_CHECKING:
    from compiler.front.validity.infer import Inference

#: Operator -> the one that it quantises, and which of its inputs that one has.
_SAME: dict[str, tuple[str, tuple[int, ...]]] = {
    "DequantizeLinear": ("Identity", (0,)), "QuantizeLinear": ("Identity", (0,)), "QLinearAdd": ("Add", (0, 3)), "QLinearMul": ("Mul", (0, 3)),
    "QGemm": ("Gemm", (0, 3)), "QLinearAveragePool": ("AveragePool", (0,)), "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearLeakyRelu": ("Identity", (0,)), "QLinearSigmoid": ("Identity", (0,)), "QLinearSoftmax": ("Softmax", (0,)),
}  # fmt: skip
#: Attributes that the other has too.
_KEPT = ("axis", "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides", "transA", "transB")
#: The first input that the result's element type is that of; without it the type is that of the first.
_RESULT_ZERO = {"QuantizeLinear": 2, "QGemm": 8}


def _counterpart(node: onnx.NodeProto) -> onnx.NodeProto | None:
    if node.op_type == "QLinearConcat":
        operator, inputs = "Concat", [node.input[index] for index in range(2, len(node.input), 3)]
    elif node.op_type in _SAME:
        operator, places = _SAME[node.op_type]
        inputs = [node.input[index] for index in places if index < len(node.input)]
    else:
        return None
    other = helper.make_node(operator, inputs, list(node.output), name=node.name)
    if operator != "Identity":
        other.attribute.extend(attribute for attribute in node.attribute if attribute.name in _KEPT)
    return other


def _packed_product(facts: Facts, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """The type of a MatMulNBits: that of its activation, with N columns."""
    node, depth, columns = facts.node, facts.attributes.get("K"), facts.attributes.get("N")
    source = types.get(node.input[0])
    if source is None or not source.tensor_type.shape.dim or columns is None:
        return {}
    last = source.tensor_type.shape.dim[-1].dim_value
    if last and last != depth:
        facts.wrong(f"K = {depth} for an activation of {last} columns", "as many")
    result = onnx.TypeProto.FromString(source.SerializeToString())
    result.tensor_type.shape.dim[-1].dim_value = columns
    return {node.output[0]: result}


def standard(facts: Facts, types: Mapping[str, onnx.TypeProto], opset: int, inference: Inference) -> dict[str, onnx.TypeProto]:
    """Return the types of a node's outputs by name; none for an operator that is not known here. Raises ModelError."""
    node = facts.node
    if node.op_type == "MatMulNBits":
        return _packed_product(facts, types)
    other = _counterpart(node)
    if other is None or any(not types[name].HasField("tensor_type") if name in types else True for name in other.input) or len(node.output) != 1:
        return {}
    if facts.attributes.get("channels_last"):
        return {}
    floats = {}
    for name in other.input:
        floats[name] = onnx.TypeProto.FromString(types[name].SerializeToString())
        floats[name].tensor_type.elem_type = TensorProto.FLOAT
    try:
        strict = not facts.attributes.get("ceil_mode")
        found = inference.types(other, [helper.make_opsetid("", opset)], floats, {}, strict=strict)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:  # nobody else infers these
        text = str(error).strip().splitlines()[0].rsplit("Error] ", 1)[-1].rstrip(".")
        facts.wrong(f"what onnx refuses of {other.op_type} ({text})", f"operands and attributes that {other.op_type} may have")
    element = types[other.input[0]].tensor_type.elem_type
    if node.op_type == "DequantizeLinear":
        element = TensorProto.FLOAT
    elif node.op_type in _RESULT_ZERO:
        zero = node.input[_RESULT_ZERO[node.op_type]] if len(node.input) > _RESULT_ZERO[node.op_type] else ""
        element = types[zero].tensor_type.elem_type if zero in types else TensorProto.UINT8 if node.op_type == "QuantizeLinear" else TensorProto.FLOAT
    result = {}
    for name, kind in found.items():
        result[name] = onnx.TypeProto.FromString(kind.SerializeToString())
        result[name].tensor_type.elem_type = element
    return result


__all__ = ["standard"]
