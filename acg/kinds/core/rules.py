"""What a description of a core must satisfy: sizes, memories, slots, latencies, and capabilities that its slots can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from acg.kinds.core.operations import FLOAT_STAGES, OUTER, SLOT_OPERATIONS
from acg.kinds.core.packets import packet_bits

if TYPE_CHECKING:
    from acg.nodes import Engine, Graph

__all__ = ["RULES", "least_latency"]

Found = Iterator[tuple[tuple[str, ...], str]]


def _sizes(graph: Graph, engine: Engine) -> Found:
    vector, granule = engine.number("vector_bytes"), engine.number("granule_bytes")
    for name in ("vector_bytes", "registers"):
        value = engine.number(name)
        if value & (value - 1):
            yield ("engines", engine.name, name), f"found {value}; expected a power of two"
    if granule * 4 > vector:
        yield ("engines", engine.name, "granule_bytes"), f"found {granule}; expected at most {vector // 4}, a quarter of a vector"


def _memories(graph: Graph, engine: Engine) -> Found:
    granule, vector = engine.number("granule_bytes"), engine.number("vector_bytes")
    seen = set()
    for link in (*graph.links_of(engine.name, "load"), *graph.links_of(engine.name, "store")):
        memory = graph.memories[link.memory]
        if link.memory in seen:
            continue
        seen.add(link.memory)
        if granule and memory.word_bytes % granule:
            yield (("memories", memory.name), f"has words of {memory.word_bytes} bytes; expected a multiple of {granule}, a granule of {engine.name!r}, at "
                   "any of which vectors begin")
        elif vector and memory.bank_bytes % vector:
            words = max(1, vector // memory.word_bytes)
            yield (("memories", memory.name, "depth_words"), f"found {memory.depth_words}; expected a multiple of {words}, the words of a vector of "
                   f"{engine.name!r}")
        other = next((o for o in graph.words_of(memory.name) if o.words > 1 and o.port_bytes != granule), None)
        if other is not None:
            yield (("engines", engine.name, "granule_bytes"), f"found {granule}; expected {other.port_bytes}, a granule of {other.engine!r}, which shares "
                   f"{memory.name!r}")


def least_latency(graph: Graph, engine: Engine, slot: str) -> int:
    """Least latency of a slot: that of the slowest of its operations, loads behind the slowest memory, floats behind the stages that the slot has."""
    names = _names(engine.tables["slots"][slot])
    stages = sum(cycles for stage, cycles, users in FLOAT_STAGES
                 if (not users or set(users) & set(names)) and (stage != "table" or engine.can("TABLE")))
    most = 0
    for operation in map(SLOT_OPERATIONS.__getitem__, names):
        more = graph.read_latency_cycles(engine.name, "load") if operation.moves == "load" else stages if operation.floats else 0
        most = max(most, operation.least_cycles + more)
    return most


def _slots(graph: Graph, engine: Engine) -> Found:
    slots, latencies = engine.tables["slots"], engine.tables["latency_cycles"]
    for name, operations in slots.items():
        assert isinstance(operations, tuple)
        for operation in dict.fromkeys(item for item in operations if operations.count(item) > 1):
            yield ("engines", engine.name, "slots", name), f"{operation} stands twice; expected it once, remove one of the two"
        if name not in latencies:
            yield ("engines", engine.name, "latency_cycles"), f"has no {name}; expected a number for each slot"
            continue
        least, found = least_latency(graph, engine, name), latencies[name]
        if isinstance(found, int) and found < least:
            yield ("engines", engine.name, "latency_cycles", name), f"found {found}; expected at least {least}, what its slowest operation takes"
    for name in latencies:
        if name not in slots:
            yield ("engines", engine.name, "latency_cycles", name), f"is no slot; expected one of {', '.join(slots)}"
    moving = [name for name, operations in slots.items() if any(SLOT_OPERATIONS[str(item)].moves for item in _names(operations))]
    offered = {item for operations in slots.values() for item in _names(operations)}
    if len(moving) > 1:
        yield ("engines", engine.name, "slots"), (f"slots {' and '.join(moving)} load or store; expected one of them, a core makes one access to memory a "
                                                  "packet")
    for port, needs in (("load", ("LDV", "LDW")), ("store", ("STV",))):
        if not offered & set(needs):
            yield ("engines", engine.name, "slots"), f"no slot has {' or '.join(needs)}; expected one, nothing would use port {port!r}"
    bits = packet_bits(engine.sizes, engine.tables)
    if bits > 8 * engine.number("packet_bytes"):
        yield (("engines", engine.name, "packet_bytes"), f"found {engine.number('packet_bytes')}; expected at least {(bits + 7) // 8}, a packet of these slots "
               f"has {bits} bits")


def _names(operations: object) -> tuple[str, ...]:
    assert isinstance(operations, tuple)
    return operations


def _capabilities(graph: Graph, engine: Engine) -> Found:
    offered = {item for operations in engine.tables["slots"].values() for item in _names(operations)}
    for capability in engine.capabilities:
        needs = OUTER.get(capability.operation, ())
        if needs and not offered & set(needs):
            yield (("engines", engine.name, "capabilities"), f"found {capability.operation}; expected {' or '.join(needs)} in one of the slots, add it there "
                   "or remove the capability")
    for operation in sorted(offered):
        served = [outer for outer, needs in OUTER.items() if operation in needs]
        if served and not any(engine.can(outer) for outer in served):
            yield (("engines", engine.name, "slots"), f"found {operation}; expected one of the capabilities {', '.join(served)}, which it serves, or no slot "
                   "that has it")


#: In the order of their messages.
RULES = (_sizes, _memories, _slots, _capabilities)
