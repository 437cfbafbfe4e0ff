"""Machines made from machines, and what differs between two."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from acg.description.variants import resized
from acg.errors import ArchitectureError
from acg.graph import Graph, load_graph
from covenant.errors import UserError

__all__ = ["changed", "differences"]


def changed(like: str, name: str, settings: Sequence[str]) -> Graph:
    """The machine ``like`` under another name, with ``settings`` such as "matrix.rows=8"; all that depends on them follows.

    Raises UserError for a setting that is none, `acg.errors.ArchitectureError` for a machine that cannot be.
    """
    graph, sizes = load_graph(like), {}
    data = yaml.safe_load(graph.description)
    known = {(node, key): value for table in ("engines", "memories") for node, values in data[table].items() for key, value in values.items()
             if key not in ("kind", "capabilities") and isinstance(value, int | str)}  # fmt: skip
    for text in settings:
        place, equals, value = text.partition("=")
        node, dot, key = place.partition(".")
        if not (equals and dot and node and key and value):
            raise UserError(f"arch new: --set {text!r}; expected engine.size=value or memory.key=value, as in matrix.rows=8")
        if (node, key) not in known:
            raise UserError(f"arch new: {graph.name} has no {place}; expected one of {', '.join(map('.'.join, known))}")
        number = value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20
        if isinstance(known[node, key], int) and not number:
            raise UserError(f"arch new: --set {text!r}; expected a whole number, as in {place}={known[node, key]}")
        sizes[node, key] = int(value) if number else value
    try:
        return resized(graph, name=name, sizes=sizes)
    except ArchitectureError as error:  # its lines are those of a description that nobody has written
        made = f"arch new: {name}, {graph.name} with {', '.join(settings) or 'nothing changed'}"
        raise ArchitectureError([re.sub(rf"^{re.escape(graph.name)}:\d+: ", f"{made}: ", problem) for problem in error.problems]) from None


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
