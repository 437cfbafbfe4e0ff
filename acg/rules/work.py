"""How much one instruction may ask for, in elements: counts have 16 bits and there are up to six of them, so a few bits can ask for centuries."""

from collections.abc import Mapping
from math import prod

from acg.graph import Graph

__all__ = ["LEAST_BOUND", "REPEATS", "most_work", "work"]

#: An instruction may go over as many elements as the largest on-chip memory holds this many times (a window that is read 64 times) ...
REPEATS = 64
#: ... and over this many in any case.
LEAST_BOUND = 1 << 24


def work(graph: Graph, engine: str, fields: Mapping[str, int]) -> int:
    """Elements that an instruction goes over: bytes of a copy, a row no less than a beat of the bus; lanes of all iterations of a vector
    instruction; rows times positions of all passes of a matrix instruction, a pass no less than its weights. Counts left out are 1."""
    unit = graph.engines[engine]
    if unit.kind in ("load", "store"):
        return prod(fields.get(f"n_{level}", 1) for level in range(3)) * max(fields.get("n_3", 1), graph.external.bus_bytes)
    counts = [fields.get(f"n_{level}", 1) for level in range(6)]
    if unit.kind == "vector":
        return prod(counts) * unit.lanes
    return prod(counts[:4]) * max(counts[4] * counts[5], unit.rows) * unit.rows


def most_work(graph: Graph) -> int:
    """Most elements that one instruction of ``graph`` may go over."""
    chip = [memory.size_words * memory.lanes for memory in graph.memories.values() if memory.kind == "scratchpad"]
    return max(LEAST_BOUND, REPEATS * max(chip))
