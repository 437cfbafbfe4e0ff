"""Expression: float32 operations on tensors, functions of tensors, sums of products and constants, with nothing quantised in between.

    v[i] = float32((q - zero) * scale) of an operand, a float32 constant, a function of an operand's byte (`Digits`), or float32(float32(s) * scale[c])
               of the int32 sum s of products of operands and constants, its bias included (`Sums`)
    v[n + k] = kind(v[i], v[j]) for the k-th (kind, i, j) of `operations`, rounded to float32, nearest even; the last of them is s.
               DIV is by one number, a constant. QUOTIENT is v[i] times the reciprocal r of v[j], whose magnitude is from 2^-64 to 2^64:
               r = the pattern 0x7EF311C7 less that of v[j]; twice r = 2 r - (v[j] r) r, all five operations rounded
    y = saturate(round_half_even(s / y_scale)), the division correctly rounded; saturate clips to [y_low, y_high] after y_zero is added;
               where y is a float32 tensor it is s

A function's numbers are sums of digits to the base 256, from the highest to the lowest. Each partial sum is the number rounded down to a multiple
of the digit's place: where the number has 24 significant bits it has no more, and no addition rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acg.primitives import reciprocal_estimate
from compiler.ir.conv import Conv
from compiler.ir.floats import Term
from compiler.ir.matmul import MatMul

#: Tables and digits that a constant which is a tensor is cut into at most.
MOST_DIGITS = 8
KINDS = ("ADD", "SUB", "MUL", "DIV", "MIN", "MAX", "QUOTIENT")


@dataclass(frozen=True, eq=False)
class Digits:
    """A function of the raw byte of input `source`: sum over k of digit[k] * unit * 256^k, tables (256,) of bytes, the highest digit last.

    The highest digit is its byte plus `lowest`, from -255 to 0, the others are their bytes. `unit` is a power of two, of one digit any float32 number.
    """

    source: int
    tables: tuple[np.ndarray, ...]
    unit: float
    lowest: int

    def __post_init__(self) -> None:
        for table in self.tables:
            table.setflags(write=False)

    def digits(self) -> list[np.ndarray]:
        """Return the digits as float32 numbers (256,), the lowest first."""
        *lower, highest = (table.astype(np.float32) for table in self.tables)
        return [*lower, highest + np.float32(self.lowest)]

    def values(self) -> np.ndarray:
        """Return the function's numbers, float32 (256,)."""
        total = np.zeros(256)
        for k, digit in reversed(list(enumerate(self.digits()))):
            total += digit * (self.unit * 256.0**k)
        return total.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of a `product` whose operands are the inputs `sources` of the node: they have the shape of its result. scale: float32 (C,)."""

    product: Conv | MatMul
    sources: tuple[int, ...]
    scale: np.ndarray

    def __post_init__(self) -> None:
        self.scale.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Expression:
    """Operations on tensors of the result's shape, functions of them, constants and products; arithmetic: see the module."""

    terms: tuple[Term | Digits | Sums, ...]
    operations: tuple[tuple[str, int, int], ...]
    y_scale: float
    y_zero: int
    y_low: int = -128
    y_high: int = 127

    @property
    def sums(self) -> tuple[Sums, ...]:
        """Its products."""
        return tuple(term for term in self.terms if isinstance(term, Sums))


def most_digits(floats: np.ndarray) -> int:
    """Return how many digits give the finite float32 numbers (256,) exactly."""
    sizes = np.abs(floats[floats != 0]).astype(np.float64)
    if sizes.size == 0:
        return 1
    lowest = int(np.frexp(sizes.min())[1]) - 24
    return -(-(int(np.frexp(sizes.max())[1]) + bool(floats.min() < 0) - lowest) // 8)


def digits_of(source: int, floats: np.ndarray, count: int) -> Digits:
    """Return float32 numbers (256,) rounded to `count` digits, half to even; `most_digits` of them are exact."""
    largest, lowest = float(np.abs(floats).max()), 0 if floats.min() >= 0 else -128
    exponent = int(np.frexp(largest * (1 + 2.0 ** (1 - 8 * count)))[1]) - 8 * count + (lowest != 0) if largest else 0
    whole = [int(v) for v in np.rint(np.ldexp(floats.astype(np.float64), -exponent))]
    digits = [[v >> 8 * k & 0xFF for v in whole] for k in range(count - 1)] + [[(v >> 8 * (count - 1)) - lowest for v in whole]]
    return Digits(source, tuple(np.array(digit, np.uint8) for digit in digits), 2.0**exponent, lowest)


def one_digit(source: int, floats: np.ndarray) -> Digits | None:
    """Return float32 numbers (256,) that are 8-bit multiples of one of them, exactly, as one digit; None where they are not, infinity among them."""
    if not np.isfinite(floats).all():
        return None
    sizes = np.unique(np.abs(floats[floats != 0]))
    for unit in sizes[:1]:
        multiples = np.rint(floats.astype(np.float64) / float(unit))
        lowest = min(int(multiples.min()), 0)
        if lowest >= -255 and multiples.max() <= lowest + 255 and np.array_equal(multiples.astype(np.float32) * unit, floats):
            return Digits(source, ((multiples - lowest).astype(np.uint8),), float(unit), lowest)
    return None


def reciprocal(b: np.ndarray) -> np.ndarray:
    """Return one over float32 numbers to less than 7e-6: a guess and two steps of Newton's iteration."""
    b = np.asarray(b, np.float32)
    r = reciprocal_estimate(b)
    for _ in range(2):
        r = np.float32(2) * r - b * r * r
    return r


def apply(kind: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return one operation on float32 numbers."""
    if kind == "QUOTIENT":
        return np.asarray(a * reciprocal(b), np.float32)
    functions = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply, "DIV": np.divide, "MIN": np.minimum, "MAX": np.maximum}
    return np.asarray(functions[kind](a, b), np.float32)


__all__ = ["KINDS", "MOST_DIGITS", "Digits", "Expression", "Sums", "apply", "digits_of", "most_digits", "one_digit", "reciprocal"]
