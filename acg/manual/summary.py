"""What a machine amounts to, in numbers, and what of it nothing can use: `covenant arch check` shows both."""

from math import prod

from acg.graph import Engine, Graph
from acg.isa import instruction_set
from acg.kinds import formulas
from acg.kinds.spec import CHUNK

__all__ = ["multiply_accumulates", "totals", "warnings"]


def multiply_accumulates(engine: Engine) -> int:
    """Products of integers that an engine adds up a cycle: of its operations of two 9-bit operands the most elements, 0 without any."""
    most = 0
    for offer in engine.specification.offers:
        formula = formulas()[offer.operation]
        if engine.can(offer.operation) and offer.dimensions and [operand.element for operand in formula.operands] == ["i9", "i9"]:
            most = max(most, engine.issues(offer.operation) * prod(engine.number(size) for _, size in offer.dimensions))
    return most


def totals(graph: Graph) -> dict:
    """Figures of a machine: multiply-accumulates and bytes a cycle, bytes on chip, bits of the instructions of each engine."""
    isa = instruction_set(graph)
    return {
        "macs_per_cycle_by_engine": {name: macs for name, engine in graph.engines.items() if (macs := multiply_accumulates(engine))},
        "external_bytes_per_cycle": graph.external.bus_bytes,
        "port_bytes_per_cycle": {
            engine.name: sum(max(link.access_bytes for link in graph.links_of(engine.name, port.name)) for port in engine.ports if not port.built_in)
            for engine in graph.engines.values()},
        "on_chip_bytes_by_memory": {memory.name: memory.size_bytes for memory in graph.memories.values() if memory.kind != "external"},
        "instruction_bits": isa.instruction_bits,
        "instruction_bits_by_engine": {name: isa.body_lsb + layout.body_bits for name, layout in isa.formats.items()},
    }


def warnings(graph: Graph) -> list[str]:
    """What is legal and of no use, each with what to do."""
    return [*_links(graph), *_memories(graph), *_engines(graph), *_copies(graph)]


def _links(graph: Graph) -> list[str]:
    found = []
    for engine, port, memory in graph.idle_links:
        needs = graph.engines[engine].specification.port_needs(port)
        found.append(f"links: port {port!r} of {engine!r} on {memory!r} is not built, it serves {', '.join(needs)} alone, which the engine does not offer; "
                     "remove the link or add a capability")
    return found


def _memories(graph: Graph) -> list[str]:
    found = []
    for memory in graph.memories.values():
        if memory.kind == "external":
            continue
        readers, writers = (any(link.memory == memory.name and link.reads == reads for link in graph.links) for reads in (True, False))
        if not readers and not writers:
            found.append(f"memories.{memory.name}: nothing reaches it, {memory.size_bytes:,} bytes are not built; add links or remove it")
        elif not readers:
            found.append(f"memories.{memory.name}: nothing reads what is written there; add a link or remove it")
        elif not writers:
            found.append(f"memories.{memory.name}: nothing writes what is read there; add a link or remove it")
    return found


def _engines(graph: Graph) -> list[str]:
    """Engines that no data reaches from external memory, or whose results do not reach it."""
    filled, drained = _reached(graph, forward=True), _reached(graph, forward=False)
    found = []
    for name in graph.engines:
        dry = sorted({link.memory for link in graph.links if link.engine == name and link.reads and link.memory not in filled})
        lost = sorted({link.memory for link in graph.links if link.engine == name and not link.reads and link.memory not in drained})
        if dry and not any(link.memory in filled for link in graph.links if link.engine == name and link.reads):
            found.append(f"engines.{name}: nothing can use it, no data from external memory reaches {' or '.join(dry)}; add a link of an engine that "
                         "copies there")
        if lost and not any(link.memory in drained for link in graph.links if link.engine == name and not link.reads):
            found.append(f"engines.{name}: nothing can use it, its results in {' or '.join(lost)} reach no external memory; add a link of an engine that "
                         "reads there")
    return found


def _reached(graph: Graph, *, forward: bool) -> set[str]:
    """Memories that data from external memory reaches, engine by engine; or, backward, from which data reaches it."""
    reached, before = {graph.external.name}, set[str]()
    while reached != before:
        before = set(reached)
        for name in graph.engines:
            links = [link for link in graph.links if link.engine == name]
            if any(link.memory in reached and link.reads == forward for link in links):
                reached |= {link.memory for link in links if link.reads != forward}
    return reached


def _copies(graph: Graph) -> list[str]:
    """Copies whose capability says another number than the links move."""
    found = []
    for engine in graph.engines.values():
        if any(port.lanes[1] == CHUNK for port in engine.ports):
            chunk = graph.chunk_bytes(engine.name)
            found += [f"engines.{engine.name}: {capability} says {capability.result.shape[0]} bytes a cycle, its links move {chunk}; write {chunk}, or chunk"
                      for capability in engine.capabilities if capability.result.shape[:1] not in ((), (chunk,))]
    return found
