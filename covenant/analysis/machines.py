"""Machines made from machines, and what differs between two."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from acg.description.variants import resized
from acg.graph import Graph, load_graph
from covenant.errors import UserError

__all__ = ["changed", "differences"]


def changed(like: str, name: str, settings: Sequence[str]) -> Graph:
    """The machine ``like`` under another name, with ``settings`` such as "matrix.rows=8"; all that depends on them follows.

    Raises UserError for a setting that is none, `acg.errors.ArchitectureError` for a machine that cannot be.
    """
    graph, sizes = load_graph(like), {}
    for text in settings:
        place, equals, value = text.partition("=")
        node, dot, key = place.partition(".")
        if not (equals and dot and node and key and value):
            raise UserError(f"arch new: --set {text!r}; expected engine.size=value or memory.key=value, as in matrix.rows=8")
        sizes[node, key] = int(value) if value.removeprefix("-").isdecimal() else value
    try:
        return resized(graph, name=name, sizes=sizes)
    except KeyError as error:
        known = [f"{node}.{key}" for table in ("engines", "memories") for node, values in yaml.safe_load(graph.description)[table].items()
                 for key in values if key not in ("kind", "capabilities")]  # fmt: skip
        raise UserError(f"arch new: {graph.name} has no {error.args[0]}; expected one of {', '.join(known)}") from None


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Places and values of a description; links are known by their ends and port."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            ends = f"{item['from']} to {item['to']}, port {item['port']}" if isinstance(item, dict) else str(item)
            yield f"{path}: {ends}", str(item.get("element", "")) if isinstance(item, dict) else ""
    else:
        yield path, str(value)


def differences(a: Graph, b: Graph) -> list[tuple[str, str | None, str | None]]:
    """(place, value in ``a``, value in ``b``), None where one has no such place; in the order of ``a``, then what only ``b`` has."""
    ours, theirs = (dict(_leaves(yaml.safe_load(graph.description))) for graph in (a, b))
    return [(place, ours.get(place), theirs.get(place)) for place in dict.fromkeys((*ours, *theirs)) if ours.get(place) != theirs.get(place)]
