"""The compiler's view of memories: partitions, each a run of banks that hold one kind of thing.

    before   a memory of 16 banks behind the ports of a matrix and a vector unit: activations, weights, sums and parameters
    after    one way to cut it: 8 banks of activations, 4 of weights, 3 of sums, 1 of parameters; others are as good in other networks

A memory holds bytes, and the links on it say which elements a port sees there (`acg.nodes`). To tile and to place, the compiler needs to know
what stands where: a partition is a memory of its own, with the elements and the words that its ports see. A memory that holds one kind of thing
is one partition; any other is cut at the borders of banks, so that what an engine reads at the same time, and what it reads ahead for its next
instruction, never meets at one port. `cuts` lists the ways to do so that are worth a try: whoever compiles takes the best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from acg.graph import Element, Engine, Graph, Link, Memory
from acg.kinds import formulas
from compiler.errors import CompilerError

__all__ = ["ROLES", "Cut", "Partition", "base_bytes", "cuts", "left_out", "partitions"]

_BYTE = Element("i8", 8)
ACTIVATIONS, WEIGHTS, SUMS, PARAMETERS = ROLES = ("activations", "weights", "sums", "parameters")
#: Banks of a memory for each of its roles.
Cut = Mapping[str, Mapping[str, int]]
#: In what proportion roles may get the banks of a memory, in the order of `ROLES`.
_PROPORTIONS = ((6, 3, 6, 1), (5, 2, 8, 1), (4, 2, 9, 1), (9, 3, 3, 1), (4, 8, 3, 1))


@dataclass(frozen=True)
class Partition(Memory):
    """Banks of the memory `within`, from `first_bank` on, in words of `element`: sizes in words are those of such words, and addresses count from the
    first byte. A memory that is not cut is one partition of its name."""

    element: Element = _BYTE
    within: str = ""
    within_bytes: int = 0
    first_bank: int = 0

    @property
    def lanes(self) -> int:
        """Elements of a word."""
        return self.word_bytes * 8 // self.element.bits

    @property
    def base_bytes(self) -> int:
        """Where it begins within its memory."""
        return self.first_bank * self.bank_bytes


def base_bytes(memory: Memory) -> int:
    """Where a memory's first byte has its address: not at 0 in a partition."""
    return memory.base_bytes if isinstance(memory, Partition) else 0


@lru_cache(maxsize=64)
def left_out(graph: Graph) -> frozenset[str]:
    """Engines that the compiler does not use, as a memory has too few banks for what they would have it hold beside what others have.

    Of several the one that offers least, and none without which nothing contracts or nothing finishes a chain any more: such a memory is refused.
    """
    without: frozenset[str] = frozenset()
    while (full := next(iter(_overfull(graph, without)), None)) is not None:
        engines = [graph.engines[name] for name in dict.fromkeys(link.engine for link in graph.links if link.memory == full)]
        able = [engine for engine in engines if not engine.copies and engine.name not in without and _dispensable(graph, without | {engine.name})
                and full not in _overfull(graph, without | {engine.name})]  # fmt: skip
        if not able:
            break
        without |= {min(able, key=lambda engine: (len(engine.capabilities), -engine.index)).name}
    return without


def _dispensable(graph: Graph, without: frozenset[str]) -> bool:
    def there(*operations: str) -> bool:
        return any(engine.operations.intersection(operations) and engine.name not in without for engine in graph.engines.values())

    return there("REQUANTIZE") and there("MATMUL", "BROADCAST_MAC")


def _overfull(graph: Graph, without: frozenset[str]) -> list[str]:
    joined = _joined(graph, without)
    return [name for name, least in joined.items() if sum(least.values()) > graph.memories[name].banks]


def _joined(graph: Graph, without: frozenset[str]) -> dict[str, dict[str, int]]:
    """Memories that hold several kinds of things, and banks that each needs."""
    roles = _roles(graph, without)
    return {name: {role: _least(graph, role, links) for role, links in held.items()} for name, held in roles.items() if len(held) > 1}


def _roles(graph: Graph, without: frozenset[str] = frozenset()) -> dict[str, dict[str, list[Link]]]:
    """What scratchpads hold, and the links that make it so: operands and result of what adds into a memory, by its formula; accesses of a factor,
    which are parameters; and where neither is, what the type of the elements says. Engines ``without`` count for nothing."""
    found: dict[str, dict[str, list[Link]]] = {name: {} for name, memory in graph.memories.items() if memory.kind == "scratchpad"}
    free: list[Link] = []
    used = [engine for engine in graph.engines.values() if engine.name not in without]
    for engine in used:
        known = _known(engine)
        for link in graph.links:
            if link.engine == engine.name and link.memory in found and not engine.copies:
                if link.port in known:
                    found[link.memory].setdefault(known[link.port], []).append(link)
                else:
                    free.append(link)
    given = {name: set(roles) for name, roles in found.items()}
    for link in free:
        if graph.engines[link.engine].tables and given[link.memory]:
            continue  # a programmable engine reads bytes, whatever stands there
        for role in _suited(link):
            if role in given[link.memory] or (role in (ACTIVATIONS, SUMS) and not given[link.memory] & set(_suited(link))):
                found[link.memory].setdefault(role, []).append(link)
    for engine in used:
        _second_operands(graph, engine, found)
    return {name: {role: roles[role] for role in ROLES if role in roles} for name, roles in found.items()}


