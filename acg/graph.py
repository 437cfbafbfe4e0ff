"""Reading an architecture description into its graph."""

from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from acg.description import check, schema
from acg.description.capability import parse_capability
from acg.description.yaml_source import MOST_BYTES, read_yaml
from acg.errors import ArchitectureError
from acg.kinds import kind_of
from acg.kinds.spec import BUS, CHUNK
from acg.nodes import Control, Element, Engine, Graph, Link, Memory
from acg.shared import shared_folder

__all__ = ["ARCHITECTURES", "Control", "Element", "Engine", "Graph", "Link", "Memory", "architecture_names", "load_graph", "parse_graph"]

#: Folder of the architecture descriptions that come with the project.
ARCHITECTURES = shared_folder("archs")

_ELEMENTS = {"i8": Element("i8", 8), "i32": Element("i32", 32)}
_BYTE = _ELEMENTS["i8"]


def _memory(name: str, model) -> Memory:
    if model.kind == "external":
        return Memory(
            name, "external", model.bus_bits // 8, read_latency_cycles=model.read_latency_cycles, size_bytes_external=model.size_bytes,
            bus_bits=model.bus_bits, address_bits=model.address_bits, write_latency_cycles=model.write_latency_cycles,
        )
    if model.kind == "table":
        return Memory(name, "table", 1, banks=model.banks, depth_words=model.entries, read_latency_cycles=1)
    width_bytes = model.width_bytes or model.lanes * _ELEMENTS[model.element].bits // 8
    return Memory(name, "scratchpad", width_bytes, banks=model.banks, depth_words=model.depth_words, read_latency_cycles=model.read_latency_cycles)


def _engine(name: str, index: int, model, where: str, chunk_bytes: int) -> Engine:
    """An engine; its capabilities may name its sizes, and those of an engine that copies its `CHUNK`."""
    kind = kind_of(model.kind)
    sizes = {size.name: getattr(model, size.name) for size in kind.sizes}
    sizes |= {item.name: sizes[item.size] // item.divisor for item in kind.derived}
    tables = {table.name: MappingProxyType({key: value if table.number else tuple(value) for key, value in getattr(model, table.name).items()})
              for table in kind.tables}
    numbers = {name: value for name, value in sizes.items() if isinstance(value, int) and any(name in dict(offer.dimensions).values() for offer in kind.offers)}
    if any(port.lanes[1] == CHUNK for port in kind.ports):
        numbers[CHUNK] = chunk_bytes
    capabilities = tuple(parse_capability(text, where=where, sizes=numbers) for text in model.capabilities)
    pipeline = {depth.name: value for depth in kind.depths if (value := getattr(model.pipeline, depth.name)) != depth.usual}
    return Engine(name, index, model.kind, capabilities, MappingProxyType(sizes), MappingProxyType(tables), MappingProxyType(pipeline))


def _link(engine: Engine, memory: Memory, port: str, reads: bool, element: str, bus_bytes: int, chunk_bytes: int) -> Link:
    """A link with the natural width of its port: so many elements a word, so many words an access."""
    specified = engine.specification.port(port)
    factor, size = specified.lanes
    if size in (BUS, CHUNK):
        return Link(engine.name, memory.name, port, reads, _BYTE, bus_bytes if size == BUS else chunk_bytes)
    lanes = factor * (engine.number(size) if size else 1)
    words = max(1, engine.number(specified.spans) * 8 // (lanes * _ELEMENTS[element].bits)) if specified.spans else 1
    return Link(engine.name, memory.name, port, reads, _ELEMENTS[element], lanes, words)


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
    bus_bytes = next(memory for memory in memories.values() if memory.kind == "external").bus_bytes
    chunks = dict.fromkeys(model.engines, bus_bytes)
    for link in model.links:
        engine_name, memory = (link.target, memories[link.source]) if link.target in model.engines else (link.source, memories[link.target])
        if kind_of(model.engines[engine_name].kind).port(link.port).lanes[1] == CHUNK and memory.kind == "scratchpad":
            chunks[engine_name] = min(chunks[engine_name], memory.word_bytes)
    engines = {
        key: _engine(key, index, value, source.where(("engines", key, "capabilities")), chunks[key])
        for index, (key, value) in enumerate(model.engines.items())
    }
    ends = [(engines[link.target], memories[link.source], link.port, True, check.element_of(model, link)) if link.target in engines else
            (engines[link.source], memories[link.target], link.port, False, check.element_of(model, link)) for link in model.links]
    there = [end[2] in (port.name for port in check.ports_of(model.engines[end[0].name])) for end in ends]
    links = tuple(_link(*end, bus_bytes, chunks[end[0].name]) for end, built in zip(ends, there, strict=True) if built)
    idle = tuple((engine.name, port, memory.name) for (engine, memory, port, *_), built in zip(ends, there, strict=True) if not built)
    graph = Graph(
        name=model.name, summary=model.summary, description=text,
        control=Control(model.control.discipline, model.control.queue_depth, model.control.fetch.memory, model.control.fetch.outstanding_bursts),
        memories=memories, engines=engines, links=links, idle_links=idle,
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
