"""What a graph must satisfy to become a machine. Every refusal says where, what was found, what was expected, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acg.capability import ESTIMATES, OPERATIONS
from acg.errors import ArchitectureError

if TYPE_CHECKING:
    from acg.graph import Engine, Graph
    from acg.schema import ArchitectureModel
    from acg.yaml_source import Source

__all__ = ["PORTS", "check_graph", "check_structure"]

#: Ports of each engine kind: (reads, least links, most links, memory kinds, element names).
PORTS: dict[str, dict[str, tuple[bool, int, int, tuple[str, ...], tuple[str, ...]]]] = {
    "load": {
        "source": (True, 1, 1, ("external",), ("i8",)),
        "destination": (False, 1, 16, ("scratchpad", "table"), ("i8", "i32")),
    },
    "store": {
        "source": (True, 1, 16, ("scratchpad",), ("i8", "i32")),
        "destination": (False, 1, 1, ("external",), ("i8",)),
    },
    "matrix": {
        "activation": (True, 1, 1, ("scratchpad",), ("i8",)),
        "weight": (True, 1, 1, ("scratchpad",), ("i8",)),
        "accumulator": (True, 1, 1, ("scratchpad",), ("i32",)),
        "result": (False, 1, 1, ("scratchpad",), ("i32",)),
    },
    "vector": {
        "a": (True, 1, 8, ("scratchpad",), ("i8", "i32")),
        "b": (True, 1, 8, ("scratchpad",), ("i8", "i32")),
        "parameter": (True, 1, 1, ("scratchpad",), ("i32",)),
        "table": (True, 1, 1, ("table",), ("i8",)),
        "y": (False, 1, 8, ("scratchpad",), ("i8", "i32")),
    },
}

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
        ports = PORTS[engine.kind]
        if link.port not in ports:
            say(f"{where}: port {link.port!r} is not one of a {engine.kind} engine; expected one of {', '.join(ports)}")
            continue
        port_reads, _, most, memory_kinds, elements = ports[link.port]
        if port_reads != reads:
            side = "to" if port_reads else "from"
            say(f"{where}: port {link.port!r} of a {engine.kind} engine has the engine at the wrong end; expected the engine under '{side}'")
            continue
        element = getattr(memory, "element", "i8")
        if memory.kind not in memory_kinds or element not in elements:
            say(f"{where}: port {link.port!r} is on {memory_name!r}, a {memory.kind} memory of {element}; "
                f"expected a {' or '.join(memory_kinds)} memory of {' or '.join(elements)}")
        if (engine_name, memory_name, link.port) in seen:
            say(f"{where}: the same link stands twice; expected it once, remove one of the two")
        seen.add((engine_name, memory_name, link.port))
        counts[engine_name, link.port] = counts.get((engine_name, link.port), 0) + 1
        if counts[engine_name, link.port] == most + 1:
            say(f"{where}: port {link.port!r} of {engine_name!r} has more than {most} links; expected at most {most}")
    for name, engine in model.engines.items():
        for port, (_, least, _, memory_kinds, _) in PORTS[engine.kind].items():
            if counts.get((name, port), 0) < least and not any(line.startswith(f"{source.name}:") and "links" in line for line in problems):
                say(f"{source.where(('engines', name))}: port {port!r} has no link; expected {least}, add a link with a {memory_kinds[0]} memory")
    for kind in ("load", "store", "matrix", "vector"):
        if not any(engine.kind == kind for engine in model.engines.values()):
            say(f"{source.where(('engines',))}: no engine of kind {kind!r}; expected at least one, a queued machine cannot run a network without")
    for name, memory in model.memories.items():
        writers = sorted(link.source for link in model.links if memory.kind == "table" and link.target == name)
        if len(writers) > 1 and not problems:
            say(f"{source.where(('memories', name))}: {', '.join(map(repr, writers))} write it; expected one load engine, a table has one write port, "
                "remove the other links or give each its own table memory")
    if problems:
        raise ArchitectureError(problems)


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _expected_capabilities(engine: Engine) -> dict[str, str]:
    """Signature that the hardware of an engine has, for each operation its kind may offer."""
    if engine.kind == "matrix":
        return {"MATMUL": f"(i32,{engine.columns})=MATMUL((i9,{engine.rows}),(i9,{engine.rows},{engine.columns}))"}
    v = engine.lanes
    return {
        "MAC": f"(i32,{v})=MAC((i9,{v}),(i9,{v}))",
        "SUM": f"(i32,{v})=SUM((i9,{v}))",
        "MAXIMUM": f"(i32,{v})=MAXIMUM((i9,{v}))",
        **{name: f"(f32,{v})={name}((f32,{v}),(f32,{v}))" for name in ("ADD", "MUL", "MIN", "MAX")},
        "REQUANTIZE": f"(i8,{v})=REQUANTIZE((f32,{v}),(f32,{v}))",
        "TABLE": f"(i8,{v})=TABLE((i8,{v}))",
        **{name: f"(f32,{v})={name}((f32,{v}))" for name in ESTIMATES},
    }


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


def _check_engine(graph: Graph, engine: Engine, say) -> None:
    path = ("engines", engine.name)
    for capability in engine.capabilities:
        if capability.operation not in OPERATIONS[engine.kind]:
            offered = ", ".join(sorted(OPERATIONS[engine.kind]))
            say((*path, "capabilities"), f"found {capability.operation}; expected operations of a {engine.kind} engine: {offered}")
        elif engine.kind in ("matrix", "vector"):
            expected = _expected_capabilities(engine)[capability.operation]
            if str(capability) != expected:
                say((*path, "capabilities"), f"found {capability}; expected {expected}, as the engine's size says")
    if engine.kind == "matrix":
        _check_matrix(graph, engine, say)
    elif engine.kind == "vector":
        _check_vector(graph, engine, say)
    else:
        for port in ("source", "destination"):
            for link in graph.links_of(engine.name, port):
                memory = graph.memories[link.memory]
                if memory.kind == "table" and graph.chunk_bytes(engine.name) > 256:
                    say((*path,), f"moves {graph.chunk_bytes(engine.name)} bytes a cycle into {memory.name!r}; expected at most 256")


def _divides(graph: Graph, say, engine: Engine, attribute: str, value: int, ports: tuple[str, ...]) -> None:
    if not _power_of_two(value):
        say(("engines", engine.name, attribute), f"found {value}; expected a power of two, engines read aligned sub-words")
        return
    for port in ports:
        for link in graph.links_of(engine.name, port):
            memory = graph.memories[link.memory]
            if _power_of_two(memory.lanes) and memory.lanes % value:
                say(("engines", engine.name, attribute),
                    f"found {value} on port {port!r} of {memory.name!r}, whose words have {memory.lanes} lanes; expected a divisor of {memory.lanes}")


def _check_matrix(graph: Graph, engine: Engine, say) -> None:
    _divides(graph, say, engine, "rows", engine.rows, ("activation",))
    _divides(graph, say, engine, "columns", engine.columns, ("weight", "accumulator"))
    accumulator, result = graph.link_of(engine.name, "accumulator").memory, graph.link_of(engine.name, "result").memory
    if accumulator != result:
        say(("engines", engine.name), f"accumulates from {accumulator!r} into {result!r}; expected one memory for ports 'accumulator' and 'result'")
    weights = graph.memories[graph.link_of(engine.name, "weight").memory]
    if weights.name == graph.link_of(engine.name, "activation").memory:
        say(("engines", engine.name), f"reads activations and weights from {weights.name!r}; expected a memory for each, the weights of a pass are read "
            "while the positions of the one before are, and a bank has one read port")
    need = engine.rows * engine.columns
    if weights.bank_bytes < need:
        say(("memories", weights.name, "depth_words"),
            f"a bank holds {weights.bank_bytes} bytes; expected at least {need}, one {engine.rows}x{engine.columns} block of weights")


def _check_vector(graph: Graph, engine: Engine, say) -> None:
    _divides(graph, say, engine, "lanes", engine.lanes, ("a", "b", "y"))
    parameter = graph.memories[graph.link_of(engine.name, "parameter").memory]
    if parameter.lanes != 2 * engine.lanes:
        say(("memories", parameter.name, "lanes"),
            f"found {parameter.lanes}; expected {2 * engine.lanes}, a bias and a scale for each of {engine.lanes} vector lanes")
    ports_a = {link.memory for link in graph.links_of(engine.name, "a")}
    for link in graph.links_of(engine.name, "b"):
        if link.memory in ports_a and graph.memories[link.memory].banks < 2:
            say(("memories", link.memory, "banks"),
                "found 1; expected at least 2, one instruction reads operands a and b at the same time and a bank has one read port")
    offered = [name for name in ESTIMATES if engine.can(name)]
    if offered and all(graph.memories[link.memory].element.bits == 8 for link in graph.links_of(engine.name, "y")):
        say(("engines", engine.name, "capabilities"), f"found {offered[0]}, but port 'y' reaches bytes only; expected a link of it to a memory of i32, "
            "which holds float32 results, add one or remove the operation")
    for port in ("a", "b", "y"):
        for link in graph.links_of(engine.name, port):
            if link.memory == parameter.name:
                say(("engines", engine.name), f"port {port!r} is on the parameter memory {parameter.name!r}; expected a memory of its own for parameters")
