"""The compiler's view of memories: partitions, each a run of banks that hold one kind of thing.

A memory holds bytes, and the links on it say which elements a port sees there (`acg.nodes`). To tile and to place, the compiler needs to know
what stands where: a partition is a memory of its own, with the elements and the words that its ports see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from acg.graph import Element, Graph, Link, Memory

__all__ = ["Partition", "whole"]

_BYTE = Element("i8", 8)


@dataclass(frozen=True)
class Partition(Memory):
    """Banks of the memory `within`, from `first_bank` on, in words of `element`: sizes in words are those of such words, and addresses count from the
    first byte. A memory that is not cut is one partition of its name."""

    element: Element = _BYTE
    within: Memory | None = None
    first_bank: int = 0

    @property
    def lanes(self) -> int:
        """Elements of a word."""
        return self.word_bytes * 8 // self.element.bits

    @property
    def base_bytes(self) -> int:
        """Where it begins within its memory."""
        return self.first_bank * self.bank_bytes


def whole(graph: Graph, memory: Memory) -> Partition:
    """A memory as one partition."""
    return _partition(memory, memory.name, graph.words_of(memory.name), 0, memory.banks)


def _partition(memory: Memory, name: str, links: Iterable[Link], first_bank: int, banks: int) -> Partition:
    """So many banks of a memory, with the elements that these links carry: bytes where there are several types, or none."""
    elements = {link.element for link in links}
    same = {field.name: getattr(memory, field.name) for field in fields(memory)}
    return Partition(**same | {"name": name, "banks": banks}, element=elements.pop() if len(elements) == 1 else _BYTE, within=memory, first_bank=first_bank)
