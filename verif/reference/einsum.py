"""Einsum of two dequantised operands: exact integer sums of products, or, where nothing is summed, the float32 product of the elements.

Of one operand it is a sum of elements, and otherwise moves them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from verif.reference.products.sums import wrap
from verif.reference.values import Dequantised, Plain, Sum, Value

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters(call: Any) -> tuple[list[str], str]:
    """The letters of each operand and of the result, an ellipsis written out."""
    left, arrow, right = call.attributes["equation"].decode().replace(" ", "").partition("->")
    parts = left.split(",")
    free = [c for c in _LETTERS if c not in left]
    hidden = [v.array.ndim - (0 if v.constant else 1) - len(part.replace("...", "")) for v, part in zip(call.inputs, parts, strict=True)]
    dots = "".join(free[: max(hidden)]) if "..." in left else ""
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = ("..." if dots else "") + "".join(sorted(c for c in letters if letters.count(c) == 1))
    written = [part.replace("...", dots[len(dots) - count :] if count else "") for part, count in zip(parts, hidden, strict=True)]
    return written, right.replace("...", dots)


def einsum(reduction: Callable[[Any], Value], transpose: Callable[[Any], Value]) -> Callable[[Any], Value]:
    """Return the operator, given those that sum and transpose."""

    def one(call: Any, letters: str, result: str) -> Value:
        gone = [i for i, c in enumerate(letters) if c not in result]
        value = call.value(0)
        if gone:
            node = helper.make_node("ReduceSum", [call.node.input[0], "axes"], call.node.output, name=call.node.name)
            value = reduction(type(call)(node, call.opset, [value, Plain(np.array(gone, np.int64), True)], {"keepdims": 0}))
        left = [c for c in letters if c in result]
        order = [left.index(c) for c in result]
        if order == sorted(order):
            return value
        return transpose(type(call)(helper.make_node("Transpose", ["x"], ["y"], perm=order), call.opset, [value], {"perm": order}))

    def operator(call: Any) -> Value:
        operands, result = _letters(call)
        if any(len(set(part)) < len(part) for part in operands) or len(operands) > 2:
            raise call.refuse(f"the equation {call.attributes['equation'].decode()}")
        if len(operands) == 1:
            return one(call, operands[0], result)
        a, b = call.value(0), call.value(1)
        sample = next(c for c in _LETTERS if c not in "".join(operands))
        names = [part if v.constant else sample + part for part, v in zip(operands, (a, b), strict=True)]
        equation = f"{names[0]},{names[1]}->{sample}{result}"
        if set(operands[0]) | set(operands[1]) == set(result):
            return Plain(np.einsum(equation, a.real(), b.real()).astype(np.float32))
        if not isinstance(a, Dequantised) or not isinstance(b, Dequantised) or (a.constant and b.constant):
            raise call.refuse("operands other than dequantised ones")
        sums = np.einsum(equation, a.centred().astype(np.float64), b.centred().astype(np.float64), optimize=True)  # below 2^53: exact
        scales = [_scale(call, v, part, result) for v, part in zip((a, b), operands, strict=True)]
        order = (scales[1], scales[0]) if a.constant else (scales[0], scales[1])  # the tensor's, then that of the weights
        scale = np.array(order[0] * order[1], np.float32)
        return Sum(wrap(sums.astype(np.int64)), scale, np.ones((), np.float32), factors=order, takes=frozenset({"number"}))

    return operator


def _scale(call: Any, value: Dequantised, letters: str, result: str) -> np.ndarray:
    """The scale of an operand, along the axis of the result that it varies on."""
    if value.scale.size == 1:
        return value.scale.reshape(()).astype(np.float32)
    axis = int(np.argmax(value.scale.shape))
    letter = letters[axis - (0 if value.constant else 1)]
    if letter not in result:
        raise call.refuse("a scale for each of the elements that are summed")
    return value.scale.reshape([-1 if c == letter else 1 for c in result]).astype(np.float32)


__all__ = ["einsum"]
