"""What a graph must satisfy to become a machine. Every refusal says where, what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable

from acg.description.capability import operation_of
from acg.description.schema import ArchitectureModel, LinkModel
from acg.description.yaml_source import Source
from acg.errors import ArchitectureError
from acg.kinds import KINDS, formulas
from acg.kinds.spec import BUS, CHUNK, Port
from acg.nodes import Engine, Graph, Memory
from acg.operations import signature

__all__ = ["check_graph", "check_structure", "element_of", "ports_of"]

Say = Callable[[tuple, str], None]

_MOST_ENGINES = 16


def element_of(model: ArchitectureModel, link: LinkModel) -> str:
    """Type that a link carries: its own, that of its memory, or the first that its port takes; bytes, of a copy."""
    reads = link.target in model.engines
    engine, memory = model.engines[link.target if reads else link.source], model.memories[link.source if reads else link.target]
    port = next(port for port in KINDS[engine.kind].ports if port.name == link.port)
    return link.element or getattr(memory, "element", None) or port.elements[0]


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
    for name, memory in model.memories.items():
        if memory.kind == "scratchpad":
            problems += _width_problems(memory, name, source)
    seen: set[tuple[str, str, str, str]] = set()
    built = {name: ports_of(engine) for name, engine in model.engines.items()}
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
        if port not in built[engine_name]:  # it is not built either: `acg.manual.summary.warnings` says so
            continue
        if port.reads != reads:
            side = "to" if port.reads else "from"
            say(f"{where}: port {link.port!r} of a {engine.kind} engine has the engine at the wrong end; expected the engine under '{side}'")
            continue
        element = element_of(model, link)
        if link.element and (port.lanes[1] in (BUS, CHUNK) or memory.kind != "scratchpad"):
            say(f"{where}: element {link.element} on port {link.port!r}, which moves bytes; expected none, remove the key")
        if memory.kind not in port.memories or element not in port.elements:
            say(f"{where}: port {link.port!r} is on {memory_name!r}, a {memory.kind} memory of {element}; "
                f"expected a {' or '.join(port.memories)} memory of {' or '.join(port.elements)}")
        if (engine_name, memory_name, link.port, element) in seen:
            say(f"{where}: the same link stands twice; expected it once, remove one of the two")
        seen.add((engine_name, memory_name, link.port, element))
        counts[engine_name, link.port] = counts.get((engine_name, link.port), 0) + 1
        if counts[engine_name, link.port] == port.most + 1:
            say(f"{where}: port {link.port!r} of {engine_name!r} has more than {port.most} links; expected at most {port.most}")
    for name, engine in model.engines.items():
        for port in built[name]:
            if counts.get((name, port.name), 0) < port.least and not any(line.startswith(f"{source.name}:") and "links" in line for line in problems):
                offered = {operation_of(text) for text in engine.capabilities}
                users = [operation for operation in KINDS[engine.kind].port_needs(port.name) if operation in offered]
                instead = f", or remove {', '.join(users)}, which need{'s' * (len(users) == 1)} it" if users else ""
                say(f"{source.where(('engines', name))}: port {port.name!r} has no link; expected {port.least}, add a link with a "
                    f"{port.memories[0]} memory{instead}")
    for reads in (True, False):
        able = [kind.name for kind in KINDS.values() if any(port.memories == ("external",) and port.reads == reads for port in kind.ports)]
        if not any(engine.kind in able for engine in model.engines.values()):
            say(f"{source.where(('engines',))}: no engine of kind {' or '.join(map(repr, able))}; expected at least one, a queued machine cannot run a "
                "network without")
    for name, memory in model.memories.items():
        writers = sorted(link.source for link in model.links if memory.kind == "table" and link.target == name)
        if memory.kind == "table" and not writers and any(link.source == name for link in model.links) and not problems:
            say(f"{source.where(('memories', name))}: nothing writes it; expected one load engine, add a link from its port 'destination'")
        if len(writers) > 1 and not problems:
            say(f"{source.where(('memories', name))}: {', '.join(map(repr, writers))} write it; expected one load engine, a table has one write port, "
                "remove the other links or give each its own table memory")
    if problems:
        raise ArchitectureError(problems)


def _width_problems(memory, name: str, source: Source) -> list[str]:
    """What is wrong with how a scratchpad says its width: in bytes, or as lanes of an element."""
    where = ("memories", name)
    if memory.width_bytes is None:
        if memory.element is None and memory.lanes is None:
            return [f"{source.where(where)}: width_bytes is missing; expected bytes of a word, add the key"]
        missing = [key for key in ("element", "lanes") if getattr(memory, key) is None]
        return [f"{source.where((*where, key))}: missing; expected a value, add the key" for key in missing]
    if memory.lanes is not None:
        return [f"{source.where((*where, 'lanes'))}: found {memory.lanes} beside width_bytes; expected one of the two, remove the other"]
    return []


def ports_of(engine) -> tuple[Port, ...]:
    """Ports that an engine of a description has; all of its kind, where one of its capabilities is none, which is refused elsewhere."""
    operations = [operation_of(text) for text in engine.capabilities]
    kind = KINDS[engine.kind]
    return kind.ports if set(operations) - set(kind.operations) else kind.built_ports([operation for operation in operations if operation])


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
        if memory.kind == "scratchpad" and not _power_of_two(memory.word_bytes):
            key = _width_key(source, memory)
            found = source.data["memories"][memory.name][key]
            say(("memories", memory.name, key), f"found {found}; expected a power of two, words are addressed by aligned sub-words")
        if memory.kind == "scratchpad" and memory.size_bytes > 1 << 26:
            say(("memories", memory.name, "depth_words"), f"found {memory.size_bytes} bytes in all; expected at most {1 << 26}")
    for engine in graph.engines.values():
        _check_engine(graph, engine, source, say)
    if problems:
        raise ArchitectureError(problems)


def _width_key(source: Source, memory: Memory) -> str:
    """Key with which a description says the width of a scratchpad."""
    return "lanes" if "lanes" in source.data["memories"][memory.name] else "width_bytes"


def _check_engine(graph: Graph, engine: Engine, source: Source, say: Say) -> None:
    """In this order: capabilities, sizes against the words of the memories, the kind's own rules, a bank for each port that reads."""
    kind = engine.specification
    offers = {offer.operation: offer for offer in kind.offers}
    for capability in engine.capabilities:
        if capability.operation not in offers:
            say(("engines", engine.name, "capabilities"),
                f"found {capability.operation}; expected operations of a {kind.name} engine: {', '.join(sorted(offers))}")
            continue
        dimensions = offers[capability.operation].dimensions
        formula = formulas()[capability.operation]
        # Without dimensions the links decide how much is moved; the description may say any number, the same for all.
        sizes = {name: engine.number(size) for name, size in dimensions} or dict.fromkeys(formula.parallel, *capability.result.shape[:1])
        expected = signature(capability.operation, sizes, formulas()) if sizes and None not in sizes.values() else None
        if str(capability) != str(expected):
            typed = [f"{operand.kind}{operand.bits}" for operand in (capability.result, *capability.operands)]
            right = typed == [operand.element for operand in (formula.result, *formula.operands)]
            instead = expected or f"a signature such as {signature(capability.operation, dict.fromkeys(formula.parallel, 16), formulas())}"
            why = "as the engine's size says" if right and dimensions else "the types and shapes that the operation has"
            say(("engines", engine.name, "capabilities"), f"found {capability}; expected {instead}, {why}")
    for capability in {c: None for c in engine.capabilities if engine.capabilities.count(c) > 1}:
        say(("engines", engine.name, "capabilities"), f"{capability} stands twice; expected it once, remove one of the two")
    for depth in kind.depths:
        given = source.data["engines"][engine.name].get("pipeline", {}).get(depth.name)
        if given is not None and depth.offered_by and not engine.operations & {*depth.offered_by}:
            say(("engines", engine.name, "pipeline", depth.name), f"found {given} registers of a part that is not there; expected one of "
                f"{', '.join(depth.offered_by)} among the capabilities, or no such line")
    # A stream of several ports has one address: what its first port says of it holds for the others.
    later = {name for stream in kind.streams for name in stream.ports[1:]}
    for size in kind.sizes:
        ports = [port for port in kind.ports if port.lanes == (1, size.name) and port.name not in later]
        if ports:
            _divides(graph, engine, size.name, ports, say)
    for port in kind.ports:
        if port.lanes[0] > 1:
            _fits_words(graph, engine, port, source, say)
    for rule in kind.rules:
        for path, message in rule(graph, engine):
            say(path, message)
    _enough_banks(graph, engine, say)


