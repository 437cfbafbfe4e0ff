"""The least cycles that a machine's numbers allow for some work, whatever the order: the one bound of reports and of docs/layers.md.

    MACs        multiply-accumulates / (those that all engines which contract begin a cycle)
    lanes       of each lane operation o of the codelet, results of it and elements that each reduces:
                    1 / sum over engines e of max over the operations p that do o: issues(e, p) * lanes(e, p) / (results * ceil(reduced / reduced(e, p)))
                lanes(e, p) and reduced(e, p) as the capability says, issues as the kind; what contracts does o for as many elements as it reduces
    bytes       the larger of those that must come and those that must go, each once, / bytes of a beat: the bus has a channel for either
    bound       the largest of these

An operation counts once, on all engines that offer it together; a codelet's operations pass by at the same time, so they do not add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, prod

from acg.graph import Engine, Graph
from acg.operations import OPERATIONS
from compiler.codelets import Codelet
from compiler.codelets.rows.row_program import Chain, Largest, Lookup, RowProgram, Total
from covenant.layers import peak_macs

__all__ = ["Bound", "Lanes", "Work", "bound", "work_of"]

#: What multiplies and adds over channels; the other operations of codelets are lane by lane.
_CONTRACTIONS = ("MATMUL", "DOT", "BROADCAST_MAC")
#: What else does a reduction of each channel on its own.
_ALSO = {"MAC": ("MAC", "WINDOW_MAC", *_CONTRACTIONS), "SUM": ("SUM", "MAC", "WINDOW_MAC", *_CONTRACTIONS), "MAXIMUM": ("MAXIMUM", "WINDOW_MAX")}
#: Operations of engines that slide, and what they are lane by lane.
_SLIDING = {"WINDOW_MAC": "MAC", "WINDOW_MAX": "MAXIMUM"}
#: Operations of codelets that are no lane operations: multiply-accumulates, and bytes.
_APART = (*_CONTRACTIONS, "COPY")
#: Bytes of an element.
_BYTES = {"i8": 1, "u8": 1, "i9": 2, "i32": 4, "f32": 4}


@dataclass(frozen=True)
class Lanes:
    """A lane operation: `results` elements of it, each of `reduced` others."""

    results: int
    reduced: int = 1


@dataclass(frozen=True)
class Work:
    """What has to be done: `macs`, lane operations by name, bytes that come from external memory (`read`) and go there (`written`)."""

    macs: int = 0
    lanes: Mapping[str, tuple[Lanes, ...]] = field(default_factory=dict)
    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class Bound:
    """Cycles of each part by name ('MACs', 'REQUANTIZE', .., 'read', 'written'), rounded up; the largest, and which that is."""

    parts: Mapping[str, int]

    @property
    def cycles(self) -> int:
        """The largest part, 0 where there is none."""
        return max(self.parts.values(), default=0)

    @property
    def by(self) -> str:
        """Name of the largest part, of equal ones the first."""
        return max(self.parts, key=lambda name: self.parts[name], default="")


def _rate(engine: Engine, operation: str, reduced: int) -> Fraction:
    """Results a cycle of a reduction of so many elements each."""
    formula = OPERATIONS[operation]
    within = prod(engine.extent(operation, dimension) for dimension in formula.reduced)
    if operation in _CONTRACTIONS:  # each element that it reduces is of one result, the others' weights are zero
        return Fraction(engine.issues(operation) * within, reduced)
    return Fraction(engine.issues(operation) * prod(engine.extent(operation, dimension) for dimension in formula.parallel), ceil(Fraction(reduced, within)))


def _lane_cycles(graph: Graph, operation: str, work: Iterable[Lanes]) -> int | None:
    """Cycles of one lane operation on all engines that do it together; None where none does."""
    total = Fraction(0)
    for item in work:
        rates = [max((_rate(engine, name, item.reduced) for name in _ALSO.get(operation, (operation,)) if engine.can(name)), default=Fraction(0))
                 for engine in graph.engines.values()]  # fmt: skip
        if not any(rates):
            return None
        total += item.results / sum(rates, Fraction(0))
    return ceil(total)


def bound(graph: Graph, work: Work) -> Bound:
    """The bound of some work on a machine; a lane operation that no engine offers has no part in it."""
    parts = {"MACs": ceil(Fraction(work.macs, peak_macs(graph)))}
    for operation, items in work.lanes.items():
        cycles = _lane_cycles(graph, operation, items)
        if cycles is not None:
            parts[operation] = cycles
    bus = graph.external.bus_bytes
    return Bound(parts | {"read": ceil(Fraction(work.read, bus)), "written": ceil(Fraction(work.written, bus))})


def _of_program(program: RowProgram, codelet: Codelet) -> dict[str, list[Lanes]]:
    """Lane operations of the steps of a micro-program: a chain that makes bytes is a requantisation, another one its operation of two values."""
    n, channels, height, width = codelet.operands["y"].shape
    inputs = codelet.operands["x"].shape[1]
    pixels = n * height * width
    extents = {"element": pixels * (program.channels or channels), "pixel": pixels, "channel": channels, "one": 1}
    found: dict[str, list[Lanes]] = {}

    def count(operation: str, item: Lanes) -> None:
        found.setdefault(operation, []).append(item)

    for step in program.steps:
        results = extents[program.values[step.result].extent]
        match step:
            case Largest():
                count("MAXIMUM", Lanes(results, inputs))
            case Total():
                for name, _ in step.terms:
                    count("SUM", Lanes(results, inputs if program.values[name].extent == "element" else 1))
            case Chain():
                wide = program.values[step.result].wide
                for operation in ((step.binary if wide else "REQUANTIZE"), "TABLE" * (step.table is not None), step.estimate):
                    if operation:
                        count(operation, Lanes(results))
            case Lookup():
                count("TABLE", Lanes(results))
            case _:
                pass
    return found


def work_of(codelet: Codelet) -> Work:
    """What a codelet alone has to do, its tensors and constants in external memory: extents of loops and sizes of operands, nothing of a machine."""
    results = prod(codelet.operands["y"].shape)
    reduced = prod(loop.extent for loop in codelet.loops if loop.reduction)
    lanes: dict[str, list[Lanes]] = {}
    if codelet.program is not None:
        lanes = _of_program(codelet.program, codelet)
    else:
        for operation in codelet.operations:
            name = _SLIDING.get(operation.name, operation.name)
            if name not in _APART:
                lanes.setdefault(name, []).append(Lanes(results, reduced if name in _ALSO else 1))
    finish = codelet.finish
    read = 4 * (finish.bias.size + finish.scale.size)
    tensors = {operand.tensor: operand for role, operand in codelet.operands.items() if role != "y" and operand.tensor}
    for operand in tensors.values():
        read += prod(operand.shape) * _BYTES[operand.dtype]
    read += sum(operand.constant.size * _BYTES[operand.dtype] for operand in codelet.operands.values() if not operand.tensor)
    return Work(codelet.macs, {name: tuple(items) for name, items in lanes.items()}, read, results * _BYTES[codelet.operands["y"].dtype])
