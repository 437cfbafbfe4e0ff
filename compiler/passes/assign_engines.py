"""Pass: choose for each node the codelet, and for each of its operations the engine, by capability.

    before   codelet c0 with operations MATMUL, REQUANTIZE
    after    MATMUL on the first engine that offers it; REQUANTIZE on one whose operand port reaches that engine's accumulators

The operations of a chain that stay lane by lane (MAC, SUM, MAXIMUM, ADD, TABLE, REQUANTIZE) run on one engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.codelets import Codelet
from compiler.errors import UnsupportedEntry, UnsupportedError
from compiler.target import MatrixUnit, Target, VectorUnit, narrow
from acg.graph import Memory


@dataclass(frozen=True, eq=False)
class Assigned:
    """A codelet with its engines, and the on-chip memories its activations are read from and written to.

    `source` is None where the codelet only moves data; `sink` is None where results leave from the accumulators.
    """

    codelet: Codelet
    matrix: MatrixUnit | None
    vector: VectorUnit | None
    source: Memory | None
    sink: Memory | None


def _holds(memories: tuple[Memory, ...], memory: Memory) -> bool:
    return any(m.name == memory.name for m in memories)


def _assign(codelet: Codelet, target: Target) -> Assigned | None:
    names = {operation.name for operation in codelet.operations}
    if names == {"COPY"}:
        return Assigned(codelet, None, None, None, None)
    lanewise = names - {"MATMUL"}
    preferred = target.matrix[0].activation if target.matrix else None
    matrices = target.matrix if "MATMUL" in names else (None,)
    for matrix in matrices:
        if not lanewise:
            return Assigned(codelet, matrix, None, matrix.activation, None)
        for vector in target.vector:
            if not all(vector.engine.can(name) for name in lanewise):
                continue
            if matrix is not None:
                if not _holds(vector.a, matrix.accumulator):
                    continue
                source = matrix.activation
            else:
                source = narrow(vector.a, preferred)
            if "ADD" in names and not (source and _holds(vector.b, source)):
                source = next((m for m in vector.a if _holds(vector.b, m) and m.element.bits == 8), None)
            if "MAC" in names and narrow(vector.b, None) is None:
                continue
            sink = narrow(vector.y, preferred)
            if source is not None and sink is not None:
                return Assigned(codelet, matrix, vector, source, sink)
    return None


def assign_engines(choices: tuple[tuple[Codelet, ...], ...], target: Target) -> tuple[Assigned, ...]:
    """The first codelet of each node that the machine can run. Raises UnsupportedError listing all nodes it cannot."""
    assigned, missing = [], []
    for codelets in choices:
        found = next((a for a in (_assign(codelet, target) for codelet in codelets) if a is not None), None)
        if found is None:
            wanted = " or ".join(" + ".join(operation.name for operation in codelet.operations) for codelet in codelets)
            origin = codelets[0].origin[0] if codelets[0].origin else codelets[0].name
            missing.append(UnsupportedEntry(origin, codelets[0].op, f"no engines of {target.graph.name} offer {wanted} on memories they share"))
        else:
            assigned.append(found)
    if missing:
        raise UnsupportedError(target.graph.name, missing)
    return tuple(assigned)
