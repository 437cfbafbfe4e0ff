"""Which engines can run a micro-program on rows of pixels: a matrix and a vector unit that share an accumulator and an activation memory.

The vector unit reads and writes the accumulators as numbers (ports a, b and y), and reads and writes the matrix unit's activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from compiler.partitions import Partition
from compiler.target import MatrixUnit, Target, VectorUnit


def _reaches(memories: tuple[Partition, ...], memory: Partition) -> bool:
    return any(m.name == memory.name for m in memories)


def rowwise_units(operations: Set[str], target: Target) -> Iterator[tuple[MatrixUnit, VectorUnit]]:
    """Pairs of a matrix unit and a vector unit that offers `operations`."""
    for matrix in target.matrix:
        for vector in target.vector:
            shared = all(_reaches(port, memory) for port in (vector.a, vector.b, vector.y) for memory in (matrix.accumulator, matrix.activation))
            if shared and all(vector.engine.can(name) for name in operations):
                yield matrix, vector
