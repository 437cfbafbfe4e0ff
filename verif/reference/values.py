"""The states of a value while the reference evaluates a graph.

Arrays of activations have one axis more than in ONNX, in front: the samples. `constant` values have not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

RANGES = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}


class NoNumberError(ValueError):
    """A NaN goes into a QuantizeLinear, of which ONNX does not say what it makes."""


def limits(dtype: np.dtype) -> tuple[int, int]:
    """Return the least and the greatest integer of a type that only constants have: of 2, 4 or 16 bits."""
    bits = int("".join(c for c in dtype.name if c.isdigit()))
    return (0, 2**bits - 1) if dtype.name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def quantise(values: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return QuantizeLinear: saturate(round_half_even(float32(values / scale)) + zero), in the type of `zero` (int8 or uint8). Raises NoNumberError."""
    if np.isnan(values).any():
        raise NoNumberError("QuantizeLinear: found a NaN; expected numbers; correct the network or the input data")
    with np.errstate(over="ignore"):
        steps = np.rint(values.astype(np.float32) / scale.astype(np.float32))
    return saturate(steps, zero)


def saturate(steps: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return steps + zero, saturated to the type of `zero`."""
    low, high = RANGES.get(zero.dtype) or limits(zero.dtype)
    return np.clip(steps.astype(np.float64) + zero.astype(np.float64), low, high).astype(zero.dtype)


@dataclass(frozen=True, eq=False)
class Plain:
    """An array as it is: integers, or float32 numbers.

    `codes`: for a function of one 8-bit tensor its float32 numbers for all 256 integers of that, in ascending order; `source`: those integers.
    `behind`: the integers that it is a function of, through whatever quantisations, nearest first and its own in front.
    `bounds`: (least, greatest) number of float operations on quantised tensors. `product`: what int32 sums of an Integer operator are as numbers.
    `of_products`: whether sums that nothing has quantised are among what float operations have made it of.
    """

    array: np.ndarray
    constant: bool = False
    codes: Callable[[], np.ndarray] | None = None
    source: np.ndarray | None = None
    behind: tuple[np.ndarray, ...] = ()
    bounds: Callable[[], tuple[float, float]] | None = None
    product: Sum | None = None
    of_products: bool = False

    def real(self) -> np.ndarray:
        """Return the array."""
        return self.array

    def reshaped(self, shape: tuple[int, ...]) -> Plain:
        """Return the value with another shape (samples included unless constant)."""
        product = None if self.product is None else self.product.reshaped(shape)
        return replace(self, array=self.array.reshape(shape), behind=sources_of(self), product=product)

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return QuantizeLinear of the value."""
        return quantise(self.array, scale, zero)


@dataclass(frozen=True, eq=False)
class Dequantised:
    """(array - zero) * scale; `scale` and `zero` broadcast against the array. `behind`: see `Plain`."""

    array: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    constant: bool = False
    behind: tuple[np.ndarray, ...] = ()

    def every(self) -> np.ndarray:
        """Return the float32 number of each integer of the type, in ascending order."""
        low, high = RANGES[self.array.dtype]
        return (np.arange(low, high + 1) - int(self.zero.reshape(()))).astype(np.float32) * self.scale.reshape(()).astype(np.float32)

    def centred(self) -> np.ndarray:
        """Return array - zero, int32."""
        return self.array.astype(np.int32) - self.zero.astype(np.int32)

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        return self.centred().astype(np.float32) * self.scale.astype(np.float32)

    def reshaped(self, shape: tuple[int, ...]) -> Dequantised | Plain:
        """Return the value with another shape; a scale a channel of an activation does not survive that."""
        if self.scale.size > 1 or self.zero.size > 1:
            if not self.constant:
                return Plain(self.real().reshape(shape))
            array, scale, zero = (np.broadcast_to(a, self.array.shape).reshape(shape) for a in (self.array, self.scale, self.zero))
            return Dequantised(array, scale, zero, True)
        return Dequantised(self.array.reshape(shape), self.scale.reshape(()), self.zero.reshape(()), self.constant, sources_of(self))

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return QuantizeLinear of the value; the same parameters give the same integers."""
        return quantise(self.real(), scale, zero)


def sources_of(value: object) -> tuple[np.ndarray, ...]:
    """Return the 8-bit integers that a value is a function of, nearest first; none for a constant and for what is a function of several tensors."""
    if not isinstance(value, Plain | Dequantised) or value.constant:
        return ()
    own = value.array.dtype in RANGES and not any(value.array is array for array in value.behind)
    return (value.array, *value.behind) if own else value.behind


@dataclass(frozen=True, eq=False)
class Sum:
    """sums * scale / divisor, clamped to [low, high]: the result of a product (divisor 1) or of an average, not yet rounded.

    sums int32; scale, divisor float32 and broadcasting against sums; `axis_from_end` of the output channels.
    `takes`: the constants it takes in before it is rounded: a `bias`, a positive `number` as a factor (`numbers`: any number of them), factors and
    addends of its `channels`.
    `ends`: of a product by constants, (least, greatest) sum of each channel whatever the operand's integers, int64 (C,).
    `factors`: the float32 numbers whose product is `scale`, of the input and of the weights. `before`: of these `sums` in another shape what they
    were in their own.
    """

    sums: np.ndarray
    scale: np.ndarray
    divisor: np.ndarray
    low: float = -np.inf
    high: float = np.inf
    axis_from_end: int = 0
    constant: bool = False
    factors: tuple[np.ndarray, np.ndarray] | None = None
    takes: frozenset[str] = frozenset()
    before: tuple[Sum, np.ndarray] | None = None
    ends: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def array(self) -> np.ndarray:
        """The integers (for their shape)."""
        return self.sums

    def real(self) -> np.ndarray:
        """Return the float32 numbers."""
        return np.clip(self.sums.astype(np.float32) * self.scale / self.divisor, np.float32(self.low), np.float32(self.high))

    def clamped(self, low: float, high: float) -> Sum:
        """Return min(max(self, low), high)."""
        return replace(self, low=min(max(self.low, low), high), high=min(max(self.high, low), high), takes=frozenset())

    def reshaped(self, shape: tuple[int, ...]) -> Sum:
        """Return the value with another shape."""
        scale, divisor = (np.broadcast_to(a, self.sums.shape).reshape(shape) for a in (self.scale, self.divisor))
        sums = self.sums.reshape(shape)
        first = self.before[0] if self.before is not None and self.before[1] is self.sums else self
        return replace(self, sums=sums, scale=scale, divisor=divisor, axis_from_end=0, takes=frozenset(), before=(first, sums))

    def quantised(self, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Return the requantised sums, clamped between the quantised bounds."""
        ratio = (self.scale / (scale.astype(np.float32) * self.divisor)).astype(np.float32)
        q = saturate(np.rint(self.sums.astype(np.float32) * ratio), zero)
        low, high = (quantise(np.array(v, np.float32), scale, zero) for v in (self.low, self.high))
        return np.clip(q, low, high)


Value = Plain | Dequantised | Sum
