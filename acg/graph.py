"""The architecture graph: memories and engines joined by links, plus one control node."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import networkx as nx

from acg import check, schema
from acg.capability import Capability, parse_capability
from acg.errors import ArchitectureError
from acg.shared import shared_folder
from acg.yaml_source import MOST_BYTES, read_yaml

__all__ = ["ARCHITECTURES", "Control", "Element", "Engine", "Graph", "Link", "Memory", "architecture_names", "load_graph", "parse_graph"]

#: Folder of the architecture descriptions that come with the project.
ARCHITECTURES = shared_folder("archs")


@dataclass(frozen=True)
class Element:
    """Type of a memory's elements: ``name`` 'i8' (int8 or uint8, the instruction says) or 'i32', and its ``bits``."""

    name: str
    bits: int


@dataclass(frozen=True)
class Memory:
    """A memory node. Fields that a kind does not have are 0 (see the schema for units)."""

    name: str
    kind: str
    element: Element
    lanes: int = 0
    banks: int = 1
    depth_words: int = 0
    read_latency_cycles: int = 0
    size_bytes_external: int = 0
    bus_bits: int = 0
    address_bits: int = 0
    write_latency_cycles: int = 0

    @property
    def word_bytes(self) -> int:
        """Bytes of one word (external: of one bus beat; table: one entry)."""
        if self.kind == "external":
            return self.bus_bytes
        return self.lanes * self.element.bits // 8

    @property
    def bus_bytes(self) -> int:
        return self.bus_bits // 8

    @property
    def size_words(self) -> int:
        return self.banks * self.depth_words

    @property
    def size_bytes(self) -> int:
        return self.size_bytes_external if self.kind == "external" else self.size_words * self.word_bytes

    @property
    def bank_bytes(self) -> int:
        return self.depth_words * self.word_bytes


@dataclass(frozen=True)
class Engine:
    """An engine node. ``index`` is its place in the description: instruction ``engine`` field minus one, and wait index."""

    name: str
    index: int
    kind: str
    capabilities: tuple[Capability, ...]
    organisation: str = ""
    rows: int = 0
    columns: int = 0
    lanes: int = 0
    outstanding_bursts: int = 0

    def can(self, operation: str) -> bool:
        """Whether one of the capabilities is ``operation``."""
        return any(capability.operation == operation for capability in self.capabilities)


@dataclass(frozen=True)
class Link:
    """A port of an engine on a memory: ``lanes`` elements of the memory's type an access; ``reads`` is seen from the engine."""

    engine: str
    memory: str
    port: str
    reads: bool
    lanes: int
    port_bytes: int


@dataclass(frozen=True)
class Control:
    """The control node."""

    discipline: str
    queue_depth: int
    fetch_memory: str
    fetch_outstanding_bursts: int


class Graph:
    """An architecture graph. Immutable; iteration orders are those of the description.

    Attributes
    ----------
    name, summary : str
    description : str
        The YAML text that it was read from, comments included.
    control : Control
    memories : dict[str, Memory]
    engines : dict[str, Engine]
    links : tuple[Link, ...]
    network : networkx.DiGraph
        Bipartite: node attribute ``node`` holds the Memory or Engine, edge attribute ``links`` the Links.
    """

    def __init__(self, *, name: str, summary: str, description: str, control: Control, memories: dict[str, Memory], engines: dict[str, Engine],
                 links: tuple[Link, ...]):
        self.name = name
        self.summary = summary
        self.description = description
        self.control = control
        self.memories = memories
        self.engines = engines
        self.links = links
        self.network = nx.DiGraph()
        nodes: dict[str, Memory | Engine] = {**memories, **engines}
        for key, node in nodes.items():
            self.network.add_node(key, node=node)
        for link in links:
            ends = (link.memory, link.engine) if link.reads else (link.engine, link.memory)
            if self.network.has_edge(*ends):
                self.network.edges[ends]["links"] += (link,)
            else:
                self.network.add_edge(*ends, links=(link,))
        nx.freeze(self.network)

    def links_of(self, engine: str, port: str) -> tuple[Link, ...]:
        """Links of one port, in the order of the description: the order of the instruction's select field."""
        return self._by_port.get((engine, port), ())

    def link_of(self, engine: str, port: str) -> Link:
        """The only link of a port."""
        (link,) = self.links_of(engine, port)
        return link

    @cached_property
    def _by_port(self) -> dict[tuple[str, str], tuple[Link, ...]]:
        table: dict[tuple[str, str], tuple[Link, ...]] = {}
        for link in self.links:
            table[link.engine, link.port] = (*table.get((link.engine, link.port), ()), link)
        return table

    def engines_of(self, kind: str) -> Iterator[Engine]:
        """Engines of one kind in order of their index."""
        return (engine for engine in self.engines.values() if engine.kind == kind)

    def capable(self, operation: str) -> tuple[Engine, ...]:
        """Engines that offer ``operation``, in order of their index."""
        return tuple(engine for engine in self.engines.values() if engine.can(operation))

    @cached_property
    def external(self) -> Memory:
        """The external memory."""
        return next(memory for memory in self.memories.values() if memory.kind == "external")

    def chunk_bytes(self, engine: str) -> int:
        """Bytes a DMA moves on its on-chip side each cycle: the bus, or the narrowest of its on-chip words if that is less."""
        ports = self.links_of(engine, "destination") if self.engines[engine].kind == "load" else self.links_of(engine, "source")
        words = [self.memories[link.memory].word_bytes for link in ports if self.memories[link.memory].kind == "scratchpad"]
        return min([self.external.bus_bytes, *words])


