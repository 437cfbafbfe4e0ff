"""Random architectures: valid descriptions of machines that nobody drew, for tests and ``covenant verify``.

Sizes share nothing, memories hold little, engines come in one or two of a kind with shared or dedicated memories, nodes have names and an
order of their own. Every text passes the checks of :mod:`acg.description.check`.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from acg.description.capability import operation_of
from acg.graph import Graph, parse_graph
from acg.kinds import KINDS
from acg.kinds.spec import EngineKind
from verif.random.further import further_engine
from verif.random.joined import join

__all__ = ["random_architecture", "random_architecture_text"]

#: Operations of a vector unit, by the signature of one lane group.
_VECTOR = ("(i32,{v})=MAC((i9,{v}),(i9,{v}))", "(i32,{v})=SUM((i9,{v}))", "(i32,{v})=MAXIMUM((i9,{v}))",
           *(f"(f32,{{v}})={name}((f32,{{v}}),(f32,{{v}}))" for name in ("ADD", "MUL", "MIN", "MAX")),
           "(i8,{v})=REQUANTIZE((f32,{v}),(f32,{v}))", "(i8,{v})=TABLE((i8,{v}))")
#: Further ones of a vector unit that writes float32.
_ESTIMATES = ("(f32,{v})=RECIPROCAL_ESTIMATE((f32,{v}))", "(f32,{v})=RSQRT_ESTIMATE((f32,{v}))")
#: What takes the place of a matrix unit, or stands beside it.
_BROADCAST = "(i32,{v})=BROADCAST_MAC((i9),(i9,{v}))"
#: What stands in the middle of a chain.
_ROUNDING = "(f32,{v})=FAKE_QUANTIZE((f32,{v}))"
_NAMES = ("a", "bank", "cell", "d0", "edge", "f_9", "grid", "heap", "in", "junction", "k", "lane", "mill", "nest", "out", "pool", "q2", "ring", "slab",
          "tile", "u", "vault", "well", "x7", "yard", "zone")


@dataclass
class _Draft:
    """Nodes and links while they are drawn; ``links`` hold (from, to, port) by role."""

    memories: dict[str, str] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)


class _Draw:
    def __init__(self, seed: int):
        self.rng = np.random.default_rng([seed, 0xAC6])
        #: For features that came later: the other machines stay what they were.
        self.later = np.random.default_rng([seed, 0xB0C])

    def pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def edge(self, most: int) -> int:
        """A power of two, mostly up to 8."""
        value = self.pick(1, 2, 4, 4, 8, 8) if not self.chance(0.08) else self.pick(16, 32)
        return min(value, most)

    def shuffled(self, items: list) -> list:
        return [items[position] for position in self.rng.permutation(len(items))]

    def some(self, items: list[str], probability: float) -> list[str]:
        """Some of the items, in a random order; at least one."""
        kept = [item for item in items if self.chance(probability)]
        return self.shuffled(kept or [items[int(self.rng.integers(len(items)))]])


def _scratchpad(draw: _Draw, element: str, lanes: int, banks: int, size_bytes: int) -> str:
    """A scratchpad of about ``size_bytes``, of any depth: powers of two are the exception."""
    word = lanes * (4 if element == "i32" else 1)
    depth = max(1, size_bytes // word // banks)
    if draw.chance(0.6):
        depth += int(draw.rng.integers(0, 1 + depth // 3))
    latency = draw.pick(1, 1, 1, 2, 2, 3, 5, 8)
    return f"{{kind: scratchpad, element: {element}, lanes: {lanes}, banks: {banks}, depth_words: {depth}, read_latency_cycles: {latency}}}"


def _copies(draw: _Draw, draft: _Draft, kind: EngineKind, memories: list[str], needed: list[str]) -> None:
    """One or two engines of a kind that copies, which reach all ``needed`` and perhaps other memories, in common or shared out."""
    count = 2 if draw.chance(0.4) else 1
    reach: list[list[str]] = [[] for _ in range(count)]
    wanted = [*needed, *(name for name in memories if name not in needed and draw.chance(0.4))]
    for name in draw.shuffled(wanted):
        reach[draw.pick(*range(count))].append(name)
    for names in reach:
        names += [name for name in wanted if name not in names and name != "lut" and draw.chance(0.3)]  # a table has one writer
        if not names:
            names.append(next(name for name in wanted if name != "lut"))
    for number, names in enumerate(reach):
        engine = f"{kind.name}{number}"
        lanes = draw.pick(4, 8, 16)
        bursts = draw.pick(1, 2, 3, 8, 8, 64)
        draft.engines[engine] = f"{{kind: {kind.name}, outstanding_bursts: {bursts}, capabilities: [\"(i8,{lanes})=COPY((i8,{lanes}))\"]}}"
        outside, inside = sorted(kind.ports, key=lambda port: "external" not in port.memories)
        for port, ends in ((inside, draw.shuffled(names)), (outside, ["ext"])):
            draft.links += [(name, engine, port.name) if port.reads else (engine, name, port.name) for name in ends]


def _compute(draw: _Draw, draft: _Draft, most: int) -> None:
    rows, columns, v = draw.edge(most), draw.edge(most), draw.edge(min(most, 16))
    weights_as_b = draw.chance(0.6)
    act_lanes = max(v, rows) * draw.pick(1, 1, 2)
    wgt_lanes = max(v if weights_as_b else 1, columns) * draw.pick(1, 1, 2)
    acc_lanes = max(v, columns) * draw.pick(1, 1, 2)
    act_banks, wgt_banks, acc_banks = draw.pick(2, 3, 4, 5, 8), draw.pick(1, 2, 2, 3, 4), draw.pick(1, 2, 3, 4)
    block = rows * columns
    draft.memories |= {
        "act": _scratchpad(draw, "i8", act_lanes, act_banks, draw.pick(2048, 4096, 8192, 16384)),
        "wgt": _scratchpad(draw, "i8", wgt_lanes, wgt_banks, wgt_banks * max(block + block % wgt_lanes + wgt_lanes, draw.pick(512, 1024, 4096))),
        "acc": _scratchpad(draw, "i32", acc_lanes, acc_banks, draw.pick(8, 32, 100, 256) * acc_lanes * 4),
        "par": _scratchpad(draw, "i32", 2 * v, draw.pick(1, 2, 3), draw.pick(2, 8, 33) * v * 8),
        "lut": f"{{kind: table, element: i8, entries: 256, banks: {draw.pick(1, 2, 3)}}}",
    }
    side = draw.chance(0.25)  # a second memory of bytes, for the vector unit alone
    if side:
        draft.memories["side"] = _scratchpad(draw, "i8", v * draw.pick(1, 2), draw.pick(2, 3), draw.pick(1024, 4096))
    organisation = "systolic" if draw.chance(0.6) else "dot"
    draft.engines["matrix"] = (f"{{kind: matrix, organisation: {organisation}, rows: {rows}, columns: {columns}, "
                               f"capabilities: [\"(i32,{columns})=MATMUL((i9,{rows}),(i9,{rows},{columns}))\"]}}")
    if draw.chance(0.1):
        draft.engines["matrix1"] = draft.engines["matrix"].replace("systolic", "dot") if draw.chance(0.5) else draft.engines["matrix"]
    missing = draw.pick(*_VECTOR) if draw.chance(0.1) else ""  # networks that need it are refused
    wide_y = ["acc"] if draw.chance(0.7) else []
    estimates = draw.pick((), _ESTIMATES[:1], _ESTIMATES[1:], *[_ESTIMATES] * 5) if wide_y else ()
    signatures = ", ".join(f'"{text.format(v=v)}"' for text in draw.shuffled([*_VECTOR, *estimates]) if text != missing)
    draft.engines["vector"] = f"{{kind: vector, lanes: {v}, capabilities: [{signatures}]}}"
    draft.links += [("act", "matrix", "activation"), ("wgt", "matrix", "weight"), ("acc", "matrix", "accumulator"), ("matrix", "acc", "result"),
                    ("par", "vector", "parameter"), ("lut", "vector", "table")]
    sides = ["side"] if side else []
    draft.links += [(name, "vector", "a") for name in draw.shuffled(["act", "acc", *sides])]
    wide_b = ["acc"] if acc_banks > 1 and draw.chance(0.85 if wide_y else 0.1) else []
    operands = [*(["wgt"] if weights_as_b else []), *sides, *wide_b]
    draft.links += [(name, "vector", "b") for name in draw.shuffled(operands if operands and draw.chance(0.1) else ["act", *operands])]
    draft.links += [("vector", name, "y") for name in draw.shuffled(["act", *sides, *wide_y])]
    if draw.chance(0.1):
        draft.engines["vector1"] = draft.engines["vector"]
    twice = {"matrix", "vector"} & {name[:-1] for name in draft.engines}
    again = {name: f"{name}1" for name in twice}
    draft.links += [(again.get(source, source), again.get(target, target), port) for source, target, port in draft.links if twice & {source, target}]
    if weights_as_b and wide_y and draw.later.random() < 0.25:
        _broadcast(draw, draft, v)
    if draw.later.random() < 0.3:
        _prune(draw, draft, v)
    if draw.later.random() < 0.2:  # words of several parameter accesses
        draft.memories["par"] = draft.memories["par"].replace(f"lanes: {2 * v},", f"lanes: {4 * v},")
    if draw.later.random() < 0.3:
        _offer(draft, _ROUNDING.format(v=v))
    _without_idle_links(draft)
    memories = [name for name in draft.memories if name != "ext"]
    _copies(draw, draft, KINDS["load"], memories, ["act", "wgt", "par", "lut"])
    _copies(draw, draft, KINDS["store"], [name for name in memories if name != "lut"], ["act", "acc"])


def _broadcast(draw: _Draw, draft: _Draft, v: int) -> None:
    """The vector units broadcast too; every other such machine has no matrix unit."""
    _offer(draft, _BROADCAST.format(v=v))
    if draw.later.random() < 0.5:
        draft.engines = {name: text for name, text in draft.engines.items() if not name.startswith("matrix")}
        draft.links = [link for link in draft.links if not {"matrix", "matrix1"} & set(link)]


def _offer(draft: _Draft, capability: str) -> None:
    """The vector units offer this too."""
    for name in ("vector", "vector1"):
        if name in draft.engines:
            draft.engines[name] = draft.engines[name].replace("capabilities: [", f"capabilities: [\"{capability}\", ")


def _prune(draw: _Draw, draft: _Draft, v: int) -> None:
    """A second vector unit that offers one to four of the operations of the first."""
    if "vector1" not in draft.engines:
        twin = {"vector": "vector1"}
        draft.links += [(twin.get(source, source), twin.get(target, target), port) for source, target, port in draft.links if twin.keys() & {source, target}]
    offered = _signatures(draft.engines["vector"])
    kept = [offered[place] for place in sorted(draw.later.permutation(len(offered))[: int(draw.later.integers(1, 5))].tolist())]
    draft.engines["vector1"] = f"{{kind: vector, lanes: {v}, capabilities: [{', '.join(kept)}]}}"


def _signatures(engine: str) -> list[str]:
    return re.findall(r'"[^"]*"', engine)


def _without_idle_links(draft: _Draft) -> None:
    """Vector units keep the links of ports that an operation of theirs needs."""
    for name in ("vector", "vector1"):
        if name in draft.engines:
            operations = [operation_of(text.strip('"')) or "" for text in _signatures(draft.engines[name])]
            ports = {port.name for port in KINDS["vector"].built_ports(operations)}
            draft.links = [link for link in draft.links if name not in link or link[2] in ports]


def random_architecture_text(seed: int, *, prefix: str = "", most: int = 32) -> str:
    """YAML of a random architecture; equal seeds differ by the prefix of the node names only. ``most``: greatest edge of the array."""
    draw = _Draw(seed)
    draft = _Draft()
    bus = draw.pick(32, 64, 64, 128, 256, 512)
    size = draw.pick(1 << 18, (1 << 18) + 12288, 1 << 20, 1 << 25)
    address_bits = draw.pick((size - 1).bit_length(), 32, 40, 64)
    latencies = draw.pick(1, 2, 7, 30), draw.pick(1, 2, 5, 20)
    draft.memories["ext"] = (f"{{kind: external, size_bytes: {size}, bus_bits: {bus}, address_bits: {address_bits}, "
                             f"read_latency_cycles: {latencies[0]}, write_latency_cycles: {latencies[1]}}}")
    _compute(draw, draft, most)
    draft.links = join(draft.memories, draft.links, np.random.default_rng([seed, 0x701]))
    roles = [*draft.memories, *draft.engines]
    names = draw.shuffled(list(_NAMES))[: len(roles)]
    name_of = {role: f"{prefix}{name}" for role, name in zip(roles, names, strict=True)}
    lines = [f"name: random{seed}", "summary: drawn at random", "control:", "  discipline: queued", f"  queue_depth: {draw.pick(2, 2, 3, 4, 8, 16, 33)}",
             f"  fetch: {{memory: {name_of['ext']}, outstanding_bursts: {draw.pick(1, 2, 4)}}}"]
    for section, nodes in (("memories", draft.memories), ("engines", draft.engines)):
        lines.append(f"{section}:")
        lines += [f"  {name_of[role]}: {nodes[role]}" for role in draw.shuffled(list(nodes))]
    lines.append("links:")
    lines += [f"  - {{from: {name_of[source]}, to: {name_of[target]}, port: {port}}}" for source, target, port in draw.shuffled(draft.links)]
    text = _deeper("\n".join(lines) + "\n", np.random.default_rng([seed, 0xDEE9]))
    return _further(draw, text, prefix, [name for name in _NAMES if name not in names])


def _deeper(text: str, rng: np.random.Generator) -> str:
    """The description with deeper pipelines in some of its engines, in every other machine."""
    if rng.random() < 0.5:
        return text

    def engine(match: re.Match) -> str:
        kind = KINDS[match[1]]
        operations = {operation_of(signature.strip('"')) for signature in _signatures(match[0])}
        depths = [depth for depth in kind.depths if rng.random() < 0.4 and (not depth.offered_by or operations & {*depth.offered_by})]
        numbers = ", ".join(f"{depth.name}: {rng.integers(depth.usual, depth.most + 1)}" for depth in depths)
        return match[0].replace(", capabilities:", f", pipeline: {{{numbers}}}, capabilities:") if numbers else match[0]

    return re.sub(r"\{kind: (\w+), [^\n]*capabilities: [^\n]*", engine, text)


def _further(draw: _Draw, text: str, prefix: str, names: list[str]) -> str:
    """The description with engines of some of the kinds that it has none of, one each."""
    for kind in KINDS.values():
        if f"kind: {kind.name}," not in text and draw.chance(0.25):
            found = further_engine(kind, f"{prefix}{names.pop()}", text, draw.pick)
            text = found[0] if found is not None else text
    return text


def random_architecture(seed: int, *, prefix: str = "", most: int = 32) -> Graph:
    """The graph of :func:`random_architecture_text`."""
    return parse_graph(random_architecture_text(seed, prefix=prefix, most=most), name=f"random{seed}")
