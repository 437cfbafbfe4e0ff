"""Fields of the vector and matrix instructions of a micro-program on rows of pixels.

    before   places of the operands, counts of pixels and blocks
    after    {n_1: 4, n_2: 64, a_base: Ref(..), a_stride_1: .., ..}
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from acg.graph import Memory
from acg.kinds.vector import ESTIMATES
from acg.primitives import divide_constant, scale_constant
from compiler.codelets.row_program import Chain
from compiler.target import MatrixUnit, VectorUnit
from compiler.tiles import Buffer, Ref, stride

#: Codes of the field `binary`.
BINARY = {"": 0, "ADD": 1, "MUL": 2, "MIN": 3, "MAX": 4}
#: The scale of a constant's integer is a power of two from here on, so that it is no subnormal number.
LEAST_EXPONENT = -126


@dataclass(frozen=True)
class Place:
    """A value in `buffer` from byte `offset`: bytes between pixels and between blocks of lanes, 0 where one serves all; bytes an element."""

    buffer: Buffer
    offset: int
    pixel_bytes: int
    block_bytes: int
    element_bytes: int

    def block(self, number: int) -> Place:
        """The same from another block on."""
        return replace(self, offset=self.offset + number * self.block_bytes)


def _bits(value: float) -> int:
    return int(np.array(value, np.float32).view(np.uint32))


def _select(memories: tuple[Memory, ...], memory: Memory) -> int:
    return next(i for i, m in enumerate(memories) if m.name == memory.name)


def vector_fields(
    vector: VectorUnit, a: Place, b: Place | None, y: Place, pixels: int, blocks: int, reduced: int = 1
) -> dict[str, int | Ref]:
    """Counts and streams: level 1 blocks, level 2 pixels, level 4 the blocks of `a` that are reduced."""
    counts = {1: blocks, 2: pixels}
    fields: dict[str, int | Ref] = {"n_1": blocks, "n_2": pixels, "n_4": reduced, "y_bound": 1, "x_bound": 1}
    for port, place, memories in (("a", a, vector.a), ("b", b, vector.b), ("y", y, vector.y)):
        if place is None:
            continue
        unit = vector.lanes * place.element_bytes
        words = place.buffer.memory.size_bytes // unit
        fields |= {f"{port}_select": _select(memories, place.buffer.memory), f"{port}_base": Ref(place.buffer, place.offset, unit)}
        steps = {1: place.block_bytes, 2: place.pixel_bytes}
        fields |= {f"{port}_stride_{level}": stride(count, steps[level], unit, words) for level, count in counts.items()}
        if port == "a":
            fields["a_stride_4"] = stride(reduced, place.block_bytes, unit, words)
    fields["b_enable"] = int(b is not None)
    return fields


def finish(step: Chain | None = None, *, high: int = 255) -> dict[str, int]:
    """Scales, estimate and clamp of a step; without one: scales of 1, clamp to [0, `high`]."""
    step = step or Chain("", "", high=high)
    scale, low = divide_constant(step.divisor) if step.divisor != 1.0 else scale_constant(1.0)
    fields = {
        "scale_a": _bits(step.scale_a), "scale_b": _bits(step.scale_b), "scale_y": scale, "scale_y_low": low,
        "y_zero": step.zero, "y_low": step.low, "y_high": step.high,
    }
    return fields | ({"estimate": ESTIMATES[step.estimate]} if step.estimate else {})


def matrix_fields(
    matrix: MatrixUnit, a: Place, first: int, blocks: int, c: Place, outputs: int, pixels: int, apart: int = 1
) -> dict[str, int | Ref]:
    """Counts and streams of `blocks` times `apart` input blocks of each pixel, from `first` on, into `outputs` blocks of accumulators.

    Of `apart` neighbours each has accumulators of its own, `c.block_bytes` from the next one's.
    """
    rows, word = matrix.rows, 4 * matrix.columns
    words, acc_words = a.buffer.memory.size_bytes // rows, c.buffer.memory.size_bytes // word
    return {
        "n_0": outputs, "n_3": blocks, "n_4": pixels, "n_5": apart, "y_bound": 1, "x_bound": 1,
        "a_base": Ref(a.buffer, a.offset + first * rows, rows), "a_stride_3": stride(blocks, apart * rows, rows, words),
        "a_stride_4": stride(pixels, a.pixel_bytes, rows, words), "a_stride_5": stride(apart, rows, rows, words),
        "c_base": Ref(c.buffer, c.offset, word), "c_stride_0": stride(outputs, word, word, acc_words),
        "c_stride_4": stride(pixels, c.pixel_bytes, word, acc_words), "c_stride_5": stride(apart, c.block_bytes, word, acc_words),
    }


def exact_parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int32, float32 powers of two) whose product is each float32 value; numbers below 2^-102, where that cannot be, become 0."""
    fraction, exponent = np.frexp(np.asarray(values, np.float32).astype(np.float64))
    integers, powers = np.rint(fraction * 2**24).astype(np.int32), exponent - 24
    integers = np.where(powers < LEAST_EXPONENT, 0, integers).astype(np.int32)
    return integers, np.ldexp(1.0, np.maximum(powers, LEAST_EXPONENT)).astype(np.float32)
