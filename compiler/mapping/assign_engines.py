"""Pass: choose for each node the codelet, and for each of its operations the engine, by capability.

    before   codelet c0 with operations MATMUL, REQUANTIZE
    after    MATMUL on the first engine that offers it; REQUANTIZE on one whose operand port reaches that engine's accumulators

The operations of a chain that stay lane by lane (MAC, SUM, MAXIMUM, ADD, MUL, MIN, MAX, TABLE, REQUANTIZE) run on one engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compiler.codelets import Codelet
from compiler.errors import UnsupportedEntry, UnsupportedError
from compiler.mapping.assign_rowwise import rowwise_units
from compiler.partitions import Partition
from compiler.target import MatrixUnit, Target, VectorUnit, narrow


@dataclass(frozen=True, eq=False)
class Assigned:
    """A codelet with its engines, and the on-chip memories its activations are read from and written to.

    `source_or_none` is None where the codelet only moves data; `sink_or_none` where results leave from the accumulators; an engine is
    None where no operation runs on one of its kind. `alternative`: another codelet of the same operator on other engines and the same
    memories, which may take some of the work. The properties without the suffix are for those who know that there is one.
    """

    codelet: Codelet
    matrix_or_none: MatrixUnit | None
    vector_or_none: VectorUnit | None
    source_or_none: Partition | None
    sink_or_none: Partition | None
    alternative: Assigned | None = None

    @property
    def matrix(self) -> MatrixUnit:
        """The matrix unit."""
        assert self.matrix_or_none is not None, f"{self.codelet.name} has no matrix unit"
        return self.matrix_or_none

    @property
    def vector(self) -> VectorUnit:
        """The vector unit."""
        assert self.vector_or_none is not None, f"{self.codelet.name} has no vector unit"
        return self.vector_or_none

    @property
    def source(self) -> Partition:
        """On-chip memory of the operands."""
        assert self.source_or_none is not None, f"{self.codelet.name} reads no memory on chip"
        return self.source_or_none

    @property
    def sink(self) -> Partition:
        """On-chip memory of the result."""
        assert self.sink_or_none is not None, f"{self.codelet.name} writes no memory on chip"
        return self.sink_or_none


def _holds(memories: tuple[Partition, ...], memory: Partition) -> bool:
    return any(m.name == memory.name for m in memories)


def _mover(codelet: Codelet, target: Target) -> Assigned:
    """Data movement reads from wherever its operands are; 8-bit results may stay on chip, a vector unit may carry whole words."""
    sums = codelet.operands["y"].dtype == "i32"
    vector = next((v for v in target.vector if v.engine.can("MAXIMUM")), None)
    near = target.matrix[0].activation if target.matrix else None
    sink = narrow(vector.y, near) if vector is not None else near
    reached = sink is not None and sink.name in target.into
    return Assigned(codelet, None, None if sums else vector, None, sink if reached and not sums else None)


def _assign(codelet: Codelet, target: Target) -> Assigned | None:
    names = {operation.name for operation in codelet.operations}
    if names == {"COPY"}:
        return _mover(codelet, target)
    lanewise = names - {"MATMUL"}
    if codelet.program is not None:
        found = rowwise_units(lanewise, target)
        wide = codelet.operands["y"].dtype in ("i32", "f32")
        return Assigned(codelet, *found, found[0].activation, None if wide else found[0].activation) if found else None
    preferred = target.matrix[0].activation if target.matrix else None
    matrices: tuple[MatrixUnit | None, ...] = target.matrix if "MATMUL" in names else (None,)
    for matrix in matrices:
        if matrix is not None and not lanewise:
            return Assigned(codelet, matrix, None, matrix.activation, None)
        for vector in target.vector:
            if not all(vector.engine.can(name) for name in lanewise):
                continue
            if matrix is not None:
                if not _holds(vector.a, matrix.accumulator) or (codelet.sums and not all(_holds(port, matrix.accumulator) for port in (vector.b, vector.y))):
                    continue
                source: Partition | None = matrix.activation
            else:
                source = narrow(vector.a, preferred)
            if "b" in codelet.operands and not (source and _holds(vector.b, source)):
                source = next((m for m in vector.a if _holds(vector.b, m) and m.element.bits == 8), None)
            if "MAC" in names and narrow(vector.b, None) is None:
                continue
            sink = narrow(vector.y, preferred)
            if source is not None and sink is not None:
                return Assigned(codelet, matrix, vector, source, sink)
    return None


def _with_helper(able: list[Assigned]) -> Assigned:
    """The preferred one, with a contraction that could do some of a depthwise convolution's rows meanwhile."""
    first = able[0]
    for other in able[1:]:
        same = (other.source_or_none, other.sink_or_none) == (first.source_or_none, first.sink_or_none)
        if first.codelet.family == "depthwise" and other.codelet.family == "contraction" and same:
            return replace(first, alternative=other)
    return first


def assign_engines(choices: tuple[tuple[Codelet, ...], ...], target: Target) -> tuple[Assigned, ...]:
    """The first codelet of each node that the machine can run. Raises UnsupportedError listing all nodes it cannot."""
    assigned, missing = [], []
    for codelets in choices:
        able = [a for a in (_assign(codelet, target) for codelet in codelets) if a is not None]
        if not able:
            wanted = " or ".join(" + ".join(operation.name for operation in codelet.operations) for codelet in codelets)
            origin = codelets[0].origin[0] if codelets[0].origin else codelets[0].name
            missing.append(UnsupportedEntry(origin, codelets[0].op, f"no engines of {target.graph.name} offer {wanted} on memories they share"))
        else:
            assigned.append(_with_helper(able))
    if missing:
        raise UnsupportedError(target.graph.name, missing)
    return tuple(assigned)