def _second_operands(graph: Graph, engine: Engine, found: dict[str, dict[str, list[Link]]]) -> None:
    """What an engine multiplies by is weights too, in a memory that holds several things, where it reads no other memory of bytes there."""
    for offer in engine.specification.offers:
        if not engine.can(offer.operation) or len(offer.operands) < 2 or offer.accumulate or not formulas()[offer.operation].reduced:
            continue
        links = [link for port in engine.specification.stream(offer.operands[1]).ports for link in graph.links_of(engine.name, port) if link.element.bits == 8]
        if len(links) == 1 and len(found.get(links[0].memory, ())) > 1:
            found[links[0].memory].setdefault(WEIGHTS, links)


def _suited(link: Link) -> tuple[str, ...]:
    return (ACTIVATIONS, WEIGHTS) if link.element.bits == 8 else (SUMS,)


def _known(engine: Engine) -> dict[str, str]:
    """Roles of the ports of an engine that have one by themselves."""
    kind = engine.specification
    known = {port.name: PARAMETERS for port in kind.ports if port.lanes[0] > 1}
    for offer in kind.offers:
        if offer.accumulate and engine.can(offer.operation):
            streams = zip((*offer.operands[:2], offer.result), (ACTIVATIONS, WEIGHTS, SUMS) if len(offer.operands) > 1 else (ACTIVATIONS, SUMS), strict=True)
            known |= {port: role for prefix, role in streams for port in kind.stream(prefix).ports}
    return known


def _least(graph: Graph, role: str, links: Iterable[Link]) -> int:
    """Banks that a role needs: one for each of its operands that an instruction may read at the same time. Weights and parameters are one operand."""
    ports: dict[str, set[str]] = {}
    for link in links:
        if link.reads and role in (ACTIVATIONS, SUMS):
            ports.setdefault(link.engine, set()).add(link.port)
    return max((len(names) for names in ports.values()), default=1)


def cuts(graph: Graph) -> tuple[Cut, ...]:
    """Ways to cut the memories of a machine, no two alike. Raises CompilerError for a memory with too few banks for what it is to hold."""
    joined = _joined(graph, left_out(graph))
    for name, least in joined.items():
        if sum(least.values()) > graph.memories[name].banks:
            raise CompilerError(
                f"memory {name}", found=f"{graph.memories[name].banks} banks", expected=f"at least {sum(least.values())}: "
                + ", ".join(f"{banks} of {role}" for role, banks in least.items()), do="give it more banks, or some of this a memory of its own",
            )
    found: list[Cut] = []
    for proportion in _PROPORTIONS:
        wanted = dict(zip(ROLES, proportion, strict=True))
        cut = {name: _divided(graph.memories[name].banks, least, wanted) for name, least in joined.items()}
        if cut not in found:
            found.append(cut)
    return tuple(found)


def _divided(banks: int, least: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
    """So many banks for roles that have a least number each, in about the wanted proportion."""
    result = dict(least)
    for _ in range(banks - sum(least.values())):
        result[min(result, key=lambda role: result[role] / wanted[role])] += 1
    return result


def partitions(graph: Graph, cut: Cut) -> dict[tuple[str, str], Partition]:
    """By memory and role, and each memory that is not cut by "" too, in the order of their addresses."""
    found: dict[tuple[str, str], Partition] = {}
    roles = _roles(graph, left_out(graph))
    for name, memory in graph.memories.items():
        if name in cut:
            first = 0
            for role, banks in cut[name].items():
                found[name, role] = _cut(graph, memory, role, roles[name][role], first, banks)
                first += banks
            continue
        links = sorted(graph.words_of(name), key=lambda link: bool(graph.engines[link.engine].tables))  # a programmable engine reads bytes of anything
        element = next((link.element for link in links), _BYTE)
        whole = _partition(memory, name, memory.word_bytes, memory.banks, element, 0)
        found |= {(name, role): whole for role in ("", *roles.get(name, ()))}
    return found


def _cut(graph: Graph, memory: Memory, role: str, links: list[Link], first_bank: int, banks: int) -> Partition:
    copies = [link for link in graph.links if link.memory == memory.name and graph.engines[link.engine].copies]
    word_bytes = max(link.port_bytes for link in (*links, *copies))
    return _partition(memory, f"{memory.name}.{role}", word_bytes, banks, links[0].element, first_bank)


def _partition(memory: Memory, name: str, word_bytes: int, banks: int, element: Element, first_bank: int) -> Partition:
    same = {field.name: getattr(memory, field.name) for field in fields(memory)}
    own = {"name": name, "word_bytes": word_bytes, "banks": banks, "depth_words": memory.bank_bytes // word_bytes if memory.kind != "external" else 0}
    return Partition(**same | own, element=element, within=memory.name, within_bytes=memory.size_bytes, first_bank=first_bank)


def suited(found: Mapping[tuple[str, str], Partition], engine: Engine, link: Link) -> Iterator[Partition]:
    """Partitions that hold what a link carries, activations first."""
    if (link.memory, "") in found:
        yield found[link.memory, ""]
        return
    roles = (_known(engine)[link.port],) if link.port in _known(engine) else _suited(link)
    yield from (found[link.memory, role] for role in roles if (link.memory, role) in found)
