"""Single changes of an architecture description, with every dependent number following.

    before   edge16, "vector.lanes x2"
    after    vector: lanes 32, its capabilities (i32,32)=MAC(..), memories whose words are now too narrow for it twice as wide and half as deep

What follows from a size: the numbers of the engine's capabilities, by the named dimensions of their operations; and the width of memories, a multiple
of each access that a port makes. A memory that grows wider keeps its bytes where its depth allows.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

import yaml

from acg.errors import ArchitectureError
from acg.graph import Graph, parse_graph
from acg.kinds import formulas, kind_of
from acg.kinds.spec import BUS, CHUNK
from acg.nodes import Engine
from acg.operations import signature

__all__ = ["Variant", "resized", "variants"]

#: Factors that numbers are multiplied by, and latencies divided by.
FACTORS = (2, 4)
_Data = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A changed machine: ``change`` in words; ``graph``, or why there is none in ``refused``."""

    change: str
    graph: Graph | None
    refused: str = ""


def variants(graph: Graph) -> Iterator[Variant]:
    """Every single change of a machine's sizes, one more of each engine, and faster external memory; those that no machine can have say why."""
    data = yaml.safe_load(graph.description)
    for change, edit in _changes(graph, data):
        yield _variant(graph, change, edit)


def resized(graph: Graph, *, name: str, sizes: Mapping[tuple[str, str], int | str]) -> Graph:
    """The machine called ``name`` with these sizes, by (engine or memory, key); all that depends on them follows. Raises ArchitectureError, KeyError."""
    data = yaml.safe_load(graph.description)
    for (node, key), value in sizes.items():
        table = data["engines"] if node in data["engines"] else data["memories"]
        if node not in table or key not in table[node]:
            raise KeyError(f"{node}.{key}")
        table[node][key] = value
    data["name"] = name
    return _built(graph, data)


def _variant(graph: Graph, change: str, edit: Callable[[_Data], None]) -> Variant:
    data = yaml.safe_load(graph.description)
    edit(data)
    try:
        return Variant(change, _built(graph, data))
    except ArchitectureError as error:
        return Variant(change, None, str(error).splitlines()[0])


def _built(graph: Graph, data: _Data) -> Graph:
    _follow(graph, data)
    return parse_graph(yaml.safe_dump(data, sort_keys=False, width=1000), name=graph.name)


def _changes(graph: Graph, data: _Data) -> Iterator[tuple[str, Callable[[_Data], None]]]:
    for name, memory in data["memories"].items():
        for key in ("banks", "depth_words") if memory["kind"] == "scratchpad" else ("banks",) if memory["kind"] == "table" else ("bus_bits",):
            for factor in FACTORS if key != "bus_bits" else FACTORS[:1]:
                yield f"{name}.{key} x{factor}", _times("memories", name, key, factor)
        for key in ("read_latency_cycles", "write_latency_cycles"):
            if memory.get(key, 1) > 1:
                yield f"{name}.{key} /2", _half("memories", name, key)
    for engine in graph.engines.values():
        for size in engine.specification.sizes:
            if size.choices:
                for word in size.choices:
                    if word != engine.word(size.name):
                        yield f"{engine.name}.{size.name} {word}", _set("engines", engine.name, size.name, word)
            else:
                yield f"{engine.name}.{size.name} x2", _times("engines", engine.name, size.name, 2)
    for factor in FACTORS:
        yield f"all scratchpads' banks x{factor}", _all_banks(factor)
    yield "queue_depth x2", lambda changed: changed["control"].update(queue_depth=2 * changed["control"]["queue_depth"])
    yield "fetch.outstanding_bursts x2", lambda changed: changed["control"]["fetch"].update(
        outstanding_bursts=2 * changed["control"]["fetch"]["outstanding_bursts"])  # fmt: skip
    for engine in graph.engines.values():
        yield f"one more {engine.name}", _second(engine)


def _times(table: str, name: str, key: str, factor: int) -> Callable[[_Data], None]:
    return lambda data: data[table][name].update({key: data[table][name][key] * factor})


