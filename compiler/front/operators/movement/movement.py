"""Operators that move elements: each evaluates itself, with numpy, on an array of element numbers; the result is the index of a `Move`.

Movement needs no arithmetic: where all operands have one quantisation the result has it too. Where they differ, or a constant is no
value of that quantisation, the result waits for its QuantizeLinear, and each operand becomes a table of 256 values before it moves:
y = Q(DQ(x)), exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from compiler.front.constraints import elements_left, finite_values, fits_dimensions, known_mode, movable_operand, reflection_fits
from compiler.front.floats.integers import quantise, table_bytes
from compiler.front.floats.lower import lower
from compiler.front.floats.scattered import Scattered, channels_of, rejoined
from compiler.front.operators.products.convolution import constant_operand, real_operand, result_target
from compiler.front.state.builder import Builder, default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, HostFloat, Operation, Pending, Quant, Quantisation, Real, RealConst, Table, Unquantised, Value
from compiler.ir.network import NUMPY_TYPES, RANGES, EdgeInput, Move, Unary

#: A value to move, and the element numbers it has in the index: an array of its ONNX shape.
Part = tuple[Value, np.ndarray]


def numbered(values: Sequence[Value]) -> list[np.ndarray]:
    """Return the element numbers of each value, an array of its ONNX shape: tensors count on from 0, constants down from -1."""
    arrays, tensors, constants = [], 0, 0
    for value in values:
        shape = value.shape or ()
        size = int(np.prod(shape))
        if isinstance(value, Const | RealConst):
            arrays.append((-1 - constants - np.arange(size)).reshape(shape))
            constants += size
        else:
            arrays.append((tensors + np.arange(size)).reshape(shape))
            tensors += size
    return arrays


def moved(node: OnnxNode, values: Sequence[Value], index: np.ndarray, *, name: str = "") -> Value:
    """Return the elements `index` (an array of the result's ONNX shape) of values numbered by `numbered`. Refuses what has no quantisation."""
    name = name or node.output
    for number, value in enumerate(values):
        node.require(movable_operand, value, found=node.describe(number) if number < len(node.values) else type(value).__name__)
    node.require(elements_left, index.size, found=f"a result of shape {index.shape}")
    tensors, index = rejoined(node.builder, [v for v in values if not isinstance(v, Const | RealConst)], index)
    constants = [v for v in values if isinstance(v, Const | RealConst)]
    first = tensors[0]
    if isinstance(first, Quant):
        raw = np.concatenate([np.zeros(0, np.int16), *(c.array.reshape(-1).astype(np.int16) for c in constants)])
        return Quant(_node(node, name, tensors, index, raw, first.dtype, None, 0), index.shape, first.dtype)
    real = np.concatenate([np.zeros(0, np.float32), *(_real(c).reshape(-1) for c in constants)])
    node.require(finite_values, real, found=f"NaN in {name}")
    if isinstance(first, Table) and len(tensors) == 1 and not constants:
        source = node.builder.tensors[first.tensor]
        tensor = _node(node, f"{name}/moved", tensors, index, np.zeros(0), source.dtype, source.scale, source.zero_point)
        return replace(first, tensor=tensor, shape=index.shape, origin=(*first.origin, node.label), operation=None)
    if isinstance(first, Real) and all(isinstance(v, Real) and _quantisation(v) == _quantisation(first) for v in tensors):
        raw = quantise(real, first.scale, first.zero, first.dtype)
        if np.array_equal((raw.astype(np.int32) - first.zero).astype(np.float32) * np.float32(first.scale), real):
            tensor = _node(node, name, tensors, index, raw, first.dtype, first.scale, first.zero)
            node.builder.provisional.add(tensor)
            return Real(tensor, index.shape, first.dtype, first.scale, first.zero)

    fewer = len(values) == 1 or (len(tensors) == 1 and not constants and index.size < prod(first.shape or ()))
    some = channels_of(first, index, (node.label,)) if isinstance(first, Pending) and fewer else None
    if some is not None:
        node.builder.parts[id(some)] = (some, first, index)
        return some

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        parts = [quantised_as(node.builder, v, replace(target, name=f"{target.name}/{i}"), node.label) for i, v in enumerate(tensors)]
        raw = np.clip(quantise(real, target.scale, target.zero, target.dtype), target.low, target.high)
        return _emit(node, target.name, parts, index, raw, target.dtype, target.scale, target.zero, origin)

    whole = [v for v in tensors if isinstance(v, Unquantised | Real | Table)]
    places = Scattered((*whole, *([Const(real)] if constants else [])), np.where(index < 0, sum(prod(v.shape) for v in whole) - 1 - index, index))
    return Pending(index.shape, (node.label,), emit, places if len(whole) == len(tensors) else None)


def _real(value: Const | RealConst) -> np.ndarray:
    return value.real() if isinstance(value, RealConst) else value.array.astype(np.float32)


def _quantisation(value: Real) -> tuple[str, float, int]:
    return value.dtype, value.scale, value.zero


def _node(
    node: OnnxNode, name: str, values: Sequence[Value], index: np.ndarray, raw: np.ndarray, dtype: str, scale: float | None, zero: int
) -> str:
    tensors = [v.tensor for v in values if isinstance(v, Quant | Real | Table)]
    return _emit(node, name, tensors, index, raw, dtype, scale, zero, (node.label,))


def _emit(
    node: OnnxNode, name: str, tensors: list[str], index: np.ndarray, raw: np.ndarray, dtype: str, scale: float | None, zero: int,
    origin: tuple[str, ...],
) -> str:  # fmt: skip
    out = node.builder.tensor(name, default_view(index.shape), dtype, scale, zero)
    return node.builder.node(node.label, Move(index, raw), tuple(tensors), out, origin)


def quantised_as(builder: Builder, value: Value, target: Quantisation, label: str) -> str:
    """Return `value` quantised as `target`, made once for all that ask for it with these parameters."""
    key = (id(value), target.dtype, target.scale, target.zero, target.low, target.high)
    if key not in builder.quantised:
        builder.quantised[key] = (_quantise(builder, value, target, label), value)
    return builder.quantised[key][0]


def _quantise(builder: Builder, value: Value, target: Quantisation, label: str) -> str:
    wanted = (target.dtype, target.scale, target.zero)
    everything = (target.low, target.high) == RANGES[target.dtype]
    match value:
        case Pending() | Operation():
            return lower(builder, value, target, value.origin)
        case Real() if _quantisation(value) == wanted and everything:
            return value.tensor
        case Real() | Table():
            tensor, values, origin = value.tensor, value.values(), value.origin if isinstance(value, Table) else (label,)
        case HostFloat(source, shape):
            tensor = builder.tensor(f"{target.name}/{source}", default_view(shape), target.dtype, target.scale, target.zero)
            builder.inputs.append(EdgeInput(source, "f32", builder.input_shapes[source], tensor))
            if everything:
                return tensor
            values, origin = Real(tensor, shape, target.dtype, target.scale, target.zero).values(), (label,)
        case _:
            raise AssertionError(f"{type(value).__name__} is no operand of a movement")
    q = np.clip(table_bytes(values, target).view(NUMPY_TYPES[target.dtype]), target.low, target.high)
    out = builder.tensor(target.name, builder.tensors[tensor].shape, target.dtype, target.scale, target.zero)
    return builder.node(f"requantise {out}", Unary(q.view(np.uint8).copy()), (tensor,), out, origin)


def _operand(node: OnnxNode) -> tuple[Value, np.ndarray]:
    value = node.value(0)
    node.require(movable_operand, value, found=node.describe(0))
    assert value is not None
    return value, numbered([value])[0]


def _integers(node: OnnxNode, index: int) -> list[int] | None:
    array = node.constant(index)
    return None if array is None else [int(v) for v in array.reshape(-1)]


def transposed(node: OnnxNode, permutation: list[int]) -> Value:
    """Transpose of an activation."""
    value, numbers = _operand(node)
    return moved(node, [value], numbers.transpose(permutation))


def concat(node: OnnxNode) -> list[Value]:
    """Concat of activations and constants."""
    values = [v for v in node.values if v is not None]
    return [_concatenated(node, values)]


def _concatenated(node: OnnxNode, values: list[Value]) -> Value:
    for number, value in enumerate(values):
        node.require(movable_operand, value, found=node.describe(number))
    return moved(node, values, np.concatenate(numbered(values), axis=node.attribute("axis", 1)))


def qlinear_concat(node: OnnxNode) -> list[Value]:
    """com.microsoft QLinearConcat: y_scale, y_zero, then x, x_scale, x_zero of each operand."""
    operands: list[Value] = []
    for at in range(2, len(node.values), 3):
        operands.append(constant_operand(node, at, at + 1, 0) if isinstance(node.value(at), Const) else real_operand(node, at, at + 1))
    target = result_target(node, 0, 1)
    value = moved(node, operands, np.concatenate(numbered(operands), axis=node.attribute("axis", 1)))
    if isinstance(value, Pending):
        return [Quant(value.emit(target, (node.label,)), value.shape, target.dtype)]
    assert isinstance(value, Real)
    return [Quant(quantised_as(node.builder, value, target, node.label), value.shape, target.dtype)]


def split(node: OnnxNode) -> list[Value]:
    """Split: every part is a movement of its own."""
    value, numbers = _operand(node)
    axis = node.attribute("axis", 0)
    sizes = _integers(node, 1)
    length = numbers.shape[axis]
    if sizes is None:
        count = node.attribute("num_outputs", len(node.proto.output))
        size = -(-length // count)
        sizes = [min(size, length - i * size) for i in range(count)]
    node.require(fits_dimensions, sum(sizes) == length and min(sizes) >= 0, found=f"parts {sizes} of {length} elements")
    parts = np.split(numbers, np.cumsum(sizes)[:-1], axis=axis)
    return [moved(node, [value], part, name=out) if out else value for part, out in zip(parts, node.proto.output, strict=True)]


def slice_(node: OnnxNode) -> list[Value]:
    """Slice with constant bounds."""
    value, numbers = _operand(node)
    starts, ends = _integers(node, 1) or [], _integers(node, 2) or []
    axes, steps = _integers(node, 3), _integers(node, 4)
    axes = list(range(len(starts))) if axes is None else axes
    cut = [slice(None)] * numbers.ndim
    for axis, start, end, by in zip(axes, starts, ends, steps or [1] * len(starts), strict=True):
        size = numbers.shape[axis]
        if by > 0:
            cut[axis] = slice(start, end, by)
        else:  # an end before the first element is None to numpy
            first = min(start if start >= 0 else start + size, size - 1)
            last = end if end >= 0 else end + size
            cut[axis] = slice(first, last if last >= 0 else None, by) if first >= 0 else slice(0, 0)
    return [moved(node, [value], numbers[tuple(cut)])]


def gather(node: OnnxNode) -> list[Value]:
    """Gather and GatherElements with constant indices."""
    value, numbers = _operand(node)
    indices = node.constant(1)
    assert indices is not None
    axis = node.attribute("axis", 0)
    size = numbers.shape[axis]
    fits = bool(((indices >= -size) & (indices < size)).all())
    node.require(fits_dimensions, fits, found=f"indices up to {np.abs(indices).max(initial=0)} of {size} elements")
    indices = indices % size
    if node.op == "Gather":
        return [moved(node, [value], np.take(numbers, indices, axis=axis))]
    beside = tuple(slice(None) if i == axis % numbers.ndim else slice(0, count) for i, count in enumerate(indices.shape))  # indices may be of fewer rows
    return [moved(node, [value], np.take_along_axis(numbers[beside], indices, axis=axis))]


def pad(node: OnnxNode) -> list[Value]:
    """Pad: constant, reflect, edge, wrap; negative numbers cut."""
    value, numbers = _operand(node)
    pads, axes = _integers(node, 1) or [], _integers(node, 3)
    axes = list(range(numbers.ndim)) if axes is None else axes
    amounts = [(0, 0)] * numbers.ndim
    for i, axis in enumerate(axes):
        amounts[axis] = (pads[i], pads[i + len(axes)])
    cut = tuple(slice(max(0, -a), size - max(0, -b)) for (a, b), size in zip(amounts, numbers.shape, strict=True))
    grown = np.array([(max(0, a), max(0, b)) for a, b in amounts], np.int64).reshape(-1, 2)
    numbers = numbers[cut]
    node.require(elements_left, numbers.size, found=f"pads {pads} of shape {value.shape}")
    mode = node.attribute("mode", b"constant").decode()
    if mode == "constant":
        fill = node.constant(2)
        fill = _zero(value) if fill is None else fill.reshape(1)
        return [moved(node, [value, Const(fill)], np.pad(numbers, grown, constant_values=-1) if numbers.ndim else numbers)]
    node.require(known_mode, mode, ("constant", "edge", "reflect", "wrap"), found=f"mode {mode}")
    if mode == "reflect":
        fits = all(max(a, b) < size for (a, b), size in zip(grown, numbers.shape, strict=True))
        node.require(reflection_fits, fits, found=f"pads {pads} of shape {value.shape}")
    return [moved(node, [value], np.pad(numbers, grown, mode=mode))]  # type: ignore[call-overload]


def _zero(value: Value) -> np.ndarray:
    return np.zeros(1, NUMPY_TYPES[value.dtype] if isinstance(value, Quant) else np.float32)


def depth_to_space(node: OnnxNode) -> list[Value]:
    """DepthToSpace, both orders."""
    value, numbers = _operand(node)
    size, mode = node.attribute("blocksize", 1), node.attribute("mode", b"DCR").decode()
    n, c, h, w = numbers.shape
    node.require(fits_dimensions, c % size**2 == 0, found=f"{c} channels and blocks of {size}")
    if mode == "DCR":
        blocks = numbers.reshape(n, size, size, c // size**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = numbers.reshape(n, c // size**2, size, size, h, w).transpose(0, 1, 4, 2, 5, 3)
    return [moved(node, [value], blocks.reshape(n, c // size**2, h * size, w * size))]


def space_to_depth(node: OnnxNode) -> list[Value]:
    """SpaceToDepth."""
    value, numbers = _operand(node)
    size = node.attribute("blocksize", 1)
    n, c, h, w = numbers.shape
    node.require(fits_dimensions, h % size == w % size == 0, found=f"shape {value.shape} and blocks of {size}")
    blocks = numbers.reshape(n, c, h // size, size, w // size, size).transpose(0, 3, 5, 1, 2, 4)
    return [moved(node, [value], blocks.reshape(n, c * size**2, h // size, w // size))]


def expand(node: OnnxNode) -> list[Value]:
    """Expand: dimensions of size 1 are repeated."""
    value, numbers = _operand(node)
    target = tuple(_integers(node, 1) or ())
    rank = max(len(target), numbers.ndim)
    pairs = zip((1,) * (rank - len(target)) + target, (1,) * (rank - numbers.ndim) + numbers.shape, strict=True)
    node.require(fits_dimensions, all(a == b or 1 in (a, b) for a, b in pairs), found=f"{value.shape} to {target}")
    return [moved(node, [value], np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, target)))]


def tile(node: OnnxNode) -> list[Value]:
    """Tile: the whole repeated along each axis."""
    value, numbers = _operand(node)
    return [moved(node, [value], np.tile(numbers, _integers(node, 1) or ()))]
