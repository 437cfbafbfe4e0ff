"""What values of a micro-program are in registers, and the steps of one that a core takes one by one.

A vector holds a plane of pixels, a granule of channels of each. Of a value there is, for each vector of pixels,

    element   narrow: a vector a plane; wide: four, a lane an element of its quarter
    pixel     one vector: the number in every lane of its pixel's word; a largest byte in every byte of its pixel's granule
    channel   a vector a plane, the numbers of the granule's channels as often as a quarter has pixels

All bytes of a kernel are signed, or all are not: products see one sign. Where a value is of the other its bytes are moved by 128, and its zero point too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from compiler.codelets.rows.row_program import Chain, Constant, Largest, Lookup, MicroOp, Neighbours, PixelSum, RowProgram, Total, Value, Weighted
from compiler.kernels.core import Misfit

__all__ = ["QUARTERS", "Rows", "Task", "moved_finish", "tasks"]

#: Quarters of a vector.
QUARTERS = 4
#: Planes that a reduction reads in one kernel; more of them are several, each of which goes on from the one before.
MOST_PLANES = 24


@dataclass(frozen=True, eq=False)
class Rows:
    """A micro-program with the sizes that its kernels need: `channels` of each tensor, channels of a granule."""

    program: RowProgram
    channels: Mapping[str, int]
    granule: int
    signed: bool

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """Values of the program's constants by name."""
        return {step.result: step.values for step in self.program.steps if isinstance(step, Constant)}

    @cached_property
    def granular(self) -> frozenset[str]:
        """Values one a pixel that stand in all bytes of its granule."""
        return frozenset(step.result for step in self.program.steps if isinstance(step, Largest))

    @cached_property
    def banded(self) -> dict[str, tuple[str, ...]]:
        """Sums over channels, each with the parts that a product makes of it one by one."""
        return {step.result: tuple(f"{step.result}~{number}" for number in range(len(self.parts(step))))
                for step in self.program.steps if isinstance(step, Neighbours | Weighted)}  # fmt: skip

    def parts(self, step: Neighbours | Weighted) -> list[list[tuple[str, np.ndarray]]]:
        """Terms (value, weights [channels of the result, channels of the value]) of each product: one of bytes that the program makes side by side."""
        if isinstance(step, Weighted):
            terms = list(step.terms)
        else:
            near = [np.arange(self.channels_of(name)) for name, _ in step.terms]
            terms = [(name, ((step.first[:, None] <= at) & (at <= step.last[:, None])).astype(np.uint8) * np.uint8(weight))
                     for (name, weight), at in zip(step.terms, near, strict=True)]  # fmt: skip
        made = all(name not in self.channels for name, _ in terms) and len({(self.zero(name), w.dtype) for name, w in terms}) == 1
        return [terms] if made else [[term] for term in terms]

    def value(self, name: str) -> Value:
        """The value of a name; of a part of a reduction that of the whole."""
        return self.program.values[name.partition("~")[0]]

    def extent(self, name: str) -> str:
        """'element', 'pixel', 'channel' or 'one'."""
        return "pixel" if name.partition("~")[0] in self.granular else self.value(name).extent

    def narrow(self, name: str) -> bool:
        """Whether a value one an element stands in bytes."""
        return not self.value(name).wide

    def channels_of(self, name: str) -> int:
        """Channels of a value one an element."""
        return self.channels.get(name) or self.program.channels or self.channels["x"]

    def planes_of(self, name: str) -> int:
        """Granules of channels of a value one an element."""
        return -(-self.channels_of(name) // self.granule)

    @property
    def planes(self) -> int:
        """Granules of channels of what the program makes."""
        return -(-(self.program.channels or self.channels["x"]) // self.granule)

    def moved(self, name: str) -> int:
        """What is added to the bytes of a narrow value, and to its zero point: 0, or 128 one way or the other."""
        signed = self.lowest_dtype(name) == "i8"
        return 0 if signed == self.signed else 128 if signed else -128

    def lowest_dtype(self, name: str) -> str:
        """Type of the bytes of a narrow value; a largest byte is of the type of those that it is the largest of."""
        base = name.partition("~")[0]
        if base in self.granular:
            step = next(step for step in self.program.steps if step.result == base)
            assert isinstance(step, Largest), f"{base} is a largest byte"
            return self.lowest_dtype(step.operand)
        return self.value(name).dtype

    def zero(self, name: str) -> int:
        """What is subtracted from the byte of a narrow value as it stands in registers."""
        value, base = self.value(name), name.partition("~")[0]
        lowest = -128 if base in self.granular and self.lowest_dtype(name) == "i8" else 0
        return value.zero + lowest + self.moved(name)

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest byte as kernels see bytes."""
        return (-128, 127) if self.signed else (0, 255)


@dataclass(frozen=True, eq=False)
class Task:
    """A step, or of a reduction the planes [first, last) of it, which goes on from `before`."""

    step: MicroOp
    result: str
    reads: tuple[str, ...]
    first: int = 0
    last: int = 0
    before: str = ""
    whole: bool = True
    terms: tuple[tuple[str, np.ndarray], ...] = ()

    @property
    def alone(self) -> bool:
        """Whether it is a segment by itself: a product, or a sum over pixels."""
        return isinstance(self.step, Neighbours | Weighted | PixelSum)

    @property
    def reduces(self) -> bool:
        """Whether it reads all channels of a pixel."""
        return isinstance(self.step, Total | Largest)


def tasks(rows: Rows) -> list[Task]:
    """The steps of a program in order, constants left out and long reductions in parts. Raises Misfit where one has no kernel."""
    found: list[Task] = []
    for step in rows.program.steps:
        named = dict.fromkeys(name for name in rows.program.operands(step) if name not in rows.constants)
        operands = tuple(part for name in named for part in rows.banded.get(name, (name,)))
        if isinstance(step, Constant):
            continue
        if isinstance(step, Total | Largest):
            count = max(rows.planes_of(name) if rows.extent(name) == "element" else 1 for name in operands)
            most = max(1, MOST_PLANES // len(operands))
            before = ""
            for first in range(0, count, most):
                last = min(count, first + most)
                name = step.result if last == count else f"{step.result}~{first}"
                found.append(Task(step, name, (*operands, before) if before else operands, first, last, before, last == count))
                before = name
        elif isinstance(step, Neighbours | Weighted):
            for name, terms in zip(rows.banded[step.result], rows.parts(step), strict=True):
                found.append(Task(step, name, tuple(dict.fromkeys(term for term, _ in terms)), terms=tuple(terms)))
        elif isinstance(step, Chain | Lookup | PixelSum):
            found.append(Task(step, step.result, operands))
        else:
            raise Misfit(f"{type(step).__name__} of a micro-program has no kernel yet")
    return found


def moved_finish(step: Chain, by: int) -> Chain:
    """A chain whose bytes come out moved by so much."""
    if not by:
        return step
    if step.table is not None:
        return replace(step, table=step.table.astype(np.uint8) ^ np.uint8(0x80))
    return replace(step, zero=step.zero + by, low=step.low + by, high=step.high + by)