_ELEMENTS = {"i8": Element("i8", 8), "i32": Element("i32", 32)}


def _memory(name: str, model) -> Memory:
    if model.kind == "external":
        return Memory(
            name, "external", _ELEMENTS["i8"], lanes=model.bus_bits // 8, read_latency_cycles=model.read_latency_cycles,
            size_bytes_external=model.size_bytes, bus_bits=model.bus_bits, address_bits=model.address_bits,
            write_latency_cycles=model.write_latency_cycles,
        )
    if model.kind == "table":
        return Memory(name, "table", _ELEMENTS["i8"], lanes=1, banks=model.banks, depth_words=model.entries, read_latency_cycles=1)
    return Memory(
        name, "scratchpad", _ELEMENTS[model.element], lanes=model.lanes, banks=model.banks, depth_words=model.depth_words,
        read_latency_cycles=model.read_latency_cycles,
    )


def _engine(name: str, index: int, model, where: str) -> Engine:
    capabilities = tuple(parse_capability(text, where=where) for text in model.capabilities)
    return Engine(
        name, index, model.kind, capabilities, organisation=getattr(model, "organisation", ""), rows=getattr(model, "rows", 0),
        columns=getattr(model, "columns", 0), lanes=getattr(model, "lanes", 0), outstanding_bursts=getattr(model, "outstanding_bursts", 0),
    )


def _port_lanes(engine: Engine, memory: Memory, port: str, chunk_bytes: int) -> int:
    """Natural width of a port in elements of its memory."""
    if engine.kind == "matrix":
        return engine.rows if port == "activation" else engine.columns
    if engine.kind == "vector":
        return {"parameter": 2 * engine.lanes, "table": 1}.get(port, engine.lanes)
    return chunk_bytes * 8 // memory.element.bits or 1


def parse_graph(text: str, *, name: str = "architecture") -> Graph:
    """Read a description from YAML text; ``name`` is what messages call it. Of the same text it is the same graph.

    Raises
    ------
    ArchitectureError
        All problems at once, each with file, line, path, value and expectation.
    """
    return _parsed(text, name)


@lru_cache(maxsize=32)
def _parsed(text: str, name: str) -> Graph:
    source = read_yaml(text, name=name)
    model = schema.parse(source)
    check.check_structure(model, source)
    memories = {key: _memory(key, value) for key, value in model.memories.items()}
    engines = {
        key: _engine(key, index, value, source.where(("engines", key, "capabilities"))) for index, (key, value) in enumerate(model.engines.items())
    }
    external = next(memory for memory in memories.values() if memory.kind == "external")
    links = []
    for link in model.links:
        reads = link.target in engines
        engine = engines[link.target if reads else link.source]
        memory = memories[link.source if reads else link.target]
        chunk = external.bus_bytes
        if engine.kind in ("load", "store"):
            ends = (other.target if engine.kind == "load" else other.source for other in model.links if engine.name in (other.source, other.target))
            chunk = min([chunk, *(memories[end].word_bytes for end in ends if end in memories and memories[end].kind == "scratchpad")])
        lanes = external.bus_bytes if memory.kind == "external" else _port_lanes(engine, memory, link.port, chunk)
        port_bytes = chunk if engine.kind in ("load", "store") and memory.kind != "external" else lanes * memory.element.bits // 8
        links.append(Link(engine.name, memory.name, link.port, reads, lanes, port_bytes))
    graph = Graph(
        name=model.name, summary=model.summary, description=text,
        control=Control(model.control.discipline, model.control.queue_depth, model.control.fetch.memory, model.control.fetch.outstanding_bursts),
        memories=memories, engines=engines, links=tuple(links),
    )
    check.check_graph(graph, source)
    return graph


def architecture_names() -> list[str]:
    """Names of the descriptions that come with the project."""
    return sorted(path.stem for path in ARCHITECTURES.glob("*.yaml"))


def load_graph(name_or_path: str | Path) -> Graph:
    """Read a description by file path, or by the name of one in ``archs/``. Raises ArchitectureError."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if str(name_or_path) not in architecture_names():
            raise ArchitectureError([
                f"architecture '{name_or_path}' does not exist; expected a .yaml file or one of {', '.join(architecture_names())}"
            ])
        path = ARCHITECTURES / f"{name_or_path}.yaml"
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MOST_BYTES + 1)  # what is longer is refused
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ArchitectureError([f"{path}: cannot be read ({reason}); expected an architecture description in YAML"]) from None
    return parse_graph(text, name=str(path) if path.parent != ARCHITECTURES else path.name)