def _divides(graph: Graph, engine: Engine, size: str, ports: list[Port], say: Say) -> None:
    value = engine.number(size)
    if not _power_of_two(value):
        say(("engines", engine.name, size), f"found {value}; expected a power of two, engines read aligned sub-words")
        return
    for port in ports:
        for link in graph.links_of(engine.name, port.name):
            memory = graph.memories[link.memory]
            lanes = memory.word_bytes * 8 // link.element.bits
            if not _power_of_two(memory.word_bytes) or (lanes and lanes % value == 0):
                continue
            found = f"found {value} on port {port.name!r} of {memory.name!r}, whose words have"
            if lanes:
                say(("engines", engine.name, size), f"{found} {lanes} lanes; expected a divisor of {lanes}")
            else:
                say(("engines", engine.name, size), f"{found} {memory.word_bytes} bytes; expected room for an {link.element.name}, widen the memory")


def _fits_words(graph: Graph, engine: Engine, port: Port, source: Source, say: Say) -> None:
    """An access of several lots of the engine's lanes is a word of the memory, or part of one."""
    for link in graph.links_of(engine.name, port.name):
        memory = graph.memories[link.memory]
        if not _power_of_two(memory.word_bytes) or memory.word_bytes % link.port_bytes == 0:
            continue
        key = _width_key(source, memory)
        unit = 1 if key == "width_bytes" else link.element.bits // 8
        say(("memories", memory.name, key), f"found {memory.word_bytes // unit}; expected a multiple of {link.port_bytes // unit}, "
            f"{port.access.format_map(engine.sizes)}")


def _enough_banks(graph: Graph, engine: Engine, say: Say) -> None:
    """What an instruction reads at the same time stands in different banks: a bank has one read port."""
    readers: dict[str, dict[str, None]] = {}
    for port in engine.ports:
        for link in graph.links_of(engine.name, port.name):
            if port.reads and graph.memories[link.memory].kind == "scratchpad":
                readers.setdefault(link.memory, {})[port.name] = None
    for name, ports in readers.items():
        if len(ports) > graph.memories[name].banks:
            *first, last = ports
            say(("memories", name, "banks"), f"found {graph.memories[name].banks}; expected at least {len(ports)}, one instruction reads operands "
                f"{', '.join(first)} and {last} at the same time and a bank has one read port")
