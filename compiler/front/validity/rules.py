"""The rules of all operators by name: functions from facts that refuse what ONNX's text forbids."""

from __future__ import annotations

from collections.abc import Callable

from compiler.front.state.schema import misuse
from compiler.front.validity import axes, movement, windows
from compiler.front.validity.facts import Facts

Rule = Callable[[Facts], None]

RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("Conv", "ConvInteger"), (windows.convolution(1, 2),)), "QLinearConv": (windows.convolution(3, 8),),
    "ConvTranspose": (windows.transposed_convolution,),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool", "QLinearAveragePool"), (windows.pool,)),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "LRN", "QLinearGlobalAveragePool"), (windows.images,)),
    "BatchNormalization": (windows.a_channel(1, 2, 3, 4),), "InstanceNormalization": (windows.a_channel(1, 2),),
    "GroupNormalization": (windows.groups,), "LayerNormalization": (axes.one_axis, axes.normalised), "RMSNormalization": (axes.one_axis, axes.normalised),
    "DepthToSpace": (windows.blocks,), "SpaceToDepth": (windows.blocks,),
    **dict.fromkeys(
        ("ArgMax", "ArgMin", "Hardmax", "LogSoftmax", "LpNormalization", "QLinearSoftmax", "Softmax", "TopK", "Unique"), (axes.one_axis,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
                     "ReduceSumSquare"), (axes.lists(1), axes.reduction)),
    "DequantizeLinear": (axes.quantisation,), "QuantizeLinear": (axes.quantisation,), "Flatten": (axes.flatten,), "Transpose": (axes.transpose,),
    "Squeeze": (axes.lists(1, or_one=True), axes.squeeze), "Unsqueeze": (axes.lists(1, or_one=True), axes.unsqueeze), "PRelu": (axes.slope,),
    "Clip": (axes.scalars(1, 2),), "CumSum": (axes.cumulative,), "Trilu": (axes.scalars(1), axes.matrices),
    "Reshape": (axes.lists(1), movement.reshape), "Expand": (axes.lists(1), movement.expand), "Tile": (axes.lists(1), movement.tile),
    "Concat": (movement.concat,), "QLinearConcat": (movement.concat,), "Split": (axes.lists(1), movement.split),
    "Slice": (axes.lists(1, 2, 3, 4), movement.slice_), "Pad": (axes.lists(1, 3), movement.pad),
    "Gather": (axes.one_axis, movement.gather), "GatherElements": (axes.one_axis, movement.elements_along), "GatherND": (movement.gather_nd,),
    "ScatterElements": (axes.one_axis, movement.elements_along), "ScatterND": (movement.scatter_nd,), "Compress": (movement.compress,),
    "ReverseSequence": (movement.reverse_sequence,), "CenterCropPad": (axes.lists(1), movement.center_crop_pad),
    "Resize": (axes.lists(1, 2, 3), movement.resize), "ConstantOfShape": (axes.lists(0), movement.constant_of_shape),
    "Range": (axes.scalars(0, 1, 2), movement.range_),
}  # fmt: skip


def judge_node(facts: Facts) -> None:
    """Raise ModelError for the first rule of its operator that a node breaks; what is no use of the operator at all is said elsewhere."""
    if facts.node.domain in ("", "ai.onnx", "com.microsoft") and misuse(facts.node, facts.opset) is None:
        for rule in RULES.get(facts.node.op_type, ()):
            rule(facts)


__all__ = ["RULES", "judge_node"]
