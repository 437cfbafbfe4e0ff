"""One instruction of a programmable engine: a kernel, how often its parts run, and where its streams go.

    before   kernel of 128 packets; activations: 49 tiles of 8 pixels, 4 planes
    after    fields  body_packets 128, body_count 49, iterations 49, in0_base .., in0_n_4 49, in0_stride_4 8, in0_x_step_4 8, in0_n_5 4, ..

A level of a stream has a number of iterations, the bytes that it moves the address by, and the rows and pixels that it moves the coordinates by, outermost
first. Levels that go on where the one within them ends are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acg.kinds.core.packets import packet_format
from acg.primitives import divide_constant, scale_constant
from compiler.codelets import Finish
from compiler.kernels.pack import Packed
from compiler.partitions import Partition
from compiler.target import CoreUnit
from compiler.tiles import Buffer, Gap, Ref, TileOp, stride
from compiler.tiling.chain import Region, float_bits
from compiler.tiling.tile_context import TileContext

__all__ = ["LEVELS", "Bounds", "Launch", "Step", "code_of", "merged"]

#: Levels of a stream.
LEVELS = 6


@dataclass(frozen=True)
class Step:
    """A level of a stream: iterations, bytes, rows and pixels."""

    count: int
    bytes: int
    y: int = 0
    x: int = 0

    def around(self, inner: Step) -> Step | None:
        """One level in place of this and the one within it, where this goes on where that ends."""
        one = tuple(size * inner.count for size in (inner.bytes, inner.y, inner.x))
        return Step(self.count * inner.count, inner.bytes, inner.y, inner.x) if one == (self.bytes, self.y, self.x) else None


@dataclass(frozen=True)
class Bounds:
    """Coordinates (y, x) of the first pixel of a stream, and from where on there is nothing any more."""

    origin: tuple[int, int]
    size: tuple[int, int]


def merged(steps: Sequence[Step]) -> list[Step]:
    """The levels that iterate, as few as can be."""
    found: list[Step] = []
    for step in steps:
        if step.count == 1:
            continue
        both = found[-1].around(step) if found else None
        if both is not None:
            found[-1] = both
        else:
            found.append(step)
    return found


def code_of(unit: CoreUnit, kernel: Packed) -> bytes:
    """A kernel as it stands in the code memory."""
    form = packet_format(unit.engine)
    return b"".join(form.encode(packet) for packet in kernel.packets)


class Launch:
    """An instruction-to-be of a core."""

    def __init__(self, unit: CoreUnit, kernel: Packed, code: Buffer, *, tiles: int, iterations: int) -> None:
        """``iterations`` a tile, of which the head is some where there is one."""
        self.unit = unit
        own = kernel.head_iterations
        self.reads, self.writes = [code], list[Buffer]()
        self.fields: dict[str, int | Ref | Gap] = {
            "code_base": Ref(code, 0, unit.engine.number("packet_bytes")), "prologue_packets": len(kernel.prologue), "head_packets": len(kernel.head),
            "body_packets": len(kernel.body), "body_count": iterations - own, "tiles": tiles, "drain_packets": kernel.drain,
            "iterations": tiles * iterations,
        }

    def numbers(self, *, a: tuple[bool, int] = (True, 0), w: tuple[bool, int] = (True, 0)) -> Launch:
        """Signedness and zero point of both operands of a product."""
        self.fields |= {"a_signed": int(a[0]), "a_zero": a[1], "w_signed": int(w[0]), "w_zero": w[1]}
        return self

    def parameters(self, number: int, finish: Finish, region: Region | None = None, table: Buffer | None = None) -> Launch:
        """A set of numbers of requantisation, as `compiler.tiling.chain.finish_chain` gives a vector unit."""
        divisor = 1.0 if region is None else region.divisor
        high, low = divide_constant(divisor) if divisor != 1.0 else scale_constant(1.0)
        scale_a = 1.0 if region is None else region.scale_a
        values = {"scale_a": float_bits(scale_a), "scale_b": float_bits(finish.scale_b), "scale_y": high, "scale_y_low": low, "zero": finish.zero,
                  "low": finish.low, "high": finish.high}  # fmt: skip
        self.fields |= {f"q{number}_{name}": value for name, value in values.items()}
        if table is not None:
            self.fields |= {f"q{number}_table_enable": 1, f"q{number}_table_select": Ref(table, 0, table.memory.bank_bytes)}
            self.reads.append(table)
        return self

    def moved_zero(self, number: int, zero: int) -> Launch:
        """What REQB subtracts of a byte comes back behind its rounding."""
        field = f"q{number}_zero"
        before = self.fields[field]
        assert isinstance(before, int), "zero points are numbers"
        self.fields[field] = before + zero
        return self

    def stream(self, name: str, place: Buffer, offset_bytes: int, steps: Sequence[Step], granules: int, bounds: Bounds | None = None, *,
               one_pixel: bool = False) -> Launch:
        """An operand or the result: ``granules`` an access, neighbouring pixels unless they are ``one_pixel``, from a byte of a buffer on."""
        fields, granule = self.fields, self.unit.core.granule_bytes
        memory = place.memory
        within, size = (memory.within, memory.within_bytes) if isinstance(memory, Partition) else (memory.name, memory.size_bytes)
        levels = merged(steps)
        assert len(levels) <= LEVELS, f"a stream of {len(levels)} levels"
        fields |= {f"{name}_enable": 1, f"{name}_select": self._link(name, within), f"{name}_granules": granules,
                   f"{name}_base": Ref(place, offset_bytes, granule)}  # fmt: skip
        for level, step in enumerate(levels, LEVELS - len(levels)):
            fields[f"{name}_n_{level}"] = step.count
            fields[f"{name}_stride_{level}"] = stride(step.count, step.bytes, granule, size // granule)
            if bounds is not None:
                fields |= {f"{name}_y_step_{level}": step.y, f"{name}_x_step_{level}": step.x}
        if bounds is not None:
            fields |= {f"{name}_bounded": 1, f"{name}_y_origin": bounds.origin[0], f"{name}_x_origin": bounds.origin[1],
                       f"{name}_x_step_word": int(not one_pixel),
                       f"{name}_y_bound": bounds.size[0], f"{name}_x_bound": bounds.size[1]}  # fmt: skip
        (self.writes if name.startswith("out") else self.reads).append(place)
        return self

    def _link(self, name: str, memory: str) -> int:
        """Number of the link by which a stream reaches a memory."""
        specification = self.unit.engine.specification
        links = self.unit.links[specification.stream(name).ports[0]]
        return links.index(memory)

    def add(self, context: TileContext, label: str) -> None:
        """Add it to the operations. Raises LengthError."""
        context.append(TileOp(self.unit.engine.name, self.fields, tuple(self.reads), tuple(self.writes), context.layer, label))
