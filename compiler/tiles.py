"""What the tile pass makes: operations of one instruction each, on buffers that have no address yet.

    Buffer    a piece of one memory, alive from the first operation that touches it to the last
    Ref       a place in a buffer, in the units of the port that will address it
    Gap       the way from one buffer to another, in such units
    TileOp    one instruction-to-be: an engine, its fields (numbers or Refs), the buffers it reads and writes
    View      the part of a tensor that stands in a buffer, and how its coordinates become addresses
"""

from __future__ import annotations

from dataclasses import dataclass

from acg.graph import Memory
from compiler.partitions import Partition, base_bytes


@dataclass(eq=False, slots=True)
class Buffer:
    """A piece of `memory` of `size_bytes`.

    `content`: bytes that stand there from the start; `pinned`: in place during the whole program; `lasting`: a tensor that stays on chip
    between codelets; `border_bytes`: offset that would best lie at the border of two banks, 0 for none.

    `layer` is that of its first operation, `first` and `last` are positions of operations, `address` bytes within the memory; the allocate pass sets all four.
    """

    name: str
    memory: Memory
    size_bytes: int
    align_bytes: int
    content: bytes | None = None
    pinned: bool = False
    lasting: bool = False
    border_bytes: int = 0
    layer: int = -1
    first: int = -1
    last: int = -1
    address: int = -1


@dataclass(frozen=True, slots=True)
class Ref:
    """Byte `offset` into `buffer`, addressed in units of `unit_bytes`. The offset may be negative: virtual padding."""

    buffer: Buffer
    offset: int = 0
    unit_bytes: int = 1

    def resolve(self) -> int:
        """Address in units, once the buffer is placed."""
        units, rest = divmod(base_bytes(self.buffer.memory) + self.buffer.address + self.offset, self.unit_bytes)
        if rest or self.buffer.address < 0:
            raise AssertionError(f"{self.buffer.name}: address {self.buffer.address} + {self.offset} is not in units of {self.unit_bytes}")
        return units


@dataclass(frozen=True, slots=True)
class Gap:
    """Way from byte `start` of one buffer to byte `end` of another in the same memory, in units of `unit_bytes`: a stride between what placement has put
    apart."""

    source: Buffer
    start: int
    target: Buffer
    end: int
    unit_bytes: int

    def resolve(self) -> int:
        """The way in units, once both buffers are placed."""
        return Ref(self.target, self.end, self.unit_bytes).resolve() - Ref(self.source, self.start, self.unit_bytes).resolve()


@dataclass(eq=False, slots=True)
class TileOp:
    """One instruction-to-be of `engine`; `layer` numbers the codelet, `tile` says which part of it."""

    engine: str
    fields: dict[str, int | Ref | Gap]
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    layer: int
    tile: str

    def resolved(self) -> dict[str, int]:
        """Fields as numbers, once the buffers are placed."""
        return {name: value.resolve() if isinstance(value, Ref | Gap) else value for name, value in self.fields.items()}


@dataclass(frozen=True)
class View:
    """Elements (y0.., x0.., c0..) of a tensor in `buffer` from byte `offset`: `height` x `width` pixels of images from `n0`.

    Strides in bytes; `granule` channels lie side by side, and from one granule of a pixel to the next it is `granule_bytes` (0: all lie side by side).
    Coordinates passed to `at` are those of the tensor; places outside the view have an address too (never used).
    """

    buffer: Buffer
    offset: int
    image_bytes: int
    row_bytes: int
    pixel_bytes: int
    element_bytes: int
    height: int
    width: int
    n0: int = 0
    y0: int = 0
    x0: int = 0
    c0: int = 0
    granule: int = 1
    granule_bytes: int = 0

    def at(self, n: int, y: int, x: int, c: int) -> int:
        """Byte offset of an element within the buffer."""
        return (
            self.offset + (n - self.n0) * self.image_bytes + (y - self.y0) * self.row_bytes + (x - self.x0) * self.pixel_bytes
            + self._channel(c - self.c0)
        )

    def _channel(self, c: int) -> int:
        if not self.granule_bytes:
            return c * self.element_bytes
        return c // self.granule * self.granule_bytes + c % self.granule * self.element_bytes


def place_of(buffer: Buffer) -> tuple[str, int]:
    """Memory of the machine, and address there, of a buffer that is placed."""
    memory = buffer.memory
    return memory.within if isinstance(memory, Partition) else memory.name, base_bytes(memory) + buffer.address


def stride(count: int, step_bytes: int, unit_bytes: int, words: int) -> int:
    """Stride field of a level of `count` steps, in port words of `unit_bytes`; addresses wrap modulo the power of two above `words`."""
    if count <= 1:
        return 0
    units, rest = divmod(step_bytes, unit_bytes)
    if rest:
        raise AssertionError(f"stride of {step_bytes} bytes is not in units of {unit_bytes}")
    modulus = 1 << max(1, (words - 1).bit_length())
    return (units + modulus // 2) % modulus - modulus // 2 if abs(units) >= modulus else units


def ceil_div(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


def spans(total: int, step: int) -> list[tuple[int, int]]:
    """Cut [0, total) into pieces of `step`, the last one ragged.

    >>> spans(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(lo, min(lo + step, total)) for lo in range(0, total, step)]
