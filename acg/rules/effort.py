"""How much one instruction may ask for, in elements: counts have 16 bits and there are up to six of them, so a few bits can ask for centuries.

What costs a simulator more than going over an element weighs more: a result of the vector unit, with its float32 chain, as much as 16 elements, a byte
copied as much as four. At the bound the functional simulator takes seconds and a gigabyte.
"""

from collections.abc import Mapping

from acg.nodes import Graph

__all__ = ["LEAST_BOUND", "REPEATS", "most_work", "work"]

#: An instruction may go over as many elements as the largest on-chip memory holds this many times (a window of 32 x 32 over a quarter of it) ...
REPEATS = 256
#: ... and over this many in any case.
LEAST_BOUND = 1 << 26


def work(graph: Graph, engine: str, fields: Mapping[str, int]) -> int:
    """Elements that an instruction goes over, as its kind counts them. Counts left out are 1."""
    unit = graph.engines[engine]
    return unit.specification.work(graph, unit, fields)


def most_work(graph: Graph) -> int:
    """Most elements that one instruction of ``graph`` may go over."""
    chip = [memory.size_bytes * 8 // min((link.element.bits for link in graph.words_of(memory.name)), default=8)
            for memory in graph.memories.values() if memory.kind == "scratchpad"]
    return max(LEAST_BOUND, REPEATS * max(chip))
