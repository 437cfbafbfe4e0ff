"""Products of two computed matrices, as numpy.matmul defines their shapes, on values with a samples axis in front."""

from __future__ import annotations

from typing import Any

import numpy as np

from verif.reference.products.sums import wrap
from verif.reference.products.weights import product
from verif.reference.values import RANGES, Dequantised, Plain, Sum


def _matrices(array: np.ndarray, rank: int, *, column: bool) -> np.ndarray:
    """Return (S, .., K) or (S, .., R, K) with `rank` dimensions behind the samples; a vector is a row, or a `column`."""
    if array.ndim == 2:
        array = array[:, :, None] if column else array[:, None, :]
    return array.reshape(array.shape[0], *[1] * (rank + 1 - array.ndim), *array.shape[1:])


def tensor_product(a: Dequantised, b: Dequantised, *, trans_a: bool = False, trans_b: bool = False, alpha: float = 1.0) -> Sum:
    """Return the int32 sums of (a - zero) (b - zero), modulo 2^32, and the scale float32(float32(alpha * s_a) * s_b)."""
    one, two = a.centred(), b.centred()
    one = one.swapaxes(-1, -2) if trans_a else one
    two = two.swapaxes(-1, -2) if trans_b else two
    rank = max(one.ndim, two.ndim, 3) - 1
    depth = one.shape[-1]
    largest = int(np.abs(one).max(initial=0)) * int(np.abs(two).max(initial=0)) * depth
    kind = np.float32 if largest < 2**24 else np.float64  # every partial sum is exact
    sums = np.matmul(_matrices(one, rank, column=False).astype(kind), _matrices(two, rank, column=True).astype(kind)).astype(np.int64)
    if one.ndim == 2:
        sums = sums.squeeze(-2)
    if two.ndim == 2:
        sums = sums.squeeze(-1)
    factors = np.float32(alpha) * np.float32(a.scale.reshape(())), np.float32(b.scale.reshape(()))
    scale = np.full(sums.shape[-1:], factors[0] * factors[1], np.float32)
    takes = frozenset(({"bias"} if two.ndim > 2 else set()) | ({"number"} if np.float32(alpha) == 1 else set()))
    pair = np.asarray(factors[0]), np.asarray(factors[1])
    return Sum(wrap(sums), scale, np.ones((), np.float32), axis_from_end=1, factors=pair, takes=takes, ends=_ends(a, b, depth, sums.shape[-1]))


def _ends(a: Dequantised, b: Dequantised, depth: int, columns: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(Least, greatest) sum of each column, whatever the integers."""
    if a.array.dtype not in RANGES or b.array.dtype not in RANGES:
        return None
    (low, high), (least, most) = ([v - int(x.zero.reshape(())) for v in RANGES[x.array.dtype]] for x in (a, b))
    products = low * least, low * most, high * least, high * most
    return np.full(columns, depth * min(products), np.int64), np.full(columns, depth * max(products), np.int64)


def constant_matrices(call: Any, a: Dequantised, b: Dequantised) -> Sum | Plain:
    """Return the product by a constant vector or constant matrices, in front or behind, however many."""
    if a.constant == b.constant:
        raise call.refuse("two constants")
    x, w = (b, a) if a.constant else (a, b)
    numbers = x.centred().astype(np.float64)  # every partial sum is below 2^53
    if w.array.ndim == 1:

        def along(kernel: np.ndarray) -> np.ndarray:
            vector = kernel.reshape(-1).astype(np.float64)
            return (np.matmul(vector, numbers) if w is a and numbers.ndim > 2 else numbers @ vector).astype(np.int64)

        return product(x, w, along, outputs_first=lambda array: array.reshape(1, -1), beside=lambda own: own.reshape(()))
    *groups, rows, columns = w.array.shape
    vector = bool(groups) and x.array.ndim == 2
    short = len(groups) + 2 - x.array.ndim + 1  # dimensions that the constant has and the other operand has not
    if groups and short > 0 and not (vector and w is a):
        numbers = numbers.reshape(numbers.shape[0], *[1] * short, *numbers.shape[1:])
    if w is a:

        def behind(kernel: np.ndarray) -> np.ndarray:
            matrices = kernel.reshape(*groups, rows, columns).astype(np.float64)
            return (numbers @ matrices.T if x.array.ndim == 2 else np.matmul(matrices, numbers)).astype(np.int64)

        def beside_rows(own: np.ndarray) -> np.ndarray:
            return own.reshape(*groups, rows) if x.array.ndim == 2 else own.reshape(*groups, rows, 1)

        return product(x, w, behind, outputs_first=lambda array: array.reshape(-1, columns), beside=beside_rows)

    def outputs_first(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1, rows, columns).swapaxes(1, 2).reshape(-1, rows)

    def sums_of(kernel: np.ndarray) -> np.ndarray:
        matrices = kernel.reshape(*groups, columns, rows).swapaxes(-1, -2).astype(np.float64)
        sums = np.matmul(numbers, matrices).astype(np.int64)
        return sums.squeeze(-2) if vector else sums

    def beside(own: np.ndarray) -> np.ndarray:
        return own.reshape(*groups, columns) if vector else own.reshape(*groups, 1, columns)

    return product(x, w, sums_of, outputs_first=outputs_first, beside=beside)
