"""An instruction whose result would depend on how far its pipeline has got.

A unit reads ahead of its writes by its own latency, a number that no program should know. So a vector iteration reads nothing that an earlier
one of the same instruction has written (what a later one writes, or its own word, it may), and a matrix instruction adds to each accumulator
word once a pass: its positions are different words, those of its blocks too unless all blocks have the same.
"""

from collections.abc import Mapping, Sequence
from math import gcd

import numpy as np

from acg.footprint import Access
from acg.graph import Graph
from acg.isa import instruction_set

__all__ = ["order_fault"]

Fields = Mapping[str, int]


def order_fault(graph: Graph, engine: str, fields: Fields, accesses: Sequence[Access]) -> tuple[str, str] | None:
    """What of an instruction depends on the unit's latency, and what was expected instead; None where nothing does.

    Parameters
    ----------
    fields : Mapping[str, int]
        Every field of the instruction.
    accesses : sequence of Access
        Its footprint, within the memories.
    """
    kind = graph.engines[engine].kind
    if kind == "matrix" and not _apart(fields):
        return "accumulator words that several positions of a pass add to", "another word for each position"
    if kind == "vector":
        port = _early_read(graph, engine, fields, accesses)
        if port is not None:
            return f"iterations whose port {port} reads what earlier ones have written", "reads of what the instruction found, or of the iteration's own word"
    return None


def _apart(fields: Fields) -> bool:
    """Whether the accumulator words of a matrix instruction are as they must be."""
    levels = (4, 5) if fields["c_stride_0"] == 0 else (0, 4, 5)
    steps = sorted((abs(fields[f"c_stride_{level}"]), fields[f"n_{level}"]) for level in levels if fields[f"n_{level}"] > 1)
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
        words = (words[:, None] + np.arange(fields[f"n_{level}"]) * fields[f"c_stride_{level}"]).reshape(-1)
    return len(np.unique(words)) == words.size


def _walk(fields: Fields, prefix: str, levels: Sequence[int], start: int) -> np.ndarray:
    """start + sum of stride times index, for each iteration of the whole loop nest in order: int64 [iterations]."""
    counts = [fields[f"n_{level}"] for level in range(6)]
    total = np.full((1,) * 6, start, np.int64)
    for level in levels:
        total = total + (np.arange(counts[level]) * fields[f"{prefix}_{level}"]).reshape([-1 if other == level else 1 for other in range(6)])
    return np.broadcast_to(total, counts).reshape(-1)


def _early_read(graph: Graph, engine: str, fields: Fields, accesses: Sequence[Access]) -> str | None:
    written = next(access for access in accesses if access.port == "y")
    ports = [access.port for access in accesses if access.memory == written.memory and access.port in ("a", "b")
             and access.lo_byte < written.hi_byte and written.lo_byte < access.hi_byte]
    if not ports:
        return None
    masks = {name: (1 << item.width) - 1 for name, item in instruction_set(graph).formats[engine].by_name.items() if name.endswith("_base")}
    y = _walk(fields, "y_stride", range(4) if fields["reduce"] else range(6), fields["y_base"]) & masks["y_base"]
    number = np.arange(y.size)
    if fields["reduce"]:
        inner = fields["n_4"] * fields["n_5"]
        y, number = y[inner - 1 :: inner], number[inner - 1 :: inner]
    words, first = np.unique(y, return_index=True)
    first = number[first]  # the iteration that writes each word first
    for port in ports:
        reads = _walk(fields, f"{port}_stride", range(6), fields[f"{port}_base"]) & masks[f"{port}_base"]
        place = np.minimum(np.searchsorted(words, reads), len(words) - 1)
        early = (words[place] == reads) & (first[place] < np.arange(reads.size))
        if port == "a":
            early &= _inside(fields)
        if early.any():
            return port
    return None


def _inside(fields: Fields) -> np.ndarray:
    """Whether each iteration's coordinates are within bounds: padding reads nothing."""
    y, x = (_walk(fields, f"{axis}_step", levels, fields[f"{axis}_origin"]) for axis, levels in (("y", (2, 4)), ("x", (3, 5))))
    return (y >= 0) & (y < fields["y_bound"]) & (x >= 0) & (x < fields["x_bound"])
