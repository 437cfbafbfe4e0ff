"""What instructions of a vector unit have in common: names of their loops, parameters, tables, and the finishing chain of a codelet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from acg.primitives import divide_constant, scale_constant
from compiler.codelets import Finish, Operand
from compiler.codelets.base import Rounded
from compiler.codelets.rows.row_program import Chain, Value
from compiler.tiles import Buffer, View
from compiler.tiling.nest import Nest

#: Loops of a vector instruction and their levels: images, blocks of channels, output positions, kernel positions. The last two are what is reduced.
LOOPS = {"n": 0, "c": 1, "y": 2, "x": 3, "ky": 4, "kx": 5}

#: The scale of a constant's integer is a power of two from here on, so that it is no subnormal number.
LEAST_EXPONENT = -126


def read_parameters(nest: Nest, place: Buffer, first_word: int = 0) -> Nest:
    """Bias and scale of each channel, what the port takes at once a block of channels, from this block of a buffer on."""
    word = nest.access_bytes("p", place.memory)
    return nest.stream("p", place, first_word * word, {"c": word})


def look_up(nest: Nest, table: Buffer) -> Nest:
    """The byte that results becomes that of a table."""
    return nest.stream("table", table)


@dataclass(frozen=True)
class Region:
    """A rectangle (y0, y1, x0, x1) of outputs that share scale_a and divisor."""

    box: tuple[int, int, int, int]
    scale_a: float
    divisor: float


def _runs(values: np.ndarray, lo: int, hi: int) -> list[tuple[int, int]]:
    cuts = [lo] + [i for i in range(lo + 1, hi) if not np.array_equal(values[i], values[i - 1])] + [hi]
    return list(itertools.pairwise(cuts))


def regions(finish: Finish, box: tuple[int, int, int, int]) -> list[Region]:
    """Rectangles that cover a tile of outputs, each with one divisor of its average; the tile itself where nothing varies."""
    if finish.divisors is None:
        return [Region(box, finish.scale_a, finish.divisor)]
    y0, y1, x0, x1 = box
    table = finish.divisors
    found = []
    for ya, yb in _runs(table, y0, y1):
        for xa, xb in _runs(table.T, x0, x1):
            found.append(Region((ya, yb, xa, xb), *finish.scale_of[int(table[ya, xa])]))
    return found


def float_bits(value: float) -> int:
    """The bits of a float32."""
    return int(np.array(value, np.float32).view(np.uint32))


def finish_chain(nest: Nest, finish: Finish, region: Region) -> Nest:
    """The chain behind the reduction."""
    nest.control(y_zero=finish.zero, y_low=finish.low, y_high=finish.high)
    if finish.kind == "float":
        high, low = divide_constant(region.divisor) if region.divisor != 1.0 else scale_constant(1.0)
        nest.operation("REQUANTIZE")
        nest.control(scale_a=float_bits(region.scale_a), scale_b=float_bits(finish.scale_b), scale_y=high, scale_y_low=low)
    return nest


def round_between(nest: Nest, rounded: Rounded, operation: str, b: View, pixel: tuple[int, int, int, int], steps: Mapping[str, int], operand: Operand) -> Nest:
    """Scaled sums are rounded in the middle of the chain, then meet operand b by `operation`: from (n, y, x, channel) of its view on, moved by `steps`."""
    nest.operation("FAKE_QUANTIZE", operation).control(q_low=rounded.low, q_high=rounded.high, q_scale=float_bits(rounded.scale))
    return nest.stream("b", b.buffer, b.at(*pixel), steps, signed=operand.dtype == "i8", zero=operand.zero, element_bytes=1)


def float_chain(nest: Nest, step: Chain | None = None, *, high: int = 255) -> Nest:
    """The chain of a step of a micro-program; without one: scales of 1, clamp to [0, `high`]."""
    step = step or Chain("", "", high=high)
    scale, low = divide_constant(step.divisor) if step.divisor != 1.0 else scale_constant(1.0)
    nest.operation("REQUANTIZE", *filter(None, (step.binary, step.estimate)))
    return nest.control(scale_a=float_bits(step.scale_a), scale_b=float_bits(step.scale_b), scale_y=scale, scale_y_low=low,
                        y_zero=step.zero, y_low=step.low, y_high=step.high)  # fmt: skip


def times_nothing(nest: Nest) -> Nest:
    """The operand a counts as zero, so that what comes out is the bias: it is multiplied by a second operand that is not there."""
    return nest.control(int_op=1)


def exact_parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int32, float32 powers of two) whose product is each float32 value; numbers below 2^-102, where that cannot be, become 0."""
    fraction, exponent = np.frexp(np.asarray(values, np.float32).astype(np.float64))
    integers, powers = np.rint(fraction * 2**24).astype(np.int32), exponent - 24
    integers = np.where(powers < LEAST_EXPONENT, 0, integers).astype(np.int32)
    return integers, np.ldexp(1.0, np.maximum(powers, LEAST_EXPONENT)).astype(np.float32)


def sign_and_zero(value: Value | None) -> tuple[bool, int]:
    """Whether a value is signed, and its zero point; nothing of either where it has 32 bits or is unknown."""
    return (False, 0) if value is None or value.wide else (value.dtype == "i8", value.zero)
