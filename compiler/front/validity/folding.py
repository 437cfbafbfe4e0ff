"""Results of operators on constants, by onnx.reference, whose size is bounded before they are computed."""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from compiler.front.validity.facts import elements

#: Most elements of a result, and of one that onnx.reference computes element by element, in Python.
MOST_FOLDED, MOST_SLOW = 1 << 24, 1 << 16
#: Operators that numpy computes as a whole.
QUICK = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "Cast", "CastLike", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "Cos", "CumSum",
    "Div", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN",
    "Less", "LessOrEqual", "Log", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad", "Pow", "Range", "Reciprocal",
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    "Relu", "Reshape", "Round", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
})  # fmt: skip


class OneHot(OpRun):
    """One of two numbers. onnx.reference (1.23) computes 0 or 1 times their difference, plus the first: rounded, and nothing where they are far apart."""

    op_domain = ""

    def _run(self, indices, depth, values, axis=-1):  # type: ignore[override, no-untyped-def]
        rank, size = indices.ndim + 1, int(np.reshape(depth, -1)[0])
        at = np.expand_dims(np.asarray(indices, np.int64), axis % rank)
        places = np.arange(size).reshape([-1 if number == axis % rank else 1 for number in range(rank)])
        return (np.where(places == np.where(at < 0, at + size, at), values[1], values[0]).astype(values.dtype),)


class FoldError(ValueError):
    """Constants that onnx.reference cannot compute, or a result that nobody should."""


def require_small(node: onnx.NodeProto, shapes: list[tuple[int, ...] | None], inputs: int) -> None:
    """Refuse to compute results of these shapes (None where not known) of inputs of so many elements together. Raises FoldError."""
    most = max(MOST_FOLDED, inputs) if node.op_type in QUICK else MOST_SLOW
    for shape in shapes:
        if shape is not None and elements(shape) > most:
            raise FoldError(f"a result of {elements(shape)} elements, more than {most}")
    if node.op_type not in QUICK and inputs > most:
        raise FoldError(f"{inputs} elements of inputs, more than {most}")


def evaluate(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """Return the outputs of one node for constant inputs, by onnx.reference. It raises what it likes where it cannot."""
    feed = {name: array for name, array in zip(node.input, arrays, strict=True) if name and array is not None}
    values = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in feed.items()]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", values, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in ReferenceEvaluator(model, new_ops=[OneHot]).run(None, feed)]


def computed(node: onnx.NodeProto, opset: int, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """Return the outputs of one node for constant inputs: see `evaluate`. Raises FoldError, with its words, where it cannot."""
    try:
        return evaluate(node, opset, arrays)
    except Exception as error:  # what a foreign evaluator raises has no common base
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise FoldError(f"constants that onnx's reference cannot compute ({type(error).__name__}{': ' + reason if reason else ''})") from None


__all__ = ["FoldError", "computed", "evaluate", "require_small"]
