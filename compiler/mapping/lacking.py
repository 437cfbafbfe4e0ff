"""What of a machine keeps every codelet of a node from being run, in words."""

from __future__ import annotations

from compiler.codelets import Codelet
from compiler.mapping.assign_kernels import refusal
from compiler.target import LANE_BY_LANE, Target

__all__ = ["lacking"]


def lacking(codelets: tuple[Codelet, ...], target: Target) -> str:
    """The engine that comes nearest to one of ``codelets`` and the operations that it lacks; or that no engine offers some, or that memories are apart."""
    return min((_lacks(codelet, target) for codelet in codelets), key=lambda found: found[0])[1]


def _lacks(codelet: Codelet, target: Target) -> tuple[int, str]:
    """Number of operations that are missing, and which where."""
    for unit in target.cores:
        why = refusal(codelet, unit)
        assert why is not None, f"{unit.engine.name} runs {codelet.name}"
        return 0, f"{unit.engine.name} has no kernel for it: {why}"
    wanted = list(dict.fromkeys(operation.name for operation in codelet.operations))
    nowhere = [name for name in wanted if not target.capable(name)]
    together = [name for name in wanted if name in LANE_BY_LANE]
    nearest = min(target.vector, key=lambda unit: sum(not unit.engine.can(name) for name in together), default=None)
    apart = [name for name in together if nearest is not None and not nearest.engine.can(name)]
    if nearest is not None and apart:
        others = [name for name in nowhere if name not in apart]
        more = f", no engine offers {', '.join(others)}" if others else ""
        return len(apart) + len(others), f"{nearest.engine.name} lacks {', '.join(apart)}{more}"
    if nowhere:
        return len(nowhere), f"no engine offers {', '.join(nowhere)}"
    return 0, "each is offered, on memories apart"