def _all_banks(factor: int) -> Callable[[_Data], None]:
    def edit(data: _Data) -> None:
        for memory in data["memories"].values():
            if memory["kind"] == "scratchpad":
                memory["banks"] *= factor

    return edit


def _half(table: str, name: str, key: str) -> Callable[[_Data], None]:
    return lambda data: data[table][name].update({key: max(1, data[table][name][key] // 2)})


def _set(table: str, name: str, key: str, value: str) -> Callable[[_Data], None]:
    return lambda data: data[table][name].update({key: value})


def _second(engine: Engine) -> Callable[[_Data], None]:
    """A twin of an engine on the same memories but tables that it writes; of memories that stand within it, on twins of theirs."""

    def edit(data: _Data) -> None:
        twin = f"{engine.name}_2"
        data["engines"][twin] = copy.deepcopy(data["engines"][engine.name])
        own: dict[str, str] = {}
        for link in list(data["links"]):
            if engine.name not in (link["from"], link["to"]):
                continue
            side = "from" if link["to"] == engine.name else "to"
            memory = link[side]
            if side == "to" and data["memories"][memory]["kind"] == "table":  # which has one write port
                continue
            if engine.specification.port(link["port"]).built_in:
                if memory not in own:
                    own[memory] = f"{memory}_2"
                    data["memories"][own[memory]] = copy.deepcopy(data["memories"][memory])
                    data["links"] += [{**other, "to": own[memory]} for other in list(data["links"]) if other["to"] == memory]
                memory = own[memory]
            data["links"].append({**link, "to" if side == "from" else "from": twin, side: memory})

    return edit


def _follow(graph: Graph, data: _Data) -> None:
    """Mend what depends on the sizes of a changed description."""
    for engine in data["engines"].values():
        kind = kind_of(engine["kind"])
        offers = {offer.operation: dict(offer.dimensions) for offer in kind.offers}
        sizes = {**engine, **{item.name: engine[item.size] // item.divisor for item in kind.derived}}
        engine["capabilities"] = [_capability(text, offers, sizes) for text in engine["capabilities"]]
    accesses: dict[str, list[int]] = {}
    for link in data["links"]:
        engine_name = link["to"] if link["to"] in data["engines"] else link["from"]
        memory = link["from"] if engine_name == link["to"] else link["to"]
        engine = data["engines"][engine_name]
        port = kind_of(engine["kind"]).port(link["port"])
        factor, size = port.lanes
        if data["memories"][memory]["kind"] != "scratchpad" or size in (BUS, CHUNK):
            continue
        element = link.get("element") or data["memories"][memory].get("element") or port.elements[0]
        accesses.setdefault(memory, []).append(factor * (engine[size] if size else 1) * (4 if element == "i32" else 1))
    for name, made in accesses.items():
        _widen(data["memories"][name], made)


def _capability(text: str, offers: Mapping[str, Mapping[str, str]], engine: _Data) -> str:
    operation = re.sub(r"\s+", "", text).partition("=")[2].partition("(")[0]
    dimensions = offers.get(operation)
    if not dimensions or re.search(r",\s*[a-z]", text):  # sizes by name follow by themselves
        return text
    return str(signature(operation, {dimension: int(size) if size.isdigit() else engine[size] for dimension, size in dimensions.items()}, formulas()))


def _widen(memory: _Data, accesses: list[int]) -> None:
    """Make a memory's words whole accesses of each port, with as many bytes where that is possible."""
    bits = 32 if memory.get("element") == "i32" else 8
    width, needed = memory.get("width_bytes") or memory["lanes"] * bits // 8, lcm(*accesses)
    if needed == 0 or width % needed == 0:  # a size of 0 is refused with the rest
        return
    if width * memory["depth_words"] % needed == 0:
        memory["depth_words"] = width * memory["depth_words"] // needed
    if memory.get("width_bytes"):
        memory["width_bytes"] = needed
    else:
        memory["lanes"] = needed * 8 // bits
