"""Operators that only change shapes: they move no element in row-major order, so a view of the tensor is all they need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compiler.front.constraints import same_elements
from compiler.front.floats.formula import reshaped
from compiler.front.floats.lower import lower
from compiler.front.operators.movement.movement import transposed
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, HostFloat, Operation, Pending, Quant, RealConst, Shape, Unknown, Value


def _target_shape(node: OnnxNode, shape: Shape) -> Shape:
    if node.op == "Flatten":
        axis = node.attribute("axis", 1)
        axis = axis + len(shape) if axis < 0 else axis
        return int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))
    if node.op == "Identity":
        return shape
    parameter = node.constant(1)
    axes = [] if parameter is None else [int(a) for a in parameter.reshape(-1)]
    if node.op == "Squeeze":
        gone = {a % len(shape) for a in axes} if axes else {i for i, d in enumerate(shape) if d == 1}
        node.require(same_elements, int(np.prod([shape[i] for i in gone])), 1, found=f"axes {sorted(gone)} of shape {shape}")
        return tuple(d for i, d in enumerate(shape) if i not in gone)
    if node.op == "Unsqueeze":
        rank = len(shape) + len(axes)
        new = {a % rank for a in axes}
        rest = iter(shape)
        return tuple(1 if i in new else next(rest) for i in range(rank))
    target = [shape[i] if d == 0 and not node.attribute("allowzero", 0) else d for i, d in enumerate(axes)]
    if -1 in target:
        known = int(np.prod([d for d in target if d != -1]))
        target[target.index(-1)] = int(np.prod(shape)) // max(known, 1)
    node.require(same_elements, int(np.prod(target)), int(np.prod(shape)), found=f"{shape} to {tuple(axes)}")
    return tuple(target)


def _with_shape(value: Value, shape: Shape) -> Value:
    match value:
        case Const():
            return Const(value.array.reshape(shape))
        case RealConst():
            return value.moved(lambda array: array.reshape(shape))
        case Unknown():
            return value
        case HostFloat() | Quant():
            return replace(value, shape=shape)
    seen = reshaped(value, shape)
    if seen is None:
        assert isinstance(value, Operation)
        return Pending(shape, value.origin, lambda target, origin: lower(value.node.builder, value, target, origin))
    return seen


def reshape(node: OnnxNode) -> list[Value]:
    """Flatten, Identity, Reshape, Squeeze, Unsqueeze."""
    value = node.value(0)
    assert value is not None
    if node.op == "Identity" or isinstance(value, Unknown):
        return [value]
    assert value.shape is not None
    return [_with_shape(value, _target_shape(node, value.shape))]


def transpose(node: OnnxNode) -> list[Value]:
    """Transpose: where it moves dimensions of size 1 only no element changes its place."""
    value = node.value(0)
    assert value is not None
    if isinstance(value, Unknown):
        return [value]
    assert value.shape is not None
    rank = len(value.shape)
    permutation = list(node.attribute("perm", range(rank - 1, -1, -1)))
    if isinstance(value, Const):
        return [Const(value.array.transpose(permutation))]
    if isinstance(value, RealConst):
        return [value.moved(lambda array: array.transpose(permutation))]
    moving = [p for p in permutation if value.shape[p] != 1]
    if moving != sorted(moving):
        return [transposed(node, permutation)]
    return [_with_shape(value, tuple(value.shape[p] for p in permutation))]


def shape_of(node: OnnxNode) -> list[Value]:
    """Shape: a constant, as every dimension is known."""
    value = node.value(0)
    if value is None or value.shape is None:
        return [Unknown()]
    return [Const(np.array(value.shape[node.attribute("start", 0) : node.attribute("end", None)], np.int64))]
