"""The fingerprint: a hash of the canonical graph, in the RTL's ID register and in every program."""

import hashlib
import json

from acg.nodes import Engine, Graph, Memory
from acg.packages import packages_by_kind

__all__ = ["canonical", "fingerprint"]

#: Changes when the meaning of a graph changes (encodings, timing contract): old programs are then refused.
CONTRACT_VERSION = 1


#: Sizes that the first kinds had, each engine giving all of them, and what stands for one that its kind lacks.
_FIRST_SIZES = (("organisation", ""), ("rows", 0), ("columns", 0), ("lanes", 0), ("outstanding_bursts", 0))


def _further_sizes(engine: Engine) -> list[list]:
    first = {name for name, _ in _FIRST_SIZES}
    tables = [[name, [[key, value] for key, value in table.items()]] for name, table in engine.tables.items()]
    depths = [["pipeline", [[name, value] for name, value in engine.pipeline.items()]]] if engine.pipeline else []
    return [[name, value] for name, value in engine.sizes.items() if name not in first] + tables + depths


def _outside(engine: Engine) -> list[str]:
    """What distinguishes versions of a kind from outside: the digest of what its instructions look like. Our own kinds change with `CONTRACT_VERSION`."""
    if engine.kind not in packages_by_kind():
        return []
    kind = engine.specification
    return [hashlib.sha256(repr((kind.sizes, kind.ports, kind.body, kind.offers)).encode()).hexdigest()[:16]]


def _words(memory: Memory, elements: dict[str, int]) -> list[str | int]:
    """Type and number of the elements of a memory's word; bytes where nothing or several types are read of it."""
    if len(elements) != 1:
        return ["i8" if not elements else "", memory.word_bytes]
    (name, bits), = elements.items()
    return [name, memory.word_bytes * 8 // bits]


def canonical(graph: Graph) -> str:
    """Canonical JSON of a graph: nodes by their place in the description, so that names do not matter."""
    elements = {name: {link.element.name: link.element.bits for link in graph.words_of(name)} for name in graph.memories}
    memory_index = {name: index for index, name in enumerate(graph.memories)}
    value = {
        "contract": CONTRACT_VERSION,
        "control": [graph.control.discipline, graph.control.queue_depth, memory_index[graph.control.fetch_memory], graph.control.fetch_outstanding_bursts],
        "memories": [
            [m.kind, *_words(m, elements[m.name]), m.banks, m.depth_words, m.read_latency_cycles, m.size_bytes, m.bus_bits, m.address_bits,
             m.write_latency_cycles]
            for m in graph.memories.values()
        ],
        "engines": [
            [e.kind, *_outside(e), [str(c) for c in e.capabilities], *[e.sizes.get(name, none) for name, none in _FIRST_SIZES], *_further_sizes(e)]
            for e in graph.engines.values()
        ],
        "links": [
            [graph.engines[link.engine].index, memory_index[link.memory], link.port, link.reads,
             *([link.element.name] if len(elements[link.memory]) > 1 else [])] for link in graph.links
        ],
    }
    return json.dumps(value, separators=(",", ":"))


def fingerprint(graph: Graph) -> int:
    """64-bit fingerprint: the first eight bytes of SHA-256 over :func:`canonical`."""
    return int.from_bytes(hashlib.sha256(canonical(graph).encode()).digest()[:8], "big")
