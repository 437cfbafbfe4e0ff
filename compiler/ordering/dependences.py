"""Which instructions must go before which, by what they touch.

Two instructions depend on each other when their byte intervals overlap and one writes. The later awaits the retire of the earlier. Not
so on one engine, which runs in order and pipelined: there the order of starts suffices for write after read and write after write, and
for read after write where the engine keeps the order itself (`Access.self_ordered`).

What a write covers of an earlier access is
ordered through that write from now on, so it is forgotten: an instruction is found to depend only on the newest accesses to its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from acg.footprint import Access
from acg.graph import Graph
from acg.isa import Instruction

#: Accesses to external memory are looked up by pages of this many bytes.
PAGE_BYTES = 1 << 16

#: Earlier instructions that must go first: number to whether their retire must be awaited (else the order of starts suffices).
Needs = dict[int, bool]
#: Of an earlier access, within one place: lo_byte, hi_byte, number of the instruction, engine, self_ordered.
_Row = tuple[int, int, int, str, bool]


def places(access: Access, external: bool) -> range:
    """Pages of external memory, or banks of another, that an access may touch."""
    if external:
        return range(access.lo_byte // PAGE_BYTES, (access.hi_byte - 1) // PAGE_BYTES + 1)
    return range(access.first_bank, access.last_bank + 1)


class History:
    """Accesses so far, by memory, place and direction, each cut to the bytes of its place that no later write covers."""

    def __init__(self, graph: Graph) -> None:
        self.external = graph.external.name
        self.place_bytes = {name: PAGE_BYTES if name == self.external else memory.bank_bytes for name, memory in graph.memories.items()}
        self._rows: dict[tuple[str, int, bool], list[_Row]] = {}

    def _pieces(self, access: Access) -> list[tuple[int, int, int]]:
        """Of each place that an access touches: its number, and the bytes [lo, hi) there."""
        size = self.place_bytes[access.memory]
        return [
            (place, max(access.lo_byte, place * size), min(access.hi_byte, (place + 1) * size))
            for place in places(access, access.memory == self.external)
        ]

    def conflicts(self, engine: str, accesses: Sequence[Access]) -> Needs:
        """Earlier instructions that must go before one of these accesses."""
        found: Needs = {}
        for access in accesses:
            memory, write, ordered = access.memory, access.write, access.self_ordered
            for place, lo, hi in self._pieces(access):
                for other_lo, other_hi, number, other_engine, other_ordered in self._rows.get((memory, place, True), ()):
                    if lo < other_hi and other_lo < hi:
                        if other_engine != engine or not (write or (ordered and other_ordered)):
                            found[number] = True
                        else:
                            found.setdefault(number, False)
                if write:
                    for other_lo, other_hi, number, other_engine, _ in self._rows.get((memory, place, False), ()):
                        if lo < other_hi and other_lo < hi:
                            if other_engine != engine:
                                found[number] = True
                            else:
                                found.setdefault(number, False)
        return found

    def add(self, number: int, engine: str, accesses: Sequence[Access]) -> None:
        """Remember an instruction's accesses, and forget what its writes cover."""
        for access in accesses:
            memory, write = access.memory, access.write
            for place, lo, hi in self._pieces(access):
                if write:
                    for direction in (True, False):
                        rows = self._rows.get((memory, place, direction))
                        if rows:
                            self._rows[memory, place, direction] = _uncovered(rows, lo, hi)
                self._rows.setdefault((memory, place, write), []).append((lo, hi, number, engine, access.self_ordered))


def _uncovered(rows: list[_Row], lo: int, hi: int) -> list[_Row]:
    """What is left of rows outside [lo, hi)."""
    kept = []
    for row in rows:
        first, end, owner, engine, ordered = row
        if end <= lo or hi <= first:
            kept.append(row)
            continue
        if first < lo:
            kept.append((first, lo, owner, engine, ordered))
        if hi < end:
            kept.append((hi, end, owner, engine, ordered))
    return kept


def dependences(graph: Graph, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]], chained: frozenset[str]) -> list[Needs]:
    """What each instruction needs, in the order given. Engines of `chained` keep their own order whatever they touch."""
    history = History(graph)
    newest: dict[str, int] = {}
    needs: list[Needs] = []
    for number, (instruction, accesses) in enumerate(zip(instructions, footprints, strict=True)):
        engine = instruction.engine
        found = history.conflicts(engine, accesses)
        if engine in chained:
            found = {earlier: kind for earlier, kind in found.items() if kind}
            if engine in newest:
                found.setdefault(newest[engine], False)
            newest[engine] = number
        needs.append(found)
        history.add(number, engine, accesses)
    return needs
