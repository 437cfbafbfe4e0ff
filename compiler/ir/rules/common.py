"""What the rules of several operators ask: tensors, quantisations, clamps, windows."""

from __future__ import annotations

import numpy as np

from compiler.errors import IRError
from compiler.ir.network import NUMPY_TYPES, RANGES, Pads, Pair, Tensor


def expect(condition: bool, where: str, found: object, expected: object) -> None:
    """Raise IRError unless the condition holds."""
    if not condition:
        raise IRError(where, found=str(found), expected=str(expected))


def check_tensor(key: str, t: Tensor) -> None:
    """A tensor agrees with itself, and with the key under which it is listed."""
    where = f"tensor {key}"
    expect(t.name == key, where, f"name {t.name}", "the name it is listed under")
    expect(len(t.shape) == 4 and all(isinstance(d, int) and d > 0 for d in t.shape), where, f"shape {t.shape}", "four positive dimensions")
    expect(t.dtype in NUMPY_TYPES, where, f"type {t.dtype}", "i8, u8, i32 or f32")
    if t.scale is not None:
        expect(t.dtype in ("i8", "u8"), where, f"an {t.dtype} with a scale", "a scale on 8-bit tensors only")
        expect(float(np.float32(t.scale)) == t.scale and 0 < t.scale < np.inf, where, f"scale {t.scale}", "a positive float32")
    low, high = RANGES.get(t.dtype, (0, 0))
    expect(low <= t.zero_point <= high, where, f"zero point {t.zero_point}", f"a value of {t.dtype}")


def check_clamp(where: str, low: int, high: int, y: Tensor) -> None:
    """The bounds are in order, and values of the result's type."""
    bounds = RANGES.get(y.dtype, (low, high))
    expect(bounds[0] <= low <= high <= bounds[1], where, f"clamp [{low}, {high}]", f"a range within {list(bounds)}")


def check_quantisation(where: str, t: Tensor, scale: float | None, zero: int) -> None:
    """The parameters are those of the tensor, if it has any."""
    same = t.scale is None or (t.scale, t.zero_point) == (scale, zero)
    expect(same, where, f"scale {scale}, zero {zero}", f"those of {t.name}: {t.scale}, {t.zero_point}")


def check_window(where: str, x: Tensor, y: Tensor, kernel: Pair, strides: Pair, dilations: Pair, pads: Pads, *, exact: bool) -> None:
    """The result has as many windows as fit; unless `exact`, the last may hang over."""
    sane = min(*kernel, *strides, *dilations) >= 1 and min(pads) >= 0
    expect(sane, where, f"window {kernel} {strides} {dilations} {pads}", "positive sizes")
    for i in range(2):
        room = x.shape[2 + i] + pads[i] + pads[2 + i] - (kernel[i] - 1) * dilations[i] - 1
        sizes = {room // strides[i] + 1} if exact else {room // strides[i] + 1, -(-room // strides[i]) + 1}
        expect(y.shape[2 + i] in sizes, where, f"output size {y.shape[2 + i]} on axis {2 + i}", f"one of {sorted(sizes)}")
    expect(y.shape[0] == x.shape[0], where, f"batch {y.shape[0]}", x.shape[0])
