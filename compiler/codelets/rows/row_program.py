"""A micro-program on rows of pixels, or on images of them: named values and steps on them, no memory, no engine, no tile.

A value has an extent: one an `element`, one a `pixel`, one a `channel` (the same for all pixels), or `one` for all; an element type, i32
and f32 being kept in 32 bits. From the first wide value an element, or the first scale a channel on, all steps of most programs are element by element:
a tiler may take the channels of that tail in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Value:
    """A value of the program: `extent` 'element', 'pixel', 'channel' or 'one'; `dtype` u8, i8, i32 or f32; `zero` is subtracted on reading."""

    extent: str
    dtype: str
    zero: int = 0

    @property
    def wide(self) -> bool:
        """Whether an element takes 32 bits."""
        return self.dtype in ("i32", "f32")


@dataclass(frozen=True)
class Total:
    """`result` (pixel, i32) = sum over the channels of weight * (value - zero), over all (value, weight) of `terms`. Weights 0 to 255.

    Of a value one a pixel the sum is weight * (value - zero) itself.
    """

    result: str
    terms: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """`result` (element, i32): of each channel c the sum of weight * value over the channels `first`[c] to `last`[c] and all (value, weight) of `terms`.

    Values are bytes one an element, their zeros subtracted; weights 0 to 255.
    """

    result: str
    terms: tuple[tuple[str, int], ...]
    first: np.ndarray
    last: np.ndarray


@dataclass(frozen=True, eq=False)
class Weighted:
    """`result` (element, i32): of each channel of the result the sum of weight * value over the value's channels and all (value, weights) of `terms`.

    Values are bytes one an element, their zeros subtracted; weights int8 or uint8 (channels of the result, channels of the value).
    """

    result: str
    terms: tuple[tuple[str, np.ndarray], ...]


@dataclass(frozen=True)
class PixelSum:
    """`result` (channel, i32) = sum over the pixels of an image of (operand - zero), one a channel.

    A program with such sums works on images: the steps up to the last of them on each pixel, then those that make values one a channel, then the
    others on each pixel again. All its wide values one an element but sums over neighbours are of the last part.
    """

    result: str
    operand: str


@dataclass(frozen=True)
class Largest:
    """`result` (pixel, u8) = largest (operand - lowest value of its type) of the channels."""

    result: str
    operand: str


@dataclass(frozen=True, eq=False)
class Constant:
    """`result` (channel or one) = `values`: one a channel, or one; float32, or of a channel uint8 also."""

    result: str
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Chain:
    """One pass of a lane-by-lane unit: result = finish((a - zero [+ bias of the channel]) * scale_a [or scale of the channel] `binary` (b - zero) * scale_b).

    finish: divide by `divisor`; then, for a wide result, `estimate` of one over it or over its root; for bytes round, add `zero`, clamp to
    [`low`, `high`], look up in `table`. `binary`: ADD, MUL, MAX or none.
    """

    result: str
    a: str
    b: str = ""
    binary: str = ""
    scale_a: float = 1.0
    scale_b: float = 1.0
    channel_scale: np.ndarray | None = None
    channel_bias: np.ndarray | None = None
    divisor: float = 1.0
    estimate: str = ""
    zero: int = 0
    low: int = 0
    high: int = 255
    table: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Lookup:
    """`result` (element, u8) = `table`[raw byte of a]."""

    result: str
    a: str
    table: np.ndarray


@dataclass(frozen=True)
class Product:
    """`result` (element, i32) = the sums of product `number` of the codelet."""

    result: str
    number: int


MicroOp = Product | Total | Neighbours | Weighted | PixelSum | Largest | Constant | Chain | Lookup


@dataclass(frozen=True, eq=False)
class RowProgram:
    """`values` by name, 'x' and 'y' among them, and `steps` in order; `images` that the pixels belong to, for sums over those of an image.

    `channels`: of y and all values one an element but the inputs, where these have others (0: as many as x).
    """

    values: dict[str, Value] = field(default_factory=dict)
    steps: tuple[MicroOp, ...] = ()
    images: int = 1
    channels: int = 0

    def operands(self, step: MicroOp) -> tuple[str, ...]:
        """Names that a step reads."""
        match step:
            case Total() | Neighbours() | Weighted():
                return tuple(name for name, _ in step.terms)
            case Largest() | PixelSum():
                return (step.operand,)
            case Lookup():
                return (step.a,)
            case Chain():
                return (step.a, step.b) if step.b else (step.a,)
        return ()

    @property
    def tables(self) -> int:
        """Tables that the steps look up in."""
        return sum(isinstance(step, Chain | Lookup) and step.table is not None for step in self.steps)

    @property
    def of_images(self) -> bool:
        """Whether there are sums over the pixels of an image."""
        return any(isinstance(step, PixelSum) for step in self.steps)

    @cached_property
    def tail(self) -> int:
        """Position of the first step that makes a wide value an element or a constant a channel for it, or has a scale a channel; where a sum or a largest
        element of the channels follows, there is no tail."""
        wide = {name for name, value in self.values.items() if value.wide and value.extent in ("element", "channel")}
        scaled = {i for i, step in enumerate(self.steps) if isinstance(step, Chain) and step.channel_scale is not None}
        first = next((i for i, step in enumerate(self.steps) if step.result in wide or i in scaled), len(self.steps))
        whole = max((i for i, step in enumerate(self.steps) if isinstance(step, Total | Largest)), default=-1)
        return first if whole < first else len(self.steps)
