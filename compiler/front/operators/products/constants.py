"""Dequantised and quantised constants: integers of 2 to 32 bits with scales and zero points for the tensor, a slice along an axis, or a block of slices."""

from __future__ import annotations

import numpy as np

from compiler.front.constraints import constant_integers, difference_in_int32, fitting_scales, usable_scale
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, RealConst, along

#: Types of less than 8 bits, and those that their integers are kept in.
NARROW = {"int2": np.int8, "uint2": np.uint8, "int4": np.int8, "uint4": np.uint8}
#: Types of the integers of a constant.
INTEGERS = (*NARROW, "int8", "uint8", "int16", "uint16", "int32")


def unpacked(array: np.ndarray) -> np.ndarray:
    """Return integers of less than 8 bits as bytes, others as they are."""
    return array.astype(NARROW[array.dtype.name]) if array.dtype.name in NARROW else array


def limits(dtype: np.dtype) -> tuple[int, int]:
    """Return the least and the greatest integer of a type.

    >>> limits(np.dtype("int8")), limits(np.dtype("uint16"))
    ((-128, 127), (0, 65535))
    """
    signed, bits = not dtype.name.startswith("u"), int(dtype.name.removeprefix("u").removeprefix("int"))
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _parameter(node: OnnxNode, numbers: np.ndarray, array: np.ndarray, axis: int, block: int) -> np.ndarray:
    """Return scales or zero points as they broadcast against the array."""
    rank, shape = array.ndim, array.shape
    if numbers.size == 1:
        return numbers.reshape([1] * rank)
    fits = -rank <= axis < rank
    if fits and block:
        blocks = tuple(-(-size // block) if i == axis % rank else size for i, size in enumerate(shape))
        fits = block > 0 and numbers.shape == blocks
    elif fits:
        fits = numbers.shape == (shape[axis],)
    described = f"axis {axis}" + (f" and blocks of {block}" if block else "")
    node.require(fitting_scales, fits, found=f"shape {numbers.shape} for a constant of shape {shape}, {described}")
    if not block:
        return along(numbers, rank, axis)
    return np.take(numbers, np.arange(shape[axis]) // block, axis)


def real_constant(node: OnnxNode, array: np.ndarray, scale: np.ndarray | None, zero: np.ndarray | None, axis: int, block: int = 0) -> RealConst:
    """Return integers with scales (1 where there are none) and zero points (0 where there are none)."""
    node.require(constant_integers, array.dtype.name in INTEGERS, found=str(array.dtype))
    array = unpacked(array)
    scale = np.ones(1, np.float32) if scale is None else scale
    zero = np.zeros(1, array.dtype) if zero is None else unpacked(zero)
    shift = _parameter(node, zero, array, axis, block)
    difference = array.astype(np.int64) - shift.astype(np.int64)
    node.require(difference_in_int32, difference, found=f"{difference.min() if difference.min() < -(1 << 31) else difference.max() if difference.size else 0}")
    return RealConst(array, _parameter(node, scale.astype(np.float32), array, axis, block), shift)


def dequantised_constant(node: OnnxNode, value: Const) -> RealConst:
    """DequantizeLinear of a constant keeps its integers, for weights and biases."""
    return real_constant(node, value.array, node.constant(1), node.constant(2), node.attribute("axis", 1), node.attribute("block_size", 0))


def quantised_constant(node: OnnxNode, value: Const | RealConst, dtype: np.dtype) -> Const:
    """QuantizeLinear of a constant, to integers of type `dtype`: saturate(round_half_even(float32(v / scale)) + zero)."""
    node.require(constant_integers, dtype.name in INTEGERS, found=dtype.name)
    array = (value.real() if isinstance(value, RealConst) else value.array).astype(np.float32)
    scale, zero = node.constant(1), node.constant(2)
    assert scale is not None
    node.require(usable_scale, scale.astype(np.float32), found=f"{scale.min()}")
    axis, block = node.attribute("axis", 1), node.attribute("block_size", 0)
    divisor = _parameter(node, scale.astype(np.float32), array, axis, block)
    shift = np.zeros(1, np.int64) if zero is None else _parameter(node, zero.astype(np.int64), array, axis, block)
    low, high = limits(dtype)
    with np.errstate(over="ignore"):
        steps = np.rint(array / divisor).astype(np.float64)
    return Const(np.clip(steps + shift, low, high).astype(NARROW.get(dtype.name, dtype)))


__all__ = ["INTEGERS", "dequantised_constant", "limits", "quantised_constant", "real_constant", "unpacked"]
