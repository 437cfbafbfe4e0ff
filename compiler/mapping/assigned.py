"""A codelet on its engines."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.codelets import Codelet
from compiler.mapping.assign_own import OwnUnit
from compiler.partitions import Partition
from compiler.target import CoreUnit, MatrixUnit, VectorUnit, WindowUnit


@dataclass(frozen=True, eq=False)
class Assigned:
    """A codelet with its engines, and the on-chip memories its activations are read from and written to.

    `source_or_none` is None where the codelet only moves data; `sink_or_none` where results leave from the accumulators; an engine is
    None where no operation runs on one of its kind. `alternative`: another codelet of the same operator on other engines and the same
    memories, which may take some of the work. `team`: bindings of the same codelet to other engines, itself among them, between which the
    work may be divided; () where there are none. The properties without the suffix are for those who know that there is one.
    """

    codelet: Codelet
    matrix_or_none: MatrixUnit | None
    vector_or_none: VectorUnit | None
    source_or_none: Partition | None
    sink_or_none: Partition | None
    alternative: Assigned | None = None
    team: tuple[Assigned, ...] = ()
    own_or_none: OwnUnit | None = None
    window_or_none: WindowUnit | None = None
    core_or_none: CoreUnit | None = None

    @property
    def core(self) -> CoreUnit:
        """The programmable engine."""
        assert self.core_or_none is not None, f"{self.codelet.name} has no kernel"
        return self.core_or_none

    @property
    def own(self) -> OwnUnit:
        """The engine of an operation that a package brings."""
        assert self.own_or_none is not None, f"{self.codelet.name} has no engine of its own"
        return self.own_or_none

    @property
    def window(self) -> WindowUnit:
        """The window engine."""
        assert self.window_or_none is not None, f"{self.codelet.name} has no window engine"
        return self.window_or_none

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
