"""Finds where two executions of a program first differ: layer, instruction, address, cycle.

Plain data in, so that any two of the witnesses (reference, instruction-level simulator, RTL) can be held against each other: bytes of
memory regions, who wrote which bytes, and what each instruction stands for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Divergence", "Region", "Write", "first_divergence"]


@dataclass(frozen=True)
class Region:
    """Bytes of one memory region as two witnesses saw them.

    Attributes
    ----------
    name : str
        What the region holds: a tensor, or a memory.
    memory : str
        Name of the memory.
    address : int
        Byte address of the first byte.
    expected, actual : bytes
        Of one length.
    after : int or None
        The bytes were taken after this instruction (number in program order); None: after the program.
    """

    name: str
    memory: str
    address: int
    expected: bytes
    actual: bytes
    after: int | None = None


@dataclass(frozen=True)
class Write:
    """Instruction number, memory, byte address and size in bytes of a contiguous piece that the instruction writes."""

    instruction: int
    memory: str
    address: int
    size: int


@dataclass(frozen=True)
class Divergence:
    """The first difference: the differing byte whose last writer comes first in the program.

    Attributes
    ----------
    region, memory : str
    address : int
        Byte address of the difference.
    expected, actual : int
        The bytes.
    instruction : int or None
        Number of the instruction that wrote the byte; None if none did (an input or a constant).
    text : str
        Its disassembly.
    layer : str
        What the instruction belongs to: layer and tile.
    cycle : int or None
        Cycle in which it retired.
    differing_bytes : int
        How many bytes of the region differ.
    """

    region: str
    memory: str
    address: int
    expected: int
    actual: int
    instruction: int | None
    text: str
    layer: str
    cycle: int | None
    differing_bytes: int

    def __str__(self) -> str:
        where = f"{self.memory} address 0x{self.address:x} ({self.region}, {self.differing_bytes} bytes differ)"
        who = "not written by the program" if self.instruction is None else f"written by instruction {self.instruction} [{self.text}]"
        layer = f" of {self.layer}" if self.layer else ""
        when = f", retired in cycle {self.cycle}" if self.cycle is not None else ""
        return f"first divergence: {where}: found 0x{self.actual:02x}, expected 0x{self.expected:02x}; {who}{layer}{when}"


def _writers(region: Region, writes: Iterable[Write]) -> np.ndarray:
    """Number of the last instruction that wrote each byte of a region before it was taken, -1 for none; int64."""
    size = len(region.expected)
    writers = np.full(size, -1, np.int64)
    for write in writes:
        if write.memory != region.memory or (region.after is not None and write.instruction > region.after):
            continue
        low, high = max(write.address - region.address, 0), min(write.address + write.size - region.address, size)
        if low < high:
            np.maximum(writers[low:high], write.instruction, out=writers[low:high])
    return writers


def first_divergence(regions: Iterable[Region], *, writes: Sequence[Write] = (), provenance: Sequence[str] = (),
                     disassemble: Callable[[int], str] | None = None, retire_cycles: Sequence[int] | np.ndarray = ()) -> Divergence | None:
    """The divergence whose writer comes first in the program, or None if all regions agree.

    A byte that no instruction wrote (a wrong input or constant) counts as earlier than any instruction.

    Parameters
    ----------
    regions : iterable of Region
    writes : sequence of Write
        Bytes that each instruction writes, in any order.
    provenance : sequence of str
        Layer and tile of each instruction.
    disassemble : callable, optional
        Text of an instruction by its number.
    retire_cycles : sequence of int
        Cycle in which each instruction retired.

    Raises
    ------
    ValueError
        If a region's two byte strings differ in length, or no region was given.
    """
    best: tuple[int, int, int] | None = None
    found: tuple[Region, np.ndarray, int, int] | None = None
    compared = 0
    for order, region in enumerate(regions):
        compared += 1
        if len(region.expected) != len(region.actual):
            raise ValueError(f"divergence: region {region.name!r}: found {len(region.actual)} bytes, expected {len(region.expected)}")
        differing = np.flatnonzero(np.frombuffer(region.expected, np.uint8) != np.frombuffer(region.actual, np.uint8))
        if not differing.size:
            continue
        writers = _writers(region, writes)[differing]
        first = int(np.argmin(writers))     # the first of equal ones, so the lowest address
        rank = (int(writers[first]), order, int(differing[first]))
        if best is None or rank < best:
            best, found = rank, (region, differing, int(differing[first]), int(writers[first]))
    if not compared:
        raise ValueError("divergence: found no regions, expected at least one to compare")
    if found is None:
        return None
    region, differing, offset, writer = found
    instruction = writer if writer >= 0 else None
    known = instruction is not None
    return Divergence(
        region=region.name,
        memory=region.memory,
        address=region.address + offset,
        expected=region.expected[offset],
        actual=region.actual[offset],
        instruction=instruction,
        text=disassemble(writer) if known and disassemble is not None else "",
        layer=provenance[writer] if known and writer < len(provenance) else "",
        cycle=int(retire_cycles[writer]) if known and writer < len(retire_cycles) else None,
        differing_bytes=int(differing.size),
    )
