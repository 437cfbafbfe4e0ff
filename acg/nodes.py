"""The nodes and edges of an architecture graph: memories and engines joined by links, plus one control node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import networkx as nx

from acg.description.capability import Capability
from acg.kinds import kind_of
from acg.kinds.spec import CHUNK, EngineKind, Item, Port, Stream

__all__ = ["Control", "Element", "Engine", "Graph", "Link", "Memory"]


@dataclass(frozen=True)
class Element:
    """Type of the elements that a link carries: ``name`` 'i8' (int8 or uint8, the instruction says) or 'i32' (or float32), and its ``bits``."""

    name: str
    bits: int


@dataclass(frozen=True)
class Memory:
    """A memory node: bytes. What stands in them its links say. Fields that a kind does not have are 0 (see the schema for units).

    ``word_bytes``: of one word; of external memory those of a bus beat, of a table one entry.
    """

    name: str
    kind: str
    word_bytes: int
    banks: int = 1
    depth_words: int = 0
    read_latency_cycles: int = 0
    size_bytes_external: int = 0
    bus_bits: int = 0
    address_bits: int = 0
    write_latency_cycles: int = 0

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
    """An engine node. ``index`` is its place in the description: instruction ``engine`` field minus one, and wait index; ``sizes`` are the numbers
    and words that the description gives it, as its kind asks for them, and those derived of them; ``tables`` the nested ones; ``pipeline`` registers of parts
    of its pipeline that have others than usual, in the order of the kind."""

    name: str
    index: int
    kind: str
    capabilities: tuple[Capability, ...]
    sizes: Mapping[str, int | str] = field(default_factory=lambda: MappingProxyType({}))
    tables: Mapping[str, Mapping[str, int | tuple[str, ...]]] = field(default_factory=lambda: MappingProxyType({}))
    pipeline: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def specification(self) -> EngineKind:
        """What its kind is."""
        return kind_of(self.kind)

    @cached_property
    def copies(self) -> bool:
        """Whether it moves data between external and on-chip memory, as all do that have a port on the bus; the others compute."""
        return self.specification.copies

    @cached_property
    def registers(self) -> Mapping[str, int]:
        """Registers of each part of its pipeline, by the names of its kind."""
        return MappingProxyType({depth.name: self.pipeline.get(depth.name, depth.usual) for depth in self.specification.depths})

    def number(self, size: str) -> int:
        """A size that is a number, or the number itself in digits."""
        value = int(size) if size.isdigit() else self.sizes[size]
        assert isinstance(value, int)
        return value

    def word(self, size: str) -> str:
        """A size that is one of several words."""
        value = self.sizes[size]
        assert isinstance(value, str)
        return value

    def extent(self, operation: str, dimension: str) -> int:
        """How much of an operation's dimension the engine does at once. Raises KeyError for an operation that its kind does not offer."""
        return self.number(dict(self.specification.offer(operation).dimensions)[dimension])

    def issues(self, operation: str) -> int:
        """How many of an operation it begins a cycle at most."""
        count = self.specification.issues
        return count(self, operation) if count else 1

    @cached_property
    def operations(self) -> frozenset[str]:
        """Names of what it offers."""
        return frozenset(capability.operation for capability in self.capabilities)

    @cached_property
    def body(self) -> tuple[Item, ...]:
        """What its instructions consist of: the body of its kind, without what serves only operations that it does not offer or is beyond its sizes."""
        return tuple(item for item in self.specification.built(self.operations)
                     if not (limit := getattr(item, "numbered", ("", 0)))[0] or self.number(limit[0]) > limit[1])

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Its address generators, in the order of the body."""
        return tuple(item for item in self.body if isinstance(item, Stream))

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The ports that it has."""
        return self.specification.built_ports(self.operations)

    def can(self, operation: str) -> bool:
        """Whether one of the capabilities is ``operation``."""
        return operation in self.operations


@dataclass(frozen=True)
class Link:
    """A port of an engine on a memory: ``lanes`` elements of a type a word, ``words`` words an access; ``reads`` is seen from the engine. Of a copy the
    elements are bytes."""

    engine: str
    memory: str
    port: str
    reads: bool
    element: Element
    lanes: int
    words: int = 1

    @property
    def port_bytes(self) -> int:
        """Bytes a word of the port."""
        return self.lanes * self.element.bits // 8

    @property
    def access_bytes(self) -> int:
        """Bytes an access."""
        return self.words * self.port_bytes


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
    idle_links : tuple[tuple[str, str, str], ...]
        Engine, port and memory of links in the description whose port serves only what the engine does not offer: they are not built.
    digraph : networkx.DiGraph
        Bipartite: node attribute ``node`` holds the Memory or Engine, edge attribute ``links`` the Links.
    """

    def __init__(self, *, name: str, summary: str, description: str, control: Control, memories: dict[str, Memory], engines: dict[str, Engine],
                 links: tuple[Link, ...], idle_links: tuple[tuple[str, str, str], ...] = ()):
        self.name = name
        self.summary = summary
        self.description = description
        self.control = control
        self.memories = memories
        self.engines = engines
        self.links = links
        self.idle_links = idle_links
        self.digraph = nx.DiGraph()
        nodes: dict[str, Memory | Engine] = {**memories, **engines}
        for key, node in nodes.items():
            self.digraph.add_node(key, node=node)
        for link in links:
            ends = (link.memory, link.engine) if link.reads else (link.engine, link.memory)
            if self.digraph.has_edge(*ends):
                self.digraph.edges[ends]["links"] += (link,)
            else:
                self.digraph.add_edge(*ends, links=(link,))
        nx.freeze(self.digraph)

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

    def words_of(self, memory: str) -> tuple[Link, ...]:
        """Links of a memory that carry elements: all but those of engines that copy, which move bytes."""
        return self._by_memory.get(memory, ())

    @cached_property
    def _by_memory(self) -> dict[str, tuple[Link, ...]]:
        table: dict[str, tuple[Link, ...]] = {}
        for link in self.links:
            if not self.engines[link.engine].copies:
                table[link.memory] = (*table.get(link.memory, ()), link)
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
        """Bytes a cycle on the on-chip side of an engine that copies: the bus, or the narrowest of its on-chip words if that is less."""
        ports = [port.name for port in self.engines[engine].ports if port.lanes[1] == CHUNK]
        memories = [self.memories[link.memory] for port in ports for link in self.links_of(engine, port)]
        return min([self.external.bus_bytes, *(memory.word_bytes for memory in memories if memory.kind == "scratchpad")])

    def read_latency_cycles(self, engine: str, *ports: str) -> int:
        """Largest read latency of the memories behind these ports of an engine."""
        return max(self.memories[link.memory].read_latency_cycles for port in ports for link in self.links_of(engine, port))
