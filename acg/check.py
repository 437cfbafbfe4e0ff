"""What a graph must satisfy to become a machine. Every refusal says where, what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable

from acg.errors import ArchitectureError
from acg.kinds import KINDS, formulas
from acg.kinds.spec import Port
from acg.nodes import Engine, Graph
from acg.operations import signature
from acg.schema import ArchitectureModel
from acg.yaml_source import Source

__all__ = ["check_graph", "check_structure"]

Say = Callable[[tuple, str], None]

_MOST_ENGINES = 16


def check_structure(model: ArchitectureModel, source: Source) -> None:
    """Names, links and ports: what must hold before a graph can be built. Raises ArchitectureError with all problems."""
    problems: list[str] = []
    say = problems.append
    for name in model.engines:
        if name in model.memories:
            say(f"{source.where(('engines', name))}: the name is that of a memory too; expected each node once, rename one of the two")
        if name == "fetch":
            say(f"{source.where(('engines', name))}: the name is that of the instruction fetch's AXI port; expected another, rename the engine")
    kinds = [memory.kind for memory in model.memories.values()]
    if kinds.count("external") != 1:
        say(f"{source.where(('memories',))}: found {kinds.count('external')} external memories; expected exactly one")
    fetch = model.control.fetch.memory
    if fetch not in model.memories or model.memories[fetch].kind != "external":
        say(f"{source.where(('control', 'fetch', 'memory'))}: found {fetch!r}; expected the name of the external memory")
    if len(model.engines) > _MOST_ENGINES:
        say(f"{source.where(('engines',))}: found {len(model.engines)} engines; expected at most {_MOST_ENGINES}, merge some")
    seen: set[tuple[str, str, str]] = set()
    counts: dict[tuple[str, str], int] = {}
    for index, link in enumerate(model.links):
        where = source.where(("links", index))
        ends = {link.source, link.target}
        unknown = sorted(end for end in ends if end not in model.memories and end not in model.engines)
        if unknown:
            say(f"{where}: {', '.join(map(repr, unknown))} is no node; expected names of a memory and an engine of this file")
            continue
        reads = link.target in model.engines
        if (link.source in model.engines) == reads:
            say(f"{where}: joins {link.source!r} and {link.target!r}; expected a memory at one end and an engine at the other")
            continue
        engine_name, memory_name = (link.target, link.source) if reads else (link.source, link.target)
        engine, memory = model.engines[engine_name], model.memories[memory_name]
        ports = {port.name: port for port in KINDS[engine.kind].ports}
        if link.port not in ports:
            say(f"{where}: port {link.port!r} is not one of a {engine.kind} engine; expected one of {', '.join(ports)}")
            continue
        port = ports[link.port]
        if port.reads != reads:
            side = "to" if port.reads else "from"
            say(f"{where}: port {link.port!r} of a {engine.kind} engine has the engine at the wrong end; expected the engine under '{side}'")
            continue
        element = getattr(memory, "element", "i8")
        if memory.kind not in port.memories or element not in port.elements:
            say(f"{where}: port {link.port!r} is on {memory_name!r}, a {memory.kind} memory of {element}; "
                f"expected a {' or '.join(port.memories)} memory of {' or '.join(port.elements)}")
        if (engine_name, memory_name, link.port) in seen:
            say(f"{where}: the same link stands twice; expected it once, remove one of the two")
        seen.add((engine_name, memory_name, link.port))
        counts[engine_name, link.port] = counts.get((engine_name, link.port), 0) + 1
        if counts[engine_name, link.port] == port.most + 1:
            say(f"{where}: port {link.port!r} of {engine_name!r} has more than {port.most} links; expected at most {port.most}")
    for name, engine in model.engines.items():
        for port in KINDS[engine.kind].ports:
            if counts.get((name, port.name), 0) < port.least and not any(line.startswith(f"{source.name}:") and "links" in line for line in problems):
                say(f"{source.where(('engines', name))}: port {port.name!r} has no link; expected {port.least}, add a link with a "
                    f"{port.memories[0]} memory")
    for reads in (True, False):
        able = [kind.name for kind in KINDS.values() if any(port.memories == ("external",) and port.reads == reads for port in kind.ports)]
        if not any(engine.kind in able for engine in model.engines.values()):
            say(f"{source.where(('engines',))}: no engine of kind {' or '.join(map(repr, able))}; expected at least one, a queued machine cannot run a "
                "network without")
    for name, memory in model.memories.items():
        writers = sorted(link.source for link in model.links if memory.kind == "table" and link.target == name)
        if len(writers) > 1 and not problems:
            say(f"{source.where(('memories', name))}: {', '.join(map(repr, writers))} write it; expected one load engine, a table has one write port, "
                "remove the other links or give each its own table memory")
    if problems:
        raise ArchitectureError(problems)


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def check_graph(graph: Graph, source: Source) -> None:
    """Sizes that must fit each other. Raises ArchitectureError with all problems."""
    problems: list[str] = []

    def say(path: tuple, message: str) -> None:
        problems.append(f"{source.where(path)}: {message}")

    external = graph.external
    if external.size_bytes > 1 << external.address_bits:
        reach = f"{1 << external.address_bits}, what address_bits {external.address_bits} can reach"
        say(("memories", external.name, "size_bytes"), f"found {external.size_bytes}; expected at most {reach}")
    if external.size_bytes % 4096:
        say(("memories", external.name, "size_bytes"), f"found {external.size_bytes}; expected a multiple of 4096, the AXI boundary")
    for memory in graph.memories.values():
        if memory.kind == "scratchpad" and not _power_of_two(memory.lanes):
            say(("memories", memory.name, "lanes"), f"found {memory.lanes}; expected a power of two, words are addressed by aligned sub-words")
        if memory.kind == "scratchpad" and memory.size_bytes > 1 << 26:
            say(("memories", memory.name, "depth_words"), f"found {memory.size_bytes} bytes in all; expected at most {1 << 26}")
    for engine in graph.engines.values():
        _check_engine(graph, engine, say)
    if problems:
        raise ArchitectureError(problems)


def _check_engine(graph: Graph, engine: Engine, say: Say) -> None:
    """In this order: capabilities, sizes against the words of the memories, the kind's own rules, memories that ports have for themselves."""
    kind = engine.specification
    offers = {offer.operation: offer for offer in kind.offers}
    for capability in engine.capabilities:
        if capability.operation not in offers:
            say(("engines", engine.name, "capabilities"),
                f"found {capability.operation}; expected operations of a {kind.name} engine: {', '.join(sorted(offers))}")
            continue
        dimensions = offers[capability.operation].dimensions
        if dimensions:
            expected = signature(capability.operation, {name: engine.number(size) for name, size in dimensions}, formulas())
            if str(capability) != str(expected):
                say(("engines", engine.name, "capabilities"), f"found {capability}; expected {expected}, as the engine's size says")
    # A stream of several ports has one address: what its first port says of it holds for the others.
    later = {name for stream in kind.streams for name in stream.ports[1:]}
    for size in kind.sizes:
        ports = [port for port in kind.ports if port.lanes == (1, size.name) and port.name not in later]
        if ports:
            _divides(graph, engine, size.name, ports, say)
    for port in kind.ports:
        if port.exact:
            _fills_words(graph, engine, port, say)
    for rule in kind.rules:
        for path, message in rule(graph, engine):
            say(path, message)
    for port in kind.ports:
        if port.own_memory:
            _alone(graph, engine, port, say)


