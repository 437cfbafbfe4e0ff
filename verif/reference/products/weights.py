"""Constant weights of products: the integers, and which of them share a scale.

A scale stands for a slice of the weights: the tensor, an output channel, or a block of the reduction of an output channel. Positions of the
reduction with the same scales of all output channels make one exact integer sum. Where there are several such sums s_0, s_1, .. (in the order of the
first position of each) the result is float32, ((s_0 * k_0 + s_1 * k_1) + ..), with k = float32(s_x * s_w) and every step rounded to float32; where
there is one it is that sum, not rounded yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from verif.reference.products.sums import wrap
from verif.reference.values import RANGES, Dequantised, Plain, Sum, Value


def in_blocks(numbers: np.ndarray, block: int, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Return scales or zero points, one for each `block` neighbours along an axis, as they stand beside a constant of this shape."""
    return np.repeat(numbers, block, axis).take(range(shape[axis]), axis)


def bytes_of(array: np.ndarray) -> np.ndarray:
    """Return integers of two or four bits as int8 or uint8; others as they are."""
    narrow = {"int2": np.int8, "int4": np.int8, "uint2": np.uint8, "uint4": np.uint8}
    return array.astype(narrow.get(array.dtype.name, array.dtype), copy=False)


def slices(scale: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (positions, bool; scales (OC,)) of each set of positions that share their scales; `scale` is (OC, positions ..)."""
    columns = scale.reshape(scale.shape[0], -1).T
    if (columns == columns[:1]).all():
        return [(np.ones(scale.shape[1:], bool), columns[0])]
    found: dict[bytes, list[int]] = {}
    for position, column in enumerate(columns):
        found.setdefault(np.ascontiguousarray(column).tobytes(), []).append(position)
    result = []
    for members in found.values():
        mask = np.zeros(columns.shape[0], bool)
        mask[members] = True
        result.append((mask.reshape(scale.shape[1:]), columns[members[0]]))
    return result


def product(
    x: Dequantised, w: Dequantised, sums_of: Callable[[np.ndarray], np.ndarray], *, outputs_first: Callable[[np.ndarray], np.ndarray],
    trailing: int = 0, beside: Callable[[np.ndarray], np.ndarray] | None = None, alpha: float = 1.0,
    takes: frozenset[str] = frozenset({"bias", "channels", "number"}),
) -> Sum | Plain:
    """Return the product of an activation and weights.

    `outputs_first` brings an array of the weights' shape to (OC, positions of the reduction ..); `sums_of` returns the exact int64 sums for
    integers in that form, output channels `trailing` + 1 axes from the end; `beside`: numbers (OC,) as they stand beside the sums, where that is
    something else, which takes no constants. `takes`: see `Sum`; times alpha it takes no other number.
    """
    integers, scale = outputs_first(w.centred()), np.broadcast_to(w.scale.astype(np.float32), w.array.shape)
    first = np.float32(alpha) * x.scale.reshape(()).astype(np.float32)
    parts = slices(outputs_first(scale))
    if beside is None:
        beside = lambda numbers: numbers.reshape(-1, *[1] * trailing)  # noqa: E731
        from_end = trailing + 1
    else:
        from_end = 0
    if len(parts) == 1:
        own = parts[0][1]
        takes = frozenset() if from_end == 0 else takes if np.float32(alpha) == 1 else takes - {"number"}
        sums, one = wrap(sums_of(integers)), np.ones((), np.float32)
        return Sum(sums, beside(first * own), one, axis_from_end=from_end, factors=(first, own) if from_end else None, takes=takes, ends=_ends(x, integers))
    total: np.ndarray | None = None
    for mask, own in parts:
        part = wrap(sums_of(np.where(mask, integers, 0))).astype(np.float32) * beside(first * own)
        total = part if total is None else total + part
    assert total is not None
    return Plain(total)


def _ends(x: Dequantised, integers: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(Least, greatest) sum of each channel: every operand at the end of its type that makes it so."""
    if x.array.dtype not in RANGES or x.zero.size > 1:
        return None
    weights = integers.astype(np.int64).reshape(len(integers), -1)
    below, above = ((v - int(x.zero.reshape(()))) * weights for v in RANGES[x.array.dtype])
    return np.minimum(below, above).sum(1), np.maximum(below, above).sum(1)


def bias_sums(call: Any, bias: Value, scale: np.ndarray, beta: float) -> np.ndarray:
    """Return a bias in steps of the sums, int64 (OC,): the integers when it was dequantised with the scale of the sums."""
    if bias.array.size not in (1, scale.size):
        raise call.refuse(f"a bias of shape {bias.array.shape} for {scale.size} channels")
    if isinstance(bias, Dequantised) and bias.array.dtype == np.int32:
        own = np.broadcast_to(np.broadcast_to(bias.scale.astype(np.float64) * beta, bias.array.shape).reshape(-1), scale.shape)
        if np.all(np.abs(own - scale) <= 1e-5 * scale) and not np.any(bias.zero):
            return np.broadcast_to(bias.array.reshape(-1), scale.shape).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):  # a scale that underflowed to zero makes every sum of the channel zero
        steps = np.nan_to_num(np.rint(beta * bias.real().reshape(-1).astype(np.float64) / scale.astype(np.float64)))
    return np.clip(np.broadcast_to(steps, scale.shape), -(2**31), 2**31 - 1).astype(np.int64)


def in_steps(result: Sum, numbers: np.ndarray) -> bool:
    """Whether a constant is below 2^30 steps of the sums, the largest channel's; what is further away, a mask, is added to float32 numbers."""
    step = float(np.abs(result.scale.astype(np.float64)).max())
    return bool((np.abs(numbers.astype(np.float64)) < 2.0**30 * step).all())


def with_bias(call: Any, result: Sum | Plain, bias: Value | None, beta: float = 1.0, *, trailing: int = 0) -> Sum | Plain:
    """Add beta times a constant, one for all or one a channel, `trailing` axes behind it: to sums in steps of them, to float32 numbers as float32.

    Sums of numbers do not turn round at 2^31: a bias so large that they could leaves them that much room.
    """
    if bias is None:
        return result
    column = (-1, *[1] * trailing)
    if isinstance(result, Plain):
        if bias.array.size not in (1, result.array.shape[-1 - trailing]):
            raise call.refuse(f"a bias of shape {bias.array.shape} for {result.array.shape[-1 - trailing]} channels")
        return Plain(result.array + (np.float32(beta) * bias.real().astype(np.float32)).reshape(column))
    channels = result.sums.shape[-1 - trailing]
    steps = bias_sums(call, bias, np.broadcast_to(result.scale.reshape(-1), (channels,)), beta)
    ends = None
    if result.ends is not None:
        below, above = result.ends
        steps = np.maximum(np.minimum(steps, 2**31 - 1 - above), -(2**31) - below)
        ends = below + steps, above + steps
    return replace(result, sums=wrap(result.sums + steps.reshape(column)), takes=result.takes - {"bias"}, ends=ends)


__all__ = ["bias_sums", "bytes_of", "in_blocks", "in_steps", "product", "slices", "with_bias"]
