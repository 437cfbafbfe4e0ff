"""Cycles of each layer, from a timeline and a program's provenance."""

from collections.abc import Sequence

import numpy as np

from acg.graph import Graph
from acg.isa import Instruction

__all__ = ["layer_cycles", "peak_macs"]


def peak_macs(graph: Graph) -> int:
    """Multiply-accumulates a cycle of all matrix engines together."""
    return sum(engine.extent("MATMUL", "r") * engine.extent("MATMUL", "c") for engine in graph.capable("MATMUL"))


def layer_cycles(graph: Graph, instructions: Sequence[Instruction], layer_of: np.ndarray, start: np.ndarray, retire: np.ndarray, layers: int) -> list[int]:
    """Cycles from the first start to the last retire of each layer's computing instructions (of its copies, if it has no others).

    Layers overlap: the sum over layers can exceed the total. ``layer_of``, ``start`` and ``retire`` have one entry an instruction.
    """
    copies = np.array([graph.engines[item.engine].copies for item in instructions], bool)
    result = []
    for layer in range(layers):
        mine = layer_of == layer
        chosen = mine & ~copies if (mine & ~copies).any() else mine
        result.append(int(retire[chosen].max() - start[chosen].min() + 1) if chosen.any() else 0)
    return result
