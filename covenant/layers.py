"""Cycles of each layer, from a timeline and a program's provenance."""

from collections.abc import Sequence
from math import prod

import numpy as np

from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.operations import OPERATIONS

__all__ = ["layer_cycles", "peak_macs"]


#: Operations that multiply and add, those of contractions first.
_MULTIPLY_ADD = (("MATMUL", "BROADCAST_MAC", "DOT"), ("MAC",))


def peak_macs(graph: Graph) -> int:
    """Multiply-accumulates a cycle of all engines that contract together; of those that do lane by lane where none contracts, 1 where none does either."""
    for operations in _MULTIPLY_ADD:
        peak = sum(max((_macs(engine, name) for name in operations if engine.can(name)), default=0) for engine in graph.engines.values())
        if peak:
            return peak
    return 1


def _macs(engine: Engine, operation: str) -> int:
    formula = OPERATIONS[operation]
    return engine.issues(operation) * prod(engine.extent(operation, dimension) for dimension in (*formula.parallel, *formula.reduced))


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
