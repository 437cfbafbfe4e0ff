"""Rules that kinds of engines share: each makes a function of a graph and one of its engines that tells what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from acg.kinds.spec import Rule

if TYPE_CHECKING:
    from acg.footprint import Access
    from acg.nodes import Engine, Graph
    from acg.timing import EngineTiming

__all__ = ["block", "chunk_limit", "needs_wide", "read_and_written", "same", "timed", "words_apart"]

Found = Iterator[tuple[tuple[str, ...], str]]


def timed(timing: Callable[..., EngineTiming], sizes: Sequence[str], ports: Sequence[str]) -> Callable[[Graph, Engine], EngineTiming]:
    """A fresh timing state of an engine: ``timing`` is given these sizes, and of these ports the read latency as ``<port>_latency_cycles``; and
    ``registers``, those of its pipeline, where its kind has any that a description can say."""

    def state(graph: Graph, engine: Engine) -> EngineTiming:
        latencies = {f"{port}_latency_cycles": graph.read_latency_cycles(engine.name, port) for port in ports}
        registers = {"registers": engine.registers} if engine.specification.depths else {}
        return timing(**{size: engine.sizes[size] for size in sizes}, **latencies, **registers)

    return state


def same(one: str, two: str) -> Rule:
    """Two ports are on one memory: the first reads what the second has written."""

    def rule(graph: Graph, engine: Engine) -> Found:
        a, b = graph.link_of(engine.name, one).memory, graph.link_of(engine.name, two).memory
        if a != b:
            yield ("engines", engine.name), f"accumulates from {a!r} into {b!r}; expected one memory for ports {one!r} and {two!r}"

    return rule


def block(port: str, *sizes: str, what: str) -> Rule:
    """A bank of the port's memory holds as many bytes as the product of these sizes."""

    def rule(graph: Graph, engine: Engine) -> Found:
        memory = graph.memories[graph.link_of(engine.name, port).memory]
        need = 1
        for size in sizes:
            need *= engine.number(size)
        if memory.bank_bytes < need:
            shape = "x".join(str(engine.number(size)) for size in sizes)
            yield (("memories", memory.name, "depth_words"),
                   f"a bank holds {memory.bank_bytes} bytes; expected at least {need}, one {shape} {what}")

    return rule


def needs_wide(port: str, *operations: str, what: str) -> Rule:
    """Operations whose results only 32-bit elements can hold: the port reaches some."""

    def rule(graph: Graph, engine: Engine) -> Found:
        offered = [name for name in operations if engine.can(name)]
        if offered and all(link.element.bits == 8 for link in graph.links_of(engine.name, port)):
            yield (("engines", engine.name, "capabilities"), f"found {offered[0]}, but port {port!r} reaches bytes only; expected a link of it to a "
                   f"memory of i32, which holds {what}, add one or remove the operation")

    return rule


def read_and_written(accesses: Sequence[Access], ports: Container[str]) -> str | None:
    """The first of these ports over which an instruction reads bytes that it writes; None where it reads none. How far it has got is the unit's latency's
    affair."""
    written = [access for access in accesses if access.write]
    return next((access.port for access in accesses if access.port in ports and not access.write and any(
        access.memory == other.memory and access.lo_byte < other.hi_byte and other.lo_byte < access.hi_byte for other in written)), None)


def chunk_limit(most_bytes: int) -> Rule:
    """What is moved a cycle into a table memory."""

    def rule(graph: Graph, engine: Engine) -> Found:
        for link in graph.links:
            if link.engine == engine.name and graph.memories[link.memory].kind == "table" and graph.chunk_bytes(engine.name) > most_bytes:
                yield (("engines", engine.name),
                       f"moves {graph.chunk_bytes(engine.name)} bytes a cycle into {link.memory!r}; expected at most {most_bytes}")

    return rule


def words_apart(fields: Mapping[str, int], prefix: str, levels: Sequence[int]) -> bool:
    """Whether a stream visits another word in each iteration of these of its levels."""
    steps = sorted((abs(fields[f"{prefix}_stride_{level}"]), fields[f"n_{level}"]) for level in levels if fields[f"n_{level}"] > 1)
    reach = 0
    for stride, count in steps:
        if stride <= reach:
            break
        reach += (count - 1) * stride
    else:
        return True  # each stride is longer than all shorter ones together reach
    if steps[0][0] == 0:
        return False
    if len(steps) == 2:  # i * s = j * t has its least solution at i = t / g, j = s / g
        (s, n), (t, k) = steps
        return t // gcd(s, t) >= n or s // gcd(s, t) >= k
    words = np.zeros(1, np.int64)
    for level in levels:
        words = (words[:, None] + np.arange(fields[f"n_{level}"]) * fields[f"{prefix}_stride_{level}"]).reshape(-1)
    return len(np.unique(words)) == words.size
