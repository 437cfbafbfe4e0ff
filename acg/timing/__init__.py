"""Timing of engines and of the fetch unit, from the graph: the modules state the contract, kinds (`acg.kinds`) give them their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from acg.timing.fetch import DONE_CYCLES, FetchTiming

if TYPE_CHECKING:
    from acg.nodes import Graph

__all__ = ["DONE_CYCLES", "EngineTiming", "FetchTiming", "engine_timing", "fetch_timing"]


class EngineTiming(Protocol):
    """What the predictor asks of an engine; state moves forward with each instruction."""

    @property
    def ready_cycle(self) -> int:
        """Earliest cycle at which the next instruction may start."""

    def start(self, cycle: int, fields: Mapping[str, int]) -> int:
        """Start an instruction at ``cycle`` and return the cycle in which it retires."""


def fetch_timing(graph: Graph) -> FetchTiming:
    """Timing of the fetch unit of ``graph``."""
    from acg.isa import instruction_set

    external = graph.memories[graph.control.fetch_memory]
    return FetchTiming(
        instruction_bytes=instruction_set(graph).instruction_bytes, bus_bytes=external.bus_bytes,
        read_latency_cycles=external.read_latency_cycles, outstanding_bursts=graph.control.fetch_outstanding_bursts,
    )


def engine_timing(graph: Graph, name: str) -> EngineTiming:
    """A fresh timing state of one engine of ``graph``."""
    engine = graph.engines[name]
    return engine.specification.timing(graph, engine)
