"""Rule: constants that a product with constant weights, or of two tensors, takes in before anything quantises it.

    product + k                 k joins the bias: round_half_even(k / s), s the real value of a step of the int32 sums, float64; if below 2^30 steps
    product * k, product / k    one positive number: float32(float32(k * s_x) * s_w) is the scale, for a quotient with float32(1 / k)
    product * k[c] + d[c]       one number a channel, and BatchNormalization: s_w[c] = float32(s_w[c] * k[c]), then d as above

Over several numbers anything else is a product with their float32 reciprocals; over one it is a division.

A product takes in what follows it node by node, as long as it can, through Reshape too; what it cannot take in is an operation on its result.
BatchNormalization of a dequantised tensor is a depthwise convolution whose weights are all 255 steps of 1/255, so that the addend is rounded to
1/255 of a step of its input's integers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compiler.front.constraints import channel_bias, finite_constant, inference_only, one_value_a_channel, quantised_operand
from compiler.front.floats.formula import numbers_of, operation, scalar_of
from compiler.front.operators.products.linear import Product
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Pending, Real, RealConst, Table, Unquantised, Value, plainest

#: The weight that stands for 1.
UNIT = 255


def joined(node: OnnxNode, kind: str, a: Formula, b: Formula) -> Formula:
    """Return `kind` of two values: a product that has taken the constant in, or an operation."""
    product, constant = (b, a) if kind in ("ADD", "MUL") and isinstance(b, Pending) else (a, b)
    if isinstance(product, Pending) and isinstance(constant, Const | RealConst) and node.op in ("Add", "Div", "Mul"):
        own = _in_own_shape(product, constant)
        made = None if own is None else _a_channel(node, kind, *own) or _one_number(kind, *own) or _bias(node, kind, *own)
        if made is not None:
            return replace(made.pending(), shape=product.shape, origin=(*product.origin, node.label))  # type: ignore[attr-defined]
    if kind == "DIV" and isinstance(b, Const | RealConst) and scalar_of(b) is None:
        with np.errstate(divide="ignore"):
            kind, b = "MUL", Const(np.float32(1) / numbers_of(b))
    return operation(node, kind, a, b)


def _in_own_shape(value: Pending, constant: Const | RealConst) -> tuple[Pending, Const | RealConst] | None:
    """Return a product in its own shape, and a constant as it meets it there: it may be seen in another one. None for what is no product."""
    own = getattr(value.of, "shape", None)
    if own is None or own == value.shape:
        return None if own is None else (value, constant)
    behind = value.shape[len(value.shape) - len(constant.shape) :]
    if len(constant.shape) > len(value.shape) or any(a not in (1, b) for a, b in zip(constant.shape, behind, strict=True)):
        return None
    index = plainest(np.broadcast_to(np.arange(constant.array.size).reshape(constant.shape), value.shape).reshape(own))

    def there(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1)[index]

    plain = constant.moved(there) if isinstance(constant, RealConst) else Const(there(constant.array))
    return replace(value, shape=own), plain


def _a_channel(node: OnnxNode, kind: str, value: Pending, constant: Const | RealConst) -> object | None:
    product, rank, own = value.of, len(value.shape), tuple(constant.shape)
    if not hasattr(product, "with_affine") or kind not in ("ADD", "DIV", "MUL") or (kind == "ADD" and product.biasable):
        return None
    channels, at = product.channels, product.axis_from_end
    fits = channels > 1 and at <= len(own) <= rank and own[len(own) - at :] == (channels, *[1] * (at - 1))
    if not fits or constant.array.size != channels:
        return None
    numbers, one = (constant.real() if isinstance(constant, RealConst) else constant.array).astype(np.float64).reshape(-1), np.ones(channels)
    if kind == "ADD":
        return product.with_affine(node, one, numbers) if _in_steps(product, numbers) else None
    with np.errstate(divide="ignore"):
        factor = numbers if kind == "MUL" else 1 / numbers
    node.require(finite_constant, factor, found=f"a number that is infinite in {node.op} by a constant of shape {own}")
    return product.with_affine(node, factor, 0 * one)


def _one_number(kind: str, value: Pending, constant: Const | RealConst) -> object | None:
    number = scalar_of(constant)
    if kind not in ("MUL", "DIV") or number is None or not getattr(value.of, "scalable", False) or not 2.0**-64 <= number <= 2.0**64:
        return None
    if np.broadcast_shapes(value.shape, constant.shape) != value.shape:
        return None
    return value.of.scaled(float(np.float32(number) if kind == "MUL" else np.float32(1) / np.float32(number)))


def _bias(node: OnnxNode, kind: str, value: Pending, constant: Const | RealConst) -> object | None:
    if kind != "ADD" or not getattr(value.of, "biasable", False) or len(constant.shape) > len(value.shape):
        return None
    fits = channel_bias(constant.shape, value.of.channels, value.of.axis_from_end) and _in_steps(value.of, numbers_of(constant).reshape(-1))
    return value.of.with_bias(node, constant) if fits else None


def _in_steps(product: Any, numbers: np.ndarray) -> bool:
    """Whether all addends are below 2^30 of the largest channel's steps: others, masks, are added to the float32 number."""
    scale = getattr(product, "product_scale", None)  # sums of blocks are float32 numbers themselves
    return scale is None or bool((np.abs(numbers.astype(np.float64)) < 2.0**30 * np.abs(scale.astype(np.float64)).max()).all())


def batch_normalization(node: OnnxNode) -> list[Value]:
    """BatchNormalization of a dequantised tensor, of the float result of a product, or x * float32(factor) + float32(addend) of any other float."""
    value = node.value(0)
    node.require(inference_only, node.attribute("training_mode", 0), len([o for o in node.proto.output if o]), found="a training mode")
    scale, bias, mean, variance = (np.asarray(node.constant(i), np.float64).reshape(-1) for i in range(1, 5))
    factor = scale / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    addend = bias - mean * factor
    if not isinstance(value, Real | Table | Unquantised):
        node.refuse(quantised_operand, node.describe(0))
    fits = len(value.shape) > 1 and factor.size == value.shape[1]
    node.require(one_value_a_channel, fits, found=f"{factor.size} values for an input of shape {value.shape}")
    product = isinstance(value, Pending) and hasattr(value.of, "with_affine") and value.shape == value.of.shape
    if isinstance(value, Pending) and product and len(value.shape) - value.of.axis_from_end == 1:
        return [replace(value.of.with_affine(node, factor, addend).pending(), origin=(*value.origin, node.label))]
    if not isinstance(value, Real):
        k, d = (Const(part.astype(np.float32).reshape(-1, *[1] * (len(value.shape) - 2))) for part in (factor, addend))
        return [operation(node, "ADD", operation(node, "MUL", value, k), d)]
    view = default_view(value.shape)
    unit = Product(
        node=node, tensor=value.tensor, view=view, x_scale=value.scale, x_zero=value.zero,
        weight=np.full((view[1], 1, 1, 1), UNIT, np.uint8), w_scale=np.array([1 / UNIT], np.float32), w_zero=0, out_view=view,
        shape=value.shape, axis_from_end=len(value.shape) - 1, group=view[1],
    )  # fmt: skip
    return [unit.with_affine(node, factor, addend).pending()]


__all__ = ["batch_normalization", "joined"]
