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
#: An access, and of each place that it touches the number and the bytes [lo, hi) there.
_Cut = tuple[Access, tuple[tuple[int, int, int], ...]]


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

    def cut(self, accesses: Sequence[Access]) -> list[_Cut]:
        """Accesses, each with the places that it touches: their numbers, and the bytes [lo, hi) there."""
        result: list[_Cut] = []
        for access in accesses:
            size = self.place_bytes[access.memory]
            touched = places(access, access.memory == self.external)
            if len(touched) == 1:
                result.append((access, ((touched[0], access.lo_byte, access.hi_byte),)))
            else:
                result.append((access, tuple((place, max(access.lo_byte, place * size), min(access.hi_byte, (place + 1) * size)) for place in touched)))
        return result

    def conflicts(self, engine: str, accesses: Sequence[_Cut]) -> Needs:
        """Earlier instructions that must go before one of these accesses."""
        found: Needs = {}
        for access, pieces in accesses:
            memory, write, ordered = access.memory, access.write, access.self_ordered
            for place, lo, hi in pieces:
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

    def add(self, number: int, engine: str, accesses: Sequence[_Cut]) -> None:
        """Remember an instruction's accesses, and forget what its writes cover."""
        for access, pieces in accesses:
            memory, write = access.memory, access.write
            for place, lo, hi in pieces:
                if write:
                    for direction in (True, False):
                        rows = self._rows.get((memory, place, direction))
                        if rows:
                            self._rows[memory, place, direction] = _uncovered(rows, lo, hi)
                self._rows.setdefault((memory, place, write), []).append((lo, hi, number, engine, access.self_ordered))


def _uncovered(rows: list[_Row], lo: int, hi: int) -> list[_Row]:
    """What is left of rows outside [lo, hi)."""
    kept = [row for row in rows if row[1] <= lo or hi <= row[0]]
    if len(kept) < len(rows):
        for first, end, owner, engine, ordered in rows:
            if first < lo < end:
                kept.append((first, lo, owner, engine, ordered))
            if first < hi < end:
                kept.append((hi, end, owner, engine, ordered))
    return kept


def dependences(graph: Graph, instructions: Sequence[Instruction], footprints: Sequence[Sequence[Access]], chained: frozenset[str]) -> list[Needs]:
    """What each instruction needs, in the order given. Engines of `chained` keep their own order whatever they touch."""
    history = History(graph)
    newest: dict[str, int] = {}
    needs: list[Needs] = []
    for number, (instruction, accesses) in enumerate(zip(instructions, footprints, strict=True)):
        engine = instruction.engine
        cut = history.cut(accesses)
        found = history.conflicts(engine, cut)
        if engine in chained:
            found = {earlier: kind for earlier, kind in found.items() if kind}
            if engine in newest:
                found.setdefault(newest[engine], False)
            newest[engine] = number
        needs.append(found)
        history.add(number, engine, cut)
    return needs
