"""Rule: Add, Sub, Mul, Min or Max of two dequantised tensors, or of one and a constant: an Add or a Binary node.

    a - b                          an Add with a negative scale
    a and a float32 constant       a constant of ones with a scale a channel

float32(a) op float32(b), rounded, over the scale of the result; the order of the operands is ONNX's but for the tensor, which comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.front.constraints import finite_constant, usable_scale
from compiler.front.floats.formula import joint_shape, numbers_of, scalar_of
from compiler.front.state.broadcast import Seen, common_view, views
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Operation, Quantisation, Real, RealConst
from compiler.ir.elementwise import Binary
from compiler.ir.network import RANGES, Add, Conv, Shape4

KINDS = {"ADD": "add", "MAX": "max", "MIN": "min", "MUL": "mul"}


@dataclass(frozen=True)
class Leaf:
    """An operand and the sign it is taken with."""

    value: Real | RealConst | Const
    sign: float = 1.0


def binary(value: Operation, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """The rule."""
    a, b, kind = value.a, value.b, value.kind
    if not all(isinstance(part, Real | RealConst | Const) for part in (a, b)) or not (isinstance(a, Real) or isinstance(b, Real)):
        return None
    if kind == "SUB":
        return emit_pair(value.node, "ADD", Leaf(a), Leaf(b, -1.0), target, origin)  # type: ignore[arg-type]
    return emit_pair(value.node, kind, Leaf(a), Leaf(b), target, origin) if kind in KINDS else None  # type: ignore[arg-type]


def emit_pair(node: OnnxNode, kind: str, a: Leaf, b: Leaf, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """Add the node of `kind` of two operands, one of which is a tensor; return its result. None where no view fits both."""
    if not isinstance(a.value, Real):
        a, b = b, a
    assert isinstance(a.value, Real)
    shape, current = joint_shape(node, [a.value.shape, b.value.shape]), node.builder.tensors[a.value.tensor].shape
    scales, numbers = np.array([a.sign * a.value.scale], np.float32), b.value
    if isinstance(numbers, Real):
        if kind == "ADD" and a.sign == b.sign == 1 and a.value.shape == numbers.shape:
            return _add(node, a.value, numbers, target, origin)
        seen = common_view(shape, [(a.value.shape, current), (numbers.shape, node.builder.tensors[numbers.tensor].shape)])
        attrs = Binary(KINDS[kind], scales, a.value.zero, b.sign * numbers.scale, numbers.zero, 1.0, 0)
        return None if seen is None else _emit(node, seen, attrs, [a.value, numbers], target, origin)
    if isinstance(numbers, RealConst) and numbers.array.dtype in (np.int8, np.uint8) and numbers.scale.size == numbers.zero.size == 1:
        scale = float(numbers.scale.flat[0])
        node.require(usable_scale, numbers.scale, found=f"{scale}")
        seen = common_view(shape, [(a.value.shape, current), (numbers.shape, None)])
        if seen is None:
            return None
        array = seen.constant(1, numbers.array, shape)
        attrs = Binary(KINDS[kind], scales, a.value.zero, b.sign * scale, int(numbers.zero.flat[0]), 1.0, 0, constant=array)
        return _emit(node, seen, attrs, [a.value], target, origin)
    return _float_constant(node, kind, a, numbers_of(numbers) * np.float32(b.sign), target, origin)


def _float_constant(node: OnnxNode, kind: str, tensor: Leaf, numbers: np.ndarray, target: Quantisation, origin: tuple[str, ...]) -> str | None:
    """A constant of float32 numbers, one a channel: operand a is a constant of ones, its scales are the numbers."""
    value = tensor.value
    assert isinstance(value, Real)
    shape = joint_shape(node, [value.shape, numbers.shape])
    fitting = [pair for pair in views(shape, [(value.shape, node.builder.tensors[value.tensor].shape), (numbers.shape, None)])
               if pair[1].operands[1] == (1, pair[1].out[1], 1, 1)]  # fmt: skip
    name = next((node.name_of(i) for i, v in enumerate(node.values) if isinstance(v, Const | RealConst) and scalar_of(v) is None), "a constant")
    node.require(finite_constant, numbers, found=f"a number that is infinite in {name}")
    if not fitting:
        return None
    seen = min(fitting, key=lambda pair: pair[0])[1]
    ones = np.ones((1, seen.out[1], 1, 1), np.int8)
    attrs = Binary(KINDS[kind], seen.constant(1, numbers, shape).reshape(-1), 0, tensor.sign * value.scale, value.zero, 1.0, 0, constant=ones,
                   constant_first=True)  # fmt: skip
    return _emit(node, seen, attrs, [value], target, origin)


def _emit(node: OnnxNode, seen: Seen, attrs: Binary, operands: list[Real], target: Quantisation, origin: tuple[str, ...]) -> str:
    """Add the node; `operands` are its tensors, `seen` how they and the result are seen, in this order."""
    builder = node.builder
    names = tuple(_tensor(node, value, seen.operands[i], seen.out[1], origin) for i, value in enumerate(operands))
    out = builder.tensor(target.name, seen.out, target.dtype, target.scale, target.zero)
    attrs = replace(attrs, y_scale=target.scale, y_zero=target.zero, y_low=target.low, y_high=target.high)
    return builder.node(node.label, attrs, names, out, origin)


def _tensor(node: OnnxNode, value: Real, view: Shape4, channels: int, origin: tuple[str, ...]) -> str:
    """Return a tensor operand under its view; one channel for many is repeated by a convolution with weights of one, which is exact."""
    builder = node.builder
    tensor = builder.view(value.tensor, view)
    if view[1] == channels:
        return tensor
    attrs = Conv(
        weight=np.ones((channels, 1, 1, 1), np.int8), bias=None, x_scale=value.scale, x_zero=value.zero, w_scale=np.ones(1, np.float32),
        w_zero=0, y_scale=value.scale, y_zero=value.zero, y_low=RANGES[value.dtype][0], y_high=RANGES[value.dtype][1],
    )  # fmt: skip
    out = builder.tensor(f"{value.tensor}/repeated", (view[0], channels, *view[2:]), value.dtype, value.scale, value.zero)
    return builder.node(f"repeat {out}", attrs, (tensor,), out, origin)


def _add(node: OnnxNode, a: Real, b: Real, target: Quantisation, origin: tuple[str, ...]) -> str:
    """Two tensors of one shape, on the view of the second."""
    builder = node.builder
    view = builder.tensors[b.tensor].shape
    tensors = (builder.view(a.tensor, view), b.tensor)
    attrs = Add(a.scale, a.zero, b.scale, b.zero, target.scale, target.zero, target.low, target.high)
    return builder.node(node.label, attrs, tensors, builder.tensor(target.name, view, target.dtype, target.scale, target.zero), origin)


__all__ = ["Leaf", "binary", "emit_pair"]
