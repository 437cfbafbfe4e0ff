"""Timing of every engine kind, from the graph: the classes state the contract, this file gives them their numbers."""

from collections.abc import Mapping
from typing import Protocol

from acg.graph import Graph
from acg.timing.dma import LoadTiming, StoreTiming
from acg.timing.fetch import DONE_CYCLES, FetchTiming
from acg.timing.matrix import MatrixTiming
from acg.timing.vector import VectorTiming

__all__ = ["DONE_CYCLES", "EngineTiming", "engine_timing", "fetch_timing"]


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


def _latency(graph: Graph, engine: str, *ports: str) -> int:
    """Largest read latency of the memories behind ``ports``, in cycles."""
    return max(graph.memories[link.memory].read_latency_cycles for port in ports for link in graph.links_of(engine, port))


def engine_timing(graph: Graph, name: str) -> EngineTiming:
    """A fresh timing state of one engine of ``graph``."""
    engine = graph.engines[name]
    if engine.kind == "matrix":
        return MatrixTiming(
            rows=engine.rows, columns=engine.columns, organisation=engine.organisation,
            activation_latency_cycles=_latency(graph, name, "activation"), weight_latency_cycles=_latency(graph, name, "weight"),
            accumulator_latency_cycles=_latency(graph, name, "accumulator"),
        )
    if engine.kind == "vector":
        return VectorTiming(read_latency_cycles=_latency(graph, name, "a", "b", "parameter"))
    external = graph.external
    if engine.kind == "load":
        return LoadTiming(
            bus_bytes=external.bus_bytes, chunk_bytes=graph.chunk_bytes(name), outstanding_bursts=engine.outstanding_bursts,
            read_latency_cycles=external.read_latency_cycles,
        )
    return StoreTiming(
        bus_bytes=external.bus_bytes, chunk_bytes=graph.chunk_bytes(name), outstanding_bursts=engine.outstanding_bursts,
        write_latency_cycles=external.write_latency_cycles, source_latency_cycles=_latency(graph, name, "source"),
    )
