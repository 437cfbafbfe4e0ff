"""Random machines around a core: any slots, sizes, latencies and memories that a description may have, and nothing else that computes.

Small ones mostly, so that a simulator takes half a minute; those for networks have every operation somewhere, and room.
"""

from collections.abc import Sequence

import numpy as np

from acg.description.capability import operation_of
from acg.graph import Graph, parse_graph
from acg.kinds import formulas, kind_of
from acg.kinds.core.operations import OUTER, SLOT_OPERATIONS
from acg.kinds.core.packets import packet_bits
from acg.kinds.core.rules import least_latency
from acg.operations import signature

__all__ = ["random_core", "random_core_text"]

_SLOT_NAMES = ("M0", "M1", "X", "Y", "S2", "VEC", "A", "B7")
_KIND = "core"


class _Draw:
    def __init__(self, seed: int):
        self.rng = np.random.default_rng([seed, 0xC03E])

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def some(self, values: Sequence[str], probability: float) -> list[str]:
        """Some of the values in a random order, one at least."""
        kept = [value for value in values if self.chance(probability)] or [self.pick(*values)]
        return [kept[place] for place in self.rng.permutation(len(kept))]


def _whole(draw: _Draw) -> dict[str, list[str]]:
    """Every operation in a slot at least: those that move data in one, the others in one to three, some of them twice."""
    moving = [name for name, operation in SLOT_OPERATIONS.items() if operation.moves]
    computing = [name for name, operation in SLOT_OPERATIONS.items() if not operation.moves]
    others: list[list[str]] = [[] for _ in range(draw.pick(1, 2, 2, 3))]
    for name in computing:
        first = draw.pick(*range(len(others)))
        for place in range(len(others)):
            if place == first or (not SLOT_OPERATIONS[name].floats and draw.chance(0.3)):
                others[place].append(name)
    slots = [moving, *filter(None, others)]
    names = [_SLOT_NAMES[place] for place in draw.rng.permutation(len(_SLOT_NAMES))]
    return {names[place]: slots[place] for place in draw.rng.permutation(len(slots)).tolist()}


def _slots(draw: _Draw) -> dict[str, list[str]]:
    """A slot that moves data, and up to four others; what they offer, only now and then the same twice."""
    moving = {port: [name for name, operation in SLOT_OPERATIONS.items() if operation.moves == port] for port in ("load", "store")}
    computing = [name for name, operation in SLOT_OPERATIONS.items() if not operation.moves]
    mover = [*draw.some(moving["load"], 0.7), *moving["store"], *(draw.some(computing, 0.15) if draw.chance(0.3) else [])]
    others = [draw.some(computing, draw.pick(0.1, 0.1, 0.3, 0.5)) for _ in range(draw.pick(0, 1, 1, 2, 2, 3, 4))]
    names = [_SLOT_NAMES[place] for place in draw.rng.permutation(len(_SLOT_NAMES))]
    slots = [mover, *others]
    return {names[place]: slots[place] for place in draw.rng.permutation(len(slots)).tolist()}


def _capabilities(draw: _Draw, slots: dict[str, list[str]], lanes: int, *, everything: bool) -> list[str]:
    """What the slots can do, and unless that is to be ``everything`` without some of it where another operation still serves each of a slot's."""
    offered = {name for operations in slots.values() for name in operations}
    able = [outer for outer, needs in OUTER.items() if offered & set(needs)]
    for outer in draw.some(able, 0.2) if able and not everything else ():
        left = [other for other in able if other != outer]
        if left and all(not (served := {o for o, needs in OUTER.items() if name in needs}) or served & set(left) for name in offered):
            able = left
    kind = kind_of(_KIND)
    return [str(signature(outer, {d: lanes if size == "lanes" else int(size) for d, size in kind.offer(outer).dimensions}, formulas())) for outer in able]