def _divides(graph: Graph, engine: Engine, size: str, ports: list[Port], say: Say) -> None:
    value = engine.number(size)
    if not _power_of_two(value):
        say(("engines", engine.name, size), f"found {value}; expected a power of two, engines read aligned sub-words")
        return
    for port in ports:
        for link in graph.links_of(engine.name, port.name):
            memory = graph.memories[link.memory]
            if _power_of_two(memory.lanes) and memory.lanes % value:
                say(("engines", engine.name, size),
                    f"found {value} on port {port.name!r} of {memory.name!r}, whose words have {memory.lanes} lanes; expected a divisor of {memory.lanes}")


def _fills_words(graph: Graph, engine: Engine, port: Port, say: Say) -> None:
    for link in graph.links_of(engine.name, port.name):
        memory = graph.memories[link.memory]
        if memory.lanes != link.lanes:
            say(("memories", memory.name, "lanes"), f"found {memory.lanes}; expected {link.lanes}, {port.exact.format_map(engine.sizes)}")


def _alone(graph: Graph, engine: Engine, own: Port, say: Say) -> None:
    for memory in {link.memory: None for link in graph.links_of(engine.name, own.name)}:
        for port in engine.specification.ports:
            if port.name != own.name and any(link.memory == memory for link in graph.links_of(engine.name, port.name)):
                say(("engines", engine.name),
                    f"port {port.name!r} is on the {own.name} memory {memory!r}; expected a memory of its own for {own.name}s")
