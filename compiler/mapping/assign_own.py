"""Engines for a codelet that begins with an operation which a package brings: one that offers it, and a vector unit for the rest of the chain.

All operands stand in one memory that the engine's ports reach. The engine writes int32 where the vector unit reads them, or, where the codelet has
nothing else, the result itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acg.graph import Engine
from acg.kinds.spec import Offer
from compiler.codelets import Codelet
from compiler.levels import Loop, levels_of
from compiler.partitions import Partition
from compiler.target import Target, VectorUnit, narrow

__all__ = ["OwnUnit", "assign_own"]

#: Loops that may be cut into tiles: images, rows and columns of the result.
TILED = ("n", "oy", "ox")


@dataclass(frozen=True)
class OwnUnit:
    """An engine for an operation: `levels` of its loop nest for the codelet's loops, and where it writes its result."""

    engine: Engine
    offer: Offer
    levels: Mapping[str, int]
    result: Partition

    def lanes(self, operand: int) -> int:
        """Elements of a word of an operand; of the result for -1."""
        stream = self.offer.operands[operand] if operand >= 0 else self.offer.result
        factor, size = self.engine.specification.port(self.engine.specification.stream(stream).ports[0]).lanes
        return factor * (self.engine.number(size) if size else 1)


def _loops(codelet: Codelet) -> tuple[Loop, ...]:
    roles = [*codelet.operations[0].operands, "y"]
    moved = {role: {loop for index in codelet.operands[role].index for loop, _ in index.terms} for role in roles}
    return tuple(
        Loop(loop.name, loop.name in moved["y"], tuple(number for number, role in enumerate(roles[:-1]) if loop.name in moved[role]))
        for loop in codelet.loops
    )


def assign_own(codelet: Codelet, target: Target) -> tuple[OwnUnit, VectorUnit | None, Partition, Partition] | None:
    """(unit, vector unit or None, memory of the operands, memory of the result) for a codelet; None where no engines can do it."""
    first, *rest = codelet.operations
    for engine in target.capable(first.name):
        kind = engine.specification
        offer = kind.offer(first.name)
        levels = levels_of(kind, offer, _loops(codelet))
        if any(loop.extent > 1 and loop.name not in levels and loop.name not in TILED for loop in codelet.loops):
            continue
        reached = [{link.memory for link in target.graph.links_of(engine.name, kind.stream(prefix).ports[0])} for prefix in offer.operands]
        sources = [target.partitions[name] for name in target.partitions if all(name in memories for memories in reached) and name in target.into]
        results = [target.partitions[link.memory] for link in target.graph.links_of(engine.name, kind.stream(offer.result).ports[-1])]
        for source in sources:
            for result in results:
                unit = OwnUnit(engine, offer, levels, result)
                if not rest:
                    return unit, None, source, result
                for vector in target.vector:
                    sink = narrow(vector.y, source)
                    able = all(vector.engine.can(operation.name) for operation in rest)
                    if able and sink is not None and any(memory.name == result.name for memory in vector.a):
                        return unit, vector, source, sink
    return None
