"""Pass: choose for each node the codelet, and for each of its operations the engines, by capability.

    before   codelet c0 with operations MATMUL, REQUANTIZE
    after    MATMUL on an engine that offers it; REQUANTIZE on one whose operand port reaches that engine's accumulators; and the team: all that
             could do the same on the same memories, each with engines that the others leave idle

The operations of a chain that stay lane by lane (MAC, SUM, MAXIMUM, ADD, MUL, MIN, MAX, FAKE_QUANTIZE, TABLE, REQUANTIZE) run on one engine. A table or a
function of two tensors that was merged into a chain goes its own way again, on another engine over the memory of the tensor in between, where no engine has
both, or where that is predicted to be sooner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compiler.codelets import Codelet
from compiler.codelets.sliding import FAMILY as SLIDING
from compiler.errors import UnsupportedEntry, UnsupportedError
from compiler.mapping.assign_kernels import finishes, refusal
from compiler.mapping.assign_own import assign_own
from compiler.mapping.assign_rowwise import rowwise_units
from compiler.mapping.assign_sliding import sliding_units
from compiler.mapping.assigned import Assigned
from compiler.mapping.divide import Divider
from compiler.mapping.lacking import lacking
from compiler.outside import OWN
from compiler.partitions import Partition
from compiler.target import MatrixUnit, Target, VectorUnit, narrow
from compiler.ways.decisions import Decisions

__all__ = ["Assigned", "Bound", "assign_engines", "bindings"]

#: Steps that a node becomes, by its codelets and by what is decided of their engines.
Bound = dict[tuple[tuple[Codelet, ...], tuple[int, ...]], tuple[Assigned, ...]]


def _holds(memories: tuple[Partition, ...], memory: Partition) -> bool:
    return any(m.name == memory.name for m in memories)


def _movers(codelet: Codelet, target: Target) -> Iterator[Assigned]:
    """Data movement reads from wherever its operands are; 8-bit results may stay on chip, a vector unit may carry whole words."""
    sums = codelet.operands["y"].dtype == "i32"
    near = target.matrix[0].activation if target.matrix else target.cores[0].activation if target.cores else None
    able: list[VectorUnit | None] = [v for v in target.vector if v.engine.can("MAXIMUM")]
    for vector in able or [None]:
        sink = narrow(vector.y, near) if vector is not None else near
        reached = sink is not None and sink.name in target.into
        yield Assigned(codelet, None, None if sums else vector, None, sink if reached and not sums else None)


def bindings(codelet: Codelet, target: Target) -> Iterator[Assigned]:
    """All ways to run a codelet: a matrix unit, a vector unit, and the memories that they read from and write to."""
    names = {operation.name for operation in codelet.operations}
    if names == {"COPY"}:
        yield from _movers(codelet, target)
        return
    if codelet.family == OWN:
        engines = assign_own(codelet, target)
        if engines is not None:
            yield Assigned(codelet, None, *engines[1:], own_or_none=engines[0])
        return
    for unit in target.cores:
        if refusal(codelet, unit) is None:
            yield Assigned(codelet, None, None, unit.activation, unit.activation, core_or_none=unit)
        for beside in target.matrix:
            if finishes(codelet, beside, unit):
                yield Assigned(codelet, beside, None, beside.activation, unit.activation, core_or_none=unit)
    if codelet.family == SLIDING:
        for window, finishing, home in sliding_units(codelet, target):
            yield Assigned(codelet, None, finishing, window.activation, home, window_or_none=window)
        return
    lanewise = names - {"MATMUL"}
    if codelet.program is not None:
        wide = codelet.operands["y"].dtype in ("i32", "f32")
        for pair in rowwise_units(lanewise, target):
            yield Assigned(codelet, *pair, pair[0].activation, None if wide else pair[0].activation)
        return
    preferred = target.matrix[0].activation if target.matrix else None
    matrices: tuple[MatrixUnit | None, ...] = target.matrix if "MATMUL" in names else (None,)
    for matrix in matrices:
        if matrix is not None and not lanewise:
            yield Assigned(codelet, matrix, None, matrix.activation, None)
            continue
        for vector in target.vector:
            if not all(vector.engine.can(name) for name in lanewise):
                continue
            if matrix is not None:
                if not _holds(vector.a, matrix.accumulator) or (codelet.sums and not all(_holds(port, matrix.accumulator) for port in (vector.b, vector.y))):
                    continue
                source: Partition | None = matrix.activation
            else:
                source = narrow(vector.a, preferred)
            if codelet.rounded is not None and not (source and _holds(vector.b, source)):
                continue
            if "b" in codelet.operands and not (source and _holds(vector.b, source)):
                source = next((m for m in vector.a if _holds(vector.b, m) and m.element.bits == 8), None)
            if "MAC" in names and narrow(vector.b, None) is None:
                continue
            sink = narrow(vector.y, preferred)
            if source is not None and sink is not None:
                yield Assigned(codelet, matrix, vector, source, sink)


def _homes(step: Assigned) -> tuple[str, str]:
    return tuple(memory.name if memory is not None else "" for memory in (step.source_or_none, step.sink_or_none))  # type: ignore[return-value]


def _engines(step: Assigned) -> set[str]:
    return {unit.engine.name for unit in (step.matrix_or_none, step.vector_or_none, step.window_or_none, step.core_or_none) if unit is not None}


def _team(able: list[Assigned]) -> tuple[Assigned, ...]:
    """The first binding and others between the same memories, one after the other that with the most engines that no member has; () if it stays alone."""
    team, busy = [able[0]], _engines(able[0])
    others = [other for other in able[1:] if _homes(other) == _homes(able[0])]
    while others:
        best = max(others, key=lambda other: len(_engines(other) - busy))
        if not _engines(best) - busy:
            break
        team.append(best)
        busy |= _engines(best)
    return tuple(team) if len(team) > 1 else ()


def _alternatives(able: list[list[Assigned]], team: tuple[Assigned, ...]) -> list[Assigned | None]:
    """For each member a contraction that could do some of its depthwise convolution's rows meanwhile: on its own vector unit and, as far as there are, on a
    matrix unit of its own."""
    found: list[Assigned | None] = []
    for member in team:
        helped = member.codelet.family == "depthwise" and member.core_or_none is None
        same = [
            other for others in able[1:] if helped and others[0].codelet.family == "contraction" for other in others
            if _homes(other) == _homes(member) and other.vector_or_none is member.vector_or_none and other.matrix.engine is not member.vector.engine
        ]
        taken = {other.matrix.engine.name for other in found if other is not None}
        found.append(next((other for other in same if other.matrix.engine.name not in taken), same[0] if same else None))
    return found


def _assign(codelets: tuple[Codelet, ...], target: Target, decisions: Decisions) -> Assigned | None:
    """The first codelet that the machine can run, or the one decided for, its team, and their helpers; None where it can run none."""
    able = [found for found in (list(bindings(codelet, target)) for codelet in codelets) if found]
    if not able:
        return None
    first = decisions.number(f"engines {codelets[0].name}", len(able))
    able = [able[first], *able[:first], *able[first + 1 :]]
    team = _team(able[0])
    members = team or (able[0][0],)
    members = tuple(replace(m, alternative=other) if other else m for m, other in zip(members, _alternatives(able, members), strict=True))
    return replace(members[0], team=members) if team else members[0]


def _apart(codelets: tuple[Codelet, ...], target: Target, decisions: Decisions) -> tuple[Assigned, ...]:
    """What a codelet was merged of, each on engines of its own; () where it is one piece or the machine cannot."""
    pieces = zip(*(codelet.parts for codelet in codelets if codelet.parts), strict=True)
    found = [_bind(tuple(dict.fromkeys(piece)), target, decisions) for piece in pieces]
    return tuple(step for steps in found for step in steps) if all(found) else ()


def _ends(steps: tuple[Assigned, ...], target: Target) -> float:
    """Cycles of some steps, predicted."""
    divider = Divider(target)
    for step in steps:
        divider.divide(step)
    return max(divider.ready.values(), default=0.0)


def _bind(codelets: tuple[Codelet, ...], target: Target, decisions: Decisions) -> tuple[Assigned, ...]:
    """The steps that a node becomes: its codelet, or where that is sooner, or all that the machine can do, those that it was merged of. () for none."""
    whole = _assign(codelets, target, decisions)
    if whole is None:
        return _apart(codelets, target, decisions)
    if not codelets[0].parts or len(target.vector) < 2:
        return (whole,)
    apart = _apart(codelets, target, decisions)
    # Where nobody else can help, one instruction is better than two.
    if not any(len(step.team) > len(whole.team) for step in apart) or _ends((whole,), target) <= _ends(apart, target):
        return (whole,)
    return apart


def assign_engines(
    choices: tuple[tuple[Codelet, ...], ...], target: Target, decisions: Decisions | None = None, bound: Bound | None = None
) -> tuple[Assigned, ...]:
    """For each node the first of its codelets that the machine can run, unless decided otherwise, or what that was merged of.

    `bound` is kept from one call to the next. Raises UnsupportedError listing all nodes it cannot run.
    """
    decisions = decisions or Decisions()
    bound = {} if bound is None else bound
    assigned: list[Assigned] = []
    missing = []
    for codelets in choices:
        names = [codelets[0].name, *(piece.name for piece in codelets[0].parts)]
        key = codelets, tuple(decisions.given.get(f"engines {name}", 0) for name in names)
        if key not in bound:
            bound[key] = _bind(codelets, target, decisions)
        steps = bound[key]
        if not steps:
            wanted = " or ".join(" + ".join(operation.name for operation in codelet.operations) for codelet in codelets)
            origin = codelets[0].origin[0] if codelets[0].origin else codelets[0].name
            why = f"no engines of {target.graph.name} offer {wanted} on memories they share: {lacking(codelets, target)}"
            missing.append(UnsupportedEntry(origin, codelets[0].op, why))
        assigned += steps
    if missing:
        raise UnsupportedError(target.graph.name, missing)
    return tuple(assigned)
