"""Further engines for a random machine: of any kind that there is, as its specification allows, kinds from outside included.

What a specification does not say by itself, its rules do: an engine that breaks one is drawn again, and left out where none is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acg.errors import ArchitectureError
from acg.graph import Graph, parse_graph
from acg.kinds import formulas
from acg.kinds.spec import EngineKind, Port, Size
from acg.operations import signature

__all__ = ["Further", "further_engine"]

#: Draws of one engine before it is left out.
ATTEMPTS = 6

Pick = Callable[..., object]


@dataclass(frozen=True)
class Further:
    """Lines of a description: an engine's, below its name, and those of its links."""

    engine: str
    links: tuple[str, ...]


def further_engine(kind: EngineKind, name: str, text: str, pick: Pick) -> tuple[str, Graph] | None:
    """The description ``text`` with an engine of this kind and name, and its graph; None where none was found that fits the machine.

    ``pick`` chooses one of its arguments.
    """
    graph = parse_graph(text, name="drawn")
    for _ in range(ATTEMPTS):
        found = _drawn(kind, name, graph, pick)
        if found is None:
            continue
        longer = text.replace("links:\n", f"  {name}: {found.engine}\nlinks:\n") + "".join(f"  - {link}\n" for link in found.links)
        try:
            return longer, parse_graph(longer, name="drawn")
        except ArchitectureError:
            continue
    return None


def _drawn(kind: EngineKind, name: str, graph: Graph, pick: Pick) -> Further | None:
    if kind.tables:
        return None  # what stands in its tables no specification says
    sizes = {size.name: _size(size, pick) for size in kind.sizes}
    offers = [offer for offer in kind.offers if offer.dimensions]
    kept = [offer for offer in offers if pick(True, True, True, False)] or offers
    if not kept:
        return None  # engines that only copy have numbers of their own
    capabilities = ", ".join(
        f'"{signature(offer.operation, {d: int(sizes[size]) for d, size in offer.dimensions}, formulas())}"' for offer in kept)
    links: list[str] = []
    for port in kind.ports:
        able = [memory for memory in graph.memories if _fits(graph, memory, port, sizes)]
        if len(able) < port.least:
            return None
        for _ in range(int(str(pick(*range(max(1, port.least), min(port.most, len(able)) + 1)))) if able else 0):
            memory = str(pick(*able))
            able.remove(memory)
            ends = (memory, name) if port.reads else (name, memory)
            links.append(f"{{from: {ends[0]}, to: {ends[1]}, port: {port.name}}}")
    described = "".join(f"{size}: {value}, " for size, value in sizes.items())
    return Further(f"{{kind: {kind.name}, {described}capabilities: [{capabilities}]}}", tuple(links))


def _size(size: Size, pick: Pick) -> int | str:
    """One of its words, or a small power of two, in bounds."""
    if size.choices:
        return str(pick(*size.choices))
    able: Sequence[int] = [value for value in (1, 2, 4, 8) if size.low <= value <= size.high] or [size.low]
    return int(str(pick(*able)))


def _fits(graph: Graph, memory: str, port: Port, sizes: dict[str, int | str]) -> bool:
    """Whether a port may be on a memory: of a kind and an element type that it takes, whose words are a whole number of its accesses."""
    node, links = graph.memories[memory], graph.words_of(memory)
    elements = {link.element.name: link.element.bits for link in links}
    if node.kind not in port.memories or not set(port.elements) & set(elements):
        return False
    bits = next(elements[name] for name in port.elements if name in elements)
    width = port.lanes[0] * (int(sizes[port.lanes[1]]) if port.lanes[1] in sizes else 1) * bits // 8
    return node.word_bytes % width == 0
