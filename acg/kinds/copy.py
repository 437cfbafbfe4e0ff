"""The kinds ``load`` and ``store``: strided copies between external and on-chip memory. One description, its ports exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from acg.kinds.rules import chunk_limit
from acg.kinds.spec import BUS, CHUNK, COUNT_BITS, Control, Counts, Depth, EngineKind, Offer, Port, Size, Stream
from acg.timing.dma import LoadTiming, StoreTiming

if TYPE_CHECKING:
    from acg.nodes import Engine, Graph

__all__ = ["LOAD", "STORE"]

#: Width of the count of a row's bytes.
ROW_BYTES_BITS = 24
#: Bytes that a table memory takes a cycle.
MOST_TABLE_BYTES = 256


def _load_timing(graph: Graph, engine: Engine) -> LoadTiming:
    external = graph.external
    return LoadTiming(
        bus_bytes=external.bus_bytes, chunk_bytes=graph.chunk_bytes(engine.name), outstanding_bursts=engine.number("outstanding_bursts"),
        read_latency_cycles=external.read_latency_cycles, address_cycles=engine.registers["address"],
    )


def _store_timing(graph: Graph, engine: Engine) -> StoreTiming:
    external = graph.external
    return StoreTiming(
        bus_bytes=external.bus_bytes, chunk_bytes=graph.chunk_bytes(engine.name), outstanding_bursts=engine.number("outstanding_bursts"),
        write_latency_cycles=external.write_latency_cycles, source_latency_cycles=graph.read_latency_cycles(engine.name, "source"),
        address_cycles=engine.registers["address"],
    )


def _work(graph: Graph, engine: Engine, fields: Mapping[str, int]) -> int:
    """Four times the bytes, a row no less than a beat of the bus."""
    return 4 * prod(fields.get(f"n_{level}", 1) for level in range(3)) * max(fields.get("n_3", 1), graph.external.bus_bytes)


def _copy(name: str, *, loads: bool) -> EngineKind:
    external = Port("source" if loads else "destination", loads, (1, BUS), memories=("external",), elements=("i8",))
    local = Port("destination" if loads else "source", not loads, (1, CHUNK), memories=("scratchpad", "table") if loads else ("scratchpad",), most=16,
                 masked=loads)
    return EngineKind(
        name=name,
        doc="{outstanding_bursts} bursts outstanding, {chunk} bytes a cycle",
        sizes=(Size("outstanding_bursts", 1, 64),),
        depths=(Depth("address", 0, 1, "between the address generators and the splitting of rows"),),
        ports=(external, local) if loads else (local, external),
        body=(
            Control("select", links_of=local.name),
            Counts((COUNT_BITS, COUNT_BITS, COUNT_BITS, ROW_BYTES_BITS)),
            Stream("ext", (external.name,), (0, 1, 2), unit="byte", row=3),
            Stream("local", (local.name,), (0, 1, 2), unit="byte", row=3, select="select"),
        ),
        offers=(Offer("COPY", result="local", operands=("ext",)) if loads else Offer("COPY", result="ext", operands=("local",)),),
        rules=(chunk_limit(MOST_TABLE_BYTES),),
        timing=_load_timing if loads else _store_timing,
        work=_work,
    )


LOAD, STORE = _copy("load", loads=True), _copy("store", loads=False)