def random_core_text(seed: int, *, networks: bool = False) -> str:
    """YAML of a random machine whose only computing engine is a core; with ``networks`` it has what most of their operators need."""
    for attempt in range(50):
        draw = _Draw(1000 * seed + attempt)
        vector = draw.pick(16, 32, 32, 32, 64) if networks else draw.pick(16, 16, 16, 32, 32, 32, 64, 128)
        granule = draw.pick(*(size for size in (4, 8, 16, 32) if 4 * size <= vector))
        slots = _whole(draw) if networks else _slots(draw)
        sizes: dict[str, int] = {"vector_bytes": vector, "granule_bytes": granule, "registers": draw.pick(8, 16, 32, 64), "in_streams": draw.pick(1, 2, 3, 4),
                                 "out_streams": draw.pick(1, 1, 2), "parameter_sets": draw.pick(1, 2, 3)}
        if networks:
            sizes |= {"registers": draw.pick(16, 32, 32, 64), "in_streams": draw.pick(3, 3, 4), "parameter_sets": draw.pick(2, 3)}
        sizes["packet_bytes"] = max(4, 1 << (-(-packet_bits({**sizes, "packet_bytes": 4}, {"slots": slots}) // 8) - 1).bit_length())
        capabilities = _capabilities(draw, slots, vector // 4, everything=networks)
        if sizes["packet_bytes"] > 64 or not capabilities:
            continue
        ports = kind_of(_KIND).built_ports([operation_of(text) or "" for text in capabilities])
        memories = _memories(draw, vector, granule, sizes["packet_bytes"], table=any("table" in port.memories for port in ports), networks=networks)
        longest = _text(seed, sizes, slots, dict.fromkeys(slots, 63), capabilities, memories)
        graph = parse_graph(longest, name=f"core{seed}")
        latencies = {slot: least_latency(graph, graph.engines["core"], slot) + draw.pick(0, 0, 1, 2, 5) for slot in slots}
        return _text(seed, sizes, slots, latencies, capabilities, memories)
    raise RuntimeError(f"no core found for seed {seed}; expected one within 50 draws")


def _memories(draw: _Draw, vector: int, granule: int, packet: int, *, table: bool, networks: bool) -> dict[str, str]:
    """Memories on chip by name: one or two of granules, one of packets, tables; for networks two of some KiB, and room for any kernel."""
    words = vector // granule

    def scratchpad(width: int, banks: int, depth: int) -> str:
        return f"{{kind: scratchpad, width_bytes: {width}, banks: {banks}, depth_words: {depth}, read_latency_cycles: {draw.pick(1, 1, 2, 3)}}}"

    names = ("act", "wgt")[: draw.pick(1, 2, 2)] if not networks else ("act", "wgt")
    depths = (5, 16, 33, 64) if not networks else (4096 // vector, 6144 // vector, 8192 // vector + 1)
    found = {name: scratchpad(granule, draw.pick(4, 6) if networks else draw.pick(2, 3, 4, 5), words * draw.pick(*depths)) for name in names}
    width, packets = packet * draw.pick(1, 1, 2), 320 if networks else 96
    found["packets"] = scratchpad(width, 2 if networks else draw.pick(1, 2), -(-packets * packet // width) + draw.pick(0, 7))
    if table:
        found["lut"] = f"{{kind: table, element: i8, entries: 256, banks: {draw.pick(2, 3) if networks else draw.pick(1, 2, 3)}}}"
    return found


def _text(seed: int, sizes: dict[str, int], slots: dict[str, list[str]], latencies: dict[str, int], capabilities: list[str], memories: dict[str, str]) -> str:
    draw = _Draw(seed + 1)
    data = [name for name in memories if name not in ("packets", "lut")]
    stored = draw.some(data, 0.6)
    links = [("dram", "load", "source"), *(("load", name, "destination") for name in memories), ("packets", "core", "code"),
             *((name, "core", "load") for name in data), *(("core", name, "store") for name in stored),
             *((("lut", "core", "table"),) if "lut" in memories else ()), *((name, "store", "source") for name in stored), ("store", "dram", "destination")]
    bus, copy = draw.pick(32, 64, 128), 'capabilities: ["(i8,chunk)=COPY((i8,chunk))"]'
    described = [f"{name}: {value}" for name, value in sizes.items()]
    listed = ", ".join(f"{name}: [{', '.join(operations)}]" for name, operations in slots.items())
    late = ", ".join(f"{name}: {value}" for name, value in latencies.items())
    described += [f"slots: {{{listed}}}", f"latency_cycles: {{{late}}}", "capabilities: [" + ", ".join(f'"{text}"' for text in capabilities) + "]"]
    lines = [
        f"name: core{seed}", "summary: a core drawn at random", "control:", "  discipline: queued", f"  queue_depth: {draw.pick(2, 4, 8)}",
        f"  fetch: {{memory: dram, outstanding_bursts: {draw.pick(1, 2, 4)}}}", "memories:",
        f"  dram: {{kind: external, size_bytes: 1048576, bus_bits: {bus}, address_bits: 32, read_latency_cycles: {draw.pick(1, 7, 24)}, "
        f"write_latency_cycles: {draw.pick(1, 5)}}}",
        *(f"  {name}: {text}" for name, text in memories.items()), "engines:",
        f"  load: {{kind: load, outstanding_bursts: {draw.pick(1, 4, 8)}, {copy}}}",
        f"  core: {{kind: core, {', '.join(described)}}}",
        f"  store: {{kind: store, outstanding_bursts: {draw.pick(1, 4, 8)}, {copy}}}",
        "links:", *(f"  - {{from: {source}, to: {target}, port: {port}}}" for source, target, port in links),
    ]
    return "\n".join(lines) + "\n"


def random_core(seed: int, *, networks: bool = False) -> Graph:
    """The graph of :func:`random_core_text`."""
    return parse_graph(random_core_text(seed, networks=networks), name=f"core{seed}")
