"""Rules of movements: elements in another order, shapes read otherwise, weighted sums along an axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.ir.interpolation import BASE as DIGITS
from compiler.ir.interpolation import EXACT, MOST, PARTS, Interpolation, rounded
from compiler.ir.move import Move
from compiler.ir.network import RANGES, Reshape, Tensor
from compiler.ir.rules.common import check_clamp, check_quantisation, expect


def _interpolation(where: str, a: Interpolation, *operands: Tensor) -> None:
    *inputs, y = operands
    x = inputs[0]
    pixels = {(t.shape[0], *t.shape[2:]) for t in operands}
    alike = {t.shape[1] for t in inputs} == {a.weights.shape[1]} and y.shape[1] == a.weights.shape[0] and len(pixels) == 1
    expect(alike, where, f"shapes {', '.join(str(t.shape) for t in operands)}", f"{a.weights.shape[1]} channels to {a.weights.shape[0]}, the same pixels")
    digits = len(a.zeros) == len(inputs) in (1, 2) and (len(inputs) == 1 or all(t.dtype == "u8" for t in inputs))
    expect(digits, where, f"{len(inputs)} inputs, zeros {a.zeros}", "one input, or two of type u8, a zero for each")
    for t, zero in zip(inputs, a.zeros, strict=True):
        expect(RANGES[t.dtype][0] <= zero <= RANGES[t.dtype][1], where, f"zero point {zero}", f"a value of {t.dtype}")
    expect(a.weights.dtype == np.int32 and np.abs(a.weights).max() < MOST // 2, where, f"weights {a.weights.dtype}", f"int32 below {MOST // 2} in magnitude")
    sums = a.sums(x.dtype)
    room = EXACT * (DIGITS if len(inputs) + len(a.digits) > 2 else 1)  # the last addition may round
    expect(max(map(abs, sums)) < room, where, f"sums from {sums[0]} to {sums[1]}", f"less than {room} in magnitude")
    expect(a.part in PARTS, where, f"part {a.part}", f"one of {', '.join(map(repr, PARTS))}")
    if a.part:
        low, high = (rounded(total, a.shift) + a.offset for total in sums)
        expect(low >= 0 and high <= MOST and 0 <= a.shift < 16, where, f"numbers from {low} to {high}", f"0 to {MOST}")
        expect(y.dtype == "u8", where, f"a digit {y.dtype}", "u8")
    else:
        if len(inputs) == 1:
            check_quantisation(where, x, a.x_scale, a.zeros[0])
        check_quantisation(where, y, a.y_scale, a.y_zero)
        check_clamp(where, a.y_low, a.y_high, y)
        expect(bool(np.isfinite(a.scale)), where, f"requantisation scale {a.scale}", "a finite number")


def _reshape(where: str, a: Reshape, x: Tensor, y: Tensor) -> None:
    expect(x.elements == y.elements, where, f"{y.elements} elements", x.elements)
    expect(x.dtype == y.dtype, where, f"a change of type from {x.dtype} to {y.dtype}", "one type")


def _move(where: str, a: Move, *operands: Tensor) -> None:
    *inputs, y = operands
    expect(len({t.dtype for t in operands}) == 1, where, f"types {', '.join(t.dtype for t in operands)}", "one type")
    expect(a.index.size == y.elements, where, f"{a.index.size} indices", f"{y.elements}, one an element")
    low, high = a.anything, sum(t.elements for t in inputs) - 1
    fits = bool(a.index.min() >= low and a.index.max() <= high)
    expect(fits, where, f"indices from {a.index.min()} to {a.index.max()}", f"{low} to {high}")
    lowest, highest = RANGES[y.dtype]
    expect(bool(((a.constants >= lowest) & (a.constants <= highest)).all()), where, f"constants {a.constants}", f"values of {y.dtype}")


#: Of each class of attributes: number of inputs, rule.
RULES: dict[type, tuple[int, Callable[..., None]]] = {
    Interpolation: (1, _interpolation),
    Reshape: (1, _reshape),
    Move: (1, _move),
}
