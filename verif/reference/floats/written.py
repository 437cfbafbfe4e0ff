"""Float numbers between known bounds, 0 among them, written down as n bytes:

    u_n = float32((high - low) / (254 * 255^(n-1))), u_i = float32(255 * u_(i+1));     z = -round(low / u_1), 0 to 255
    q_1 = round(s / u_1) + z,   s = s - (q_1 - z) u_1;   q_i = round(s / u_i) + 128, s = s - (q_i - 128) u_i       float32, all bytes saturate

Of three bytes an operand of products that is repeated beside a larger one is (`repeated`): (q_1 - z) u_1 + (q_2 - 128) u_2 + (q_3 - 128) u_3, from the left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from verif.reference.floats.formula_averages import ends_of
from verif.reference.movement.movement import Moved
from verif.reference.values import Plain, Sum

F = np.float32


def rounded(numbers: np.ndarray, unit: np.float32, zero: int) -> np.ndarray:
    """Return round(numbers / unit) + zero, a byte, as int64."""
    with np.errstate(over="ignore"):
        steps = np.rint((numbers / F(unit)).astype(F))
    return np.clip(steps.astype(np.float64) + zero, 0, 255).astype(np.int64)


def digits(numbers: np.ndarray, low: float, high: float, count: int) -> tuple[list[np.ndarray], list[np.float32], int]:
    """Return the bytes of float32 numbers, the highest first, their units and the zero point of the highest."""
    low, high = min(low, 0.0), max(high, 0.0)
    units = [F((high - low) / (254 * 255 ** (count - 1))) if high > low else F(abs(high) or 1)]
    while len(units) < count:
        units.insert(0, F(255) * units[0])
    first = min(max(-int(np.rint(F(low) / units[0])), 0), 255)
    found, zero, rest = [], first, numbers.astype(F)
    for unit in units:
        found.append(rounded(rest, unit, zero))
        rest, zero = rest - (found[-1] - zero).astype(F) * unit, 128
    return found, units, first


def of_products(value: Any) -> bool:
    """Whether a float value is made of sums that nothing has quantised."""
    return isinstance(value, Sum | Moved) or (isinstance(value, Plain) and value.of_products)


def repeated(call: Any, value: Any, size: int) -> Any:
    """Return an operand as it meets a result of `size` elements a sample."""
    if value is None or value.constant or not of_products(value) or value.array[0].size >= size:
        return value
    ends = ends_of(value)
    if ends is None:
        raise call.refuse("an operand that is repeated, whose bounds are not known")
    bytes_, units, zero = digits(np.asarray(value.real(), F), *ends, 3)
    parts = [(b - (128 if i else zero)).astype(F) * u for i, (b, u) in enumerate(zip(bytes_, units, strict=True))]
    return Plain((parts[0] + parts[1]) + parts[2], bounds=lambda: _bounds(units, zero))


def _bounds(units: list[np.float32], zero: int) -> tuple[float, float]:
    """What the sum of the bytes can be, float64 of float32 products."""
    ends = [[float(F(n - z) * u) for n in (0, 255)] for u, z in zip(units, (zero, 128, 128), strict=True)]
    return sum(e[0] for e in ends), sum(e[1] for e in ends)


__all__ = ["digits", "of_products", "repeated", "rounded"]
