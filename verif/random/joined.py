"""Memories of a random machine that hold several things: any grouping of its scratchpads becomes one memory each, and links say what they carry."""

import re

import numpy as np

__all__ = ["join"]

#: How often some memories are joined, and how often these are all.
_SOME, _ALL = 0.35, 0.3
_PAD = re.compile(r"\{kind: scratchpad, element: (i8|i32), lanes: (\d+), banks: (\d+), depth_words: (\d+), read_latency_cycles: (\d+)\}")

#: (from, to, port).
Link = tuple[str, str, str]


def join(memories: dict[str, str], links: list[Link], rng: np.random.Generator) -> list[Link]:
    """Join some of the scratchpads, each a line of YAML by name, in place; returns the links, with the type behind a port that takes several.

    What is joined has as many banks and at least as many bytes as its parts had, in words of the widest.
    """
    pads = {name: found for name, text in memories.items() if (found := _PAD.fullmatch(text))}
    if rng.random() >= _SOME:
        return links
    groups = [list(pads)] if rng.random() < _ALL else _grouping(list(pads), rng)
    home = {name: "_".join(group) for group in groups for name in group}
    for group in groups:
        if len(group) > 1:
            memories["_".join(group)] = _joined([pads[name] for name in group])
            for name in group:
                del memories[name]
    moved = []
    for source, target, port in links:
        near = source if source in pads else target
        wide = near in pads and home[near] != near and pads[near][1] == "i32" and port in ("a", "b", "y")
        moved.append((home.get(source, source), home.get(target, target), f"{port}, element: i32" if wide else port))
    return list(dict.fromkeys(moved))


def _grouping(names: list[str], rng: np.random.Generator) -> list[list[str]]:
    """Two or more groups, one of several names at least."""
    while True:
        number = rng.integers(len(names), size=len(names)).tolist()
        groups = [[name for name, own in zip(names, number, strict=True) if own == group] for group in dict.fromkeys(number)]
        if 1 < len(groups) < len(names):
            return groups


def _joined(group: list[re.Match]) -> str:
    parts = [(int(lanes) * (4 if element == "i32" else 1), *map(int, rest)) for element, lanes, *rest in (found.groups() for found in group)]
    width, banks = max(word for word, *_ in parts), sum(count for _, count, *_ in parts)
    size = sum(word * count * depth for word, count, depth, _ in parts)
    depth = max(-(-bank // width) for bank in (-(-size // banks), *(word * depth for word, _, depth, _ in parts)))  # no bank smaller than one before
    return f"{{kind: scratchpad, width_bytes: {width}, banks: {banks}, depth_words: {depth}, read_latency_cycles: {max(cycles for *_, cycles in parts)}}}"
