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

__all__ = ["Variant", "resized", "resized_text", "variants"]

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


def resized(graph: Graph, *, name: str, sizes: Mapping[tuple[str, str], int | str], engines: Mapping[str, int] | None = None) -> Graph:
    """The machine called ``name`` with these sizes, by (engine or memory, key), and that many of each engine in ``engines``; all that depends on them
    follows. "control" has queue_depth and outstanding_bursts. Of no engine its links go too, and memories that nothing else reads or writes; of two and
    more twins stand on the same memories. Raises ArchitectureError, KeyError.
    """
    return parse_graph(resized_text(graph, name=name, sizes=sizes, engines=engines), name=graph.name)


def resized_text(graph: Graph, *, name: str, sizes: Mapping[tuple[str, str], int | str], engines: Mapping[str, int] | None = None) -> str:
    """As `resized`, the description alone, which may be one that no machine can have. Raises KeyError."""
    data = yaml.safe_load(graph.description)
    for (node, key), value in sizes.items():
        table = _place(data, node, key)
        if key not in table:
            raise KeyError(f"{node}.{key}")
        table[key] = value
    for engine, count in (engines or {}).items():
        if engine not in data["engines"]:
            raise KeyError(engine)
        if count == 0:
            _remove(data, engine)
        for number in range(2, count + 1):
            _second(graph.engines[engine], number)(data)
    data["name"] = name
    return _text(data)


def _place(data: _Data, node: str, key: str) -> _Data:
    """The part of a description in which a size of a node stands; an empty one where there is no such node."""
    if node == "control":
        return data["control"]["fetch"] if key == "outstanding_bursts" else data["control"] if key == "queue_depth" else {}
    return data["engines"].get(node) or data["memories"].get(node) or {}


def _remove(data: _Data, engine: str) -> None:
    """Take an engine out, and the memories on chip that have no other reader or writer than engines that only fill or empty them."""
    del data["engines"][engine]
    mine = {link["from"] if link["to"] == engine else link["to"] for link in data["links"] if engine in (link["from"], link["to"])}
    data["links"] = [link for link in data["links"] if engine not in (link["from"], link["to"])]
    copies = {name for name, item in data["engines"].items() if kind_of(item["kind"]).copies}
    for memory in mine:
        users = {end for link in data["links"] if memory in (link["from"], link["to"]) for end in (link["from"], link["to"])} - {memory}
        if users <= copies and data["memories"][memory]["kind"] != "external":
            del data["memories"][memory]
            data["links"] = [link for link in data["links"] if memory not in (link["from"], link["to"])]


def _variant(graph: Graph, change: str, edit: Callable[[_Data], None]) -> Variant:
    data = yaml.safe_load(graph.description)
    edit(data)
    try:
        return Variant(change, _built(graph, data))
    except ArchitectureError as error:
        return Variant(change, None, str(error).splitlines()[0])


def _built(graph: Graph, data: _Data) -> Graph:
    return parse_graph(_text(data), name=graph.name)


def _text(data: _Data) -> str:
    _follow(data)
    return yaml.safe_dump(data, sort_keys=False, width=1000)


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


def _second(engine: Engine, number: int = 2) -> Callable[[_Data], None]:
    """A twin of an engine on the same memories but tables that it writes; of memories that stand within it, on twins of theirs."""

    def edit(data: _Data) -> None:
        twin = f"{engine.name}_{number}"
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
                    own[memory] = f"{memory}_{number}"
                    data["memories"][own[memory]] = copy.deepcopy(data["memories"][memory])
                    data["links"] += [{**other, "to": own[memory]} for other in list(data["links"]) if other["to"] == memory]
                memory = own[memory]
            data["links"].append({**link, "to" if side == "from" else "from": twin, side: memory})

    return edit


def _follow(data: _Data) -> None:
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
