"""Along which axis constant weights get a scale a channel, and which get one for the tensor because their readers allow no other.

onnxruntime's quantiser takes one axis for each operator, whatever the operands: it fails where that axis has another number of channels than the bias.
Readers of one constant that need different axes get one each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import helper
from onnxruntime.quantization import QuantType

__all__ = ["Shared", "one_axis_each", "weight_scales"]


@dataclass(frozen=True)
class Shared:
    """Weights that keep one scale for the tensor, and why."""

    tensor: str
    why: str


#: In place of an axis: the quantiser takes the operand as it takes any other, or finds its only axis.
NOT_WEIGHTS = -1
#: Operators whose constant scale and shift onnxruntime quantises a channel; in more dimensions than one it cannot.
ROWS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization")


def _axis(node: onnx.NodeProto, index: int, rank: int) -> tuple[int | None, str]:
    """The axis of the output channels of a constant at input ``index``; None, with the reason, where a scale a channel is impossible."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    match node.op_type, index:
        case "Conv", 1:
            return 0, ""
        case "ConvTranspose", 1:
            return (1, "") if given.get("group", 1) == 1 else (None, f"{node.name} is a transposed convolution in {given['group']} groups")
        case "Gemm", 1:
            return (0 if given.get("transB") else 1), ""
        case "MatMul", 1:
            return (rank - 1, "") if rank > 1 else (None, f"{node.name} multiplies by a vector")
        case "MatMul", 0:
            return (rank - 2, "") if rank > 1 else (None, f"{node.name} multiplies by a vector")
    if node.op_type in ROWS and index > 0:
        return (NOT_WEIGHTS, "") if rank == 1 else (None, f"{node.name} scales in {rank} dimensions")
    return NOT_WEIGHTS, ""


#: The axis that onnxruntime takes where nobody says otherwise.
USUAL = {("Conv", 1): 0, ("ConvTranspose", 1): 1, ("MatMul", 0): 1, ("MatMul", 1): 1}


def _reads(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, int, int | None, str]]:
    """Each read of a constant as weights: node, index of the input, axis of the output channels or None, why."""
    ranks = {item.name: len(item.dims) for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in ranks:
                axis, why = _axis(node, index, ranks[name])
                if axis != NOT_WEIGHTS:
                    yield node, index, axis, why


def one_axis_each(model: onnx.ModelProto) -> None:
    """Copy constants that are read as weights along several axes, one for each axis, in place."""
    first: dict[str, int | None] = {}
    constants = {item.name: item for item in model.graph.initializer}
    copies: dict[str, onnx.TensorProto] = {}
    for node, index, axis, _ in list(_reads(model)):
        name = node.input[index]
        if first.setdefault(name, axis) == axis:
            continue
        other = f"{name}/axis_{axis}"
        copies[other] = onnx.TensorProto.FromString(constants[name].SerializeToString())
        copies[other].name = other
        node.input[index] = other
    model.graph.initializer.extend(copies.values())


def weight_scales(model: onnx.ModelProto) -> tuple[dict[str, list[dict[str, object]]], list[Shared]]:
    """Return onnxruntime's TensorQuantOverrides for the weights of a float network, and those that have one scale."""
    overrides: dict[str, list[dict[str, object]]] = {}
    shared: dict[str, Shared] = {}
    for node, index, axis, why in _reads(model):
        name = node.input[index]
        if axis is None:
            shared[name] = Shared(name, why)
            overrides[name] = [{"quant_type": QuantType.QInt8}]
        elif node.op_type != "Gemm" and USUAL[node.op_type, index] != axis:
            overrides[name] = [{"quant_type": QuantType.QInt8, "axis": axis}]
    return overrides, list(shared.values())
