"""By how many steps onnxruntime may differ from the definition: an operator's own result, given equal operands. docs/verification.md has the table.

A value between two quantised tensors is held to the sum of the bounds of the operators on the way. Operators that are not listed may not differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """At most so many steps of the quantised result, and why."""

    steps: int
    why: str


_FLOAT_PRODUCT = Bound(1, "float32 kernels where there is no integer one for the types: sums in another order")
_FLOAT = Bound(1, "float32 results on the edge between two steps: other order of operations, ratios of scales")
_APPROXIMATED = Bound(1, "float32 functions approximated in another way")
_HALVES = Bound(1, "exact halves: it adds the zero point before it rounds, and sums in float32")
_NORMALISED = Bound(1, "other order of the float32 operations")
#: Operator -> its bound; those of com.microsoft by name.
BOUNDS: dict[str, Bound] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"), _FLOAT_PRODUCT),
    **dict.fromkeys(("Add", "Mul", "Pow", "PRelu", "QLinearAdd", "QLinearMul", "Sub", "Sum"), _FLOAT),
    "MatMulNBits": Bound(1, "float32 sums in another order; of accuracy_level 4 it takes the activation for other integers, a scale a block"),
    "Mean": Bound(1, "the sum is multiplied by float32(1 / n) here, divided there"),
    "Div": Bound(1, "a computed divisor's reciprocal is rounded; 0 / 0 is the zero point here and NaN there, and does not count"),
    "BatchNormalization": Bound(1, "the addend is rounded to 1/255 of a step"),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "QLinearAveragePool", "QLinearGlobalAveragePool", "ReduceL1", "ReduceMean", "ReduceSum"), _HALVES),
    "Resize": Bound(1, "interpolation: exact halves, and weights in float32"),
    "Softmax": Bound(1, "exponentials of 16 or 24 bits here"),
    "LogSoftmax": Bound(1, "float32 functions approximated in another way"),
    "QLinearSoftmax": Bound(1, "a kernel of its own, which rounds down"),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization", "RMSNormalization"), _NORMALISED),
    **dict.fromkeys((
        "Asinh", "Atan", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "QLinearLeakyRelu",
        "QLinearSigmoid", "Reciprocal", "Selu", "Sigmoid", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh",
    ), _APPROXIMATED),
}  # fmt: skip
#: Operators that may not differ.
EXACT = frozenset({
    "Abs", "And", "ArgMax", "Cast", "Ceil", "CenterCropPad", "Clip", "Compress", "Concat", "ConvInteger", "DepthToSpace", "DequantizeLinear", "Dropout",
    "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "GlobalMaxPool", "Greater", "GreaterOrEqual", "Identity", "Less",
    "LessOrEqual", "MatMulInteger", "Max", "MaxPool", "Min", "Neg", "Not", "Or", "Pad", "QGemm", "QLinearConcat", "QLinearConv", "QLinearMatMul",
    "QuantizeLinear", "ReduceMax", "Relu", "Reshape", "ReverseSequence", "Round", "ScatterElements", "ScatterND", "Shape", "Shrink", "Sign", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "ThresholdedRelu", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
})  # fmt: skip
#: A float function at a network's end, which nothing quantises: by this part of its largest number.
FUNCTION = 2.0**-16
#: onnxruntime merges two roundings into one and joins operators where no one asks for what lies between, and what it lost so grows on the way to an
#: output: by at most so many steps may its outputs differ from its own where it keeps every quantised tensor.
FUSED_STEPS = 16


def allowed(operators: Iterable[str]) -> int:
    """Return how many steps a value may differ by that is computed by these operators from equal quantised tensors.

    >>> allowed(["DequantizeLinear", "Conv", "Relu", "QuantizeLinear"]), allowed(["MaxPool"]), allowed(["Mul", "Add"])
    (1, 0, 2)
    """
    return sum(BOUNDS[operator].steps for operator in operators if operator in BOUNDS)


def bounds_markdown() -> str:
    """Return the table as Markdown: operators of one cause on one line."""
    causes: dict[Bound, list[str]] = {}
    for operator, bound in BOUNDS.items():
        causes.setdefault(bound, []).append(operator)
    rows = [f"| {', '.join(operators)} | {bound.steps} | {bound.why} |" for bound, operators in causes.items()]
    rows.append(f"| {', '.join(sorted(EXACT))} | 0 | |")
    return "\n".join(["| operators | steps | cause |", "|---|---|---|", *rows]) + "\n"


__all__ = ["BOUNDS", "EXACT", "FUNCTION", "FUSED_STEPS", "Bound", "allowed", "bounds_markdown"]
