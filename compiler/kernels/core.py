"""What the kernel passes know of a core: slots, latencies, vectors, registers. All of it is data: nothing in this folder depends on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from acg.graph import Engine
from acg.kinds.core.operations import SLOT_OPERATIONS

__all__ = ["Core", "Misfit", "core_of"]


class Misfit(Exception):
    """A body that a core cannot hold: too few registers, packets, stages, or no slot for an operation. Whoever asked tries a smaller one."""


@dataclass(frozen=True)
class Core:
    """A core as a scheduler sees it.

    Attributes
    ----------
    vector_bytes, granule_bytes, registers, in_streams, out_streams, packets, parameter_sets : int
        Of a register; of what a load may start at; numbers of the rest, `packets` of the code memory.
    slots : tuple[tuple[str, int, tuple[str, ...]], ...]
        Each slot, its latency (cycles from an issue until the result may be read), and the operations that it can issue, in the order of the packet.
    late_reads : tuple[tuple[str, str], ...]
        Operands (operation, field) that are read in the last cycle before the result, not at the issue: addends.
    stages : int
        Values of the field `stage`.
    """

    vector_bytes: int
    granule_bytes: int
    registers: int
    in_streams: int
    out_streams: int
    packets: int
    parameter_sets: int
    slots: tuple[tuple[str, int, tuple[str, ...]], ...]
    late_reads: tuple[tuple[str, str], ...]
    stages: int = 8

    @property
    def lanes(self) -> int:
        """int32 lanes of a vector."""
        return self.vector_bytes // 4

    @property
    def pixels(self) -> int:
        """Granules of a vector: neighbouring pixels of a plane of channels."""
        return self.vector_bytes // self.granule_bytes

    @property
    def words(self) -> int:
        """Words of four channels in a granule."""
        return self.granule_bytes // 4

    @cached_property
    def latency(self) -> dict[str, int]:
        """Latency of each operation: where slots differ that of most of them, of as many the least."""
        found: dict[str, list[int]] = {}
        for _, latency, operations in self.slots:
            for operation in operations:
                found.setdefault(operation, []).append(latency)
        return {operation: min(sorted(set(values)), key=lambda value: -values.count(value)) for operation, values in found.items()}

    @cached_property
    def where(self) -> dict[str, tuple[str, ...]]:
        """Slots of each operation, those of its latency."""
        found: dict[str, tuple[str, ...]] = {}
        for slot, latency, operations in self.slots:
            for operation in operations:
                if self.latency[operation] == latency:
                    found[operation] = (*found.get(operation, ()), slot)
        return found

    @cached_property
    def _late(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.late_reads)

    def read_stage(self, operation: str, field: str) -> int:
        """Cycles from the issue of an operation until it reads an operand."""
        return self.latency[operation] - 1 if (operation, field) in self._late else 0

    def slots_of(self, operation: str) -> tuple[str, ...]:
        """Slots that can issue an operation. Raises Misfit where none can."""
        found = self.where.get(operation)
        if not found:
            raise Misfit(f"no slot issues {operation}")
        return found

    def can(self, *operations: str) -> bool:
        """Whether some slot issues each of these operations."""
        return all(operation in self.where for operation in operations)


def core_of(engine: Engine, packets: int) -> Core:
    """What the passes know of an engine of the graph, whose code memory holds so many packets."""
    latencies, offered = engine.tables["latency_cycles"], engine.tables["slots"]
    slots = []
    for name, operations in offered.items():
        latency = latencies[name]
        assert isinstance(latency, int) and not isinstance(operations, int), "latencies are numbers, slots lists of operations"
        slots.append((name, latency, operations))
    late = tuple((name, operation.adds) for name, operation in SLOT_OPERATIONS.items() if operation.adds)
    vector, granule, registers, in_streams, out_streams, sets = (
        engine.number(name) for name in ("vector_bytes", "granule_bytes", "registers", "in_streams", "out_streams", "parameter_sets")
    )
    return Core(vector, granule, registers, in_streams, out_streams, packets, sets, tuple(slots), late)
