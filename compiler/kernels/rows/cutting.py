"""The kernels of a codelet's micro-program: cut once in a process, and the same in every one."""

from __future__ import annotations

from functools import lru_cache

from compiler.codelets import Codelet
from compiler.codelets.rows.row_program import RowProgram
from compiler.kernels.core import Core, Misfit
from compiler.kernels.rows.segments import Cut, cut
from compiler.target import CoreUnit

__all__ = ["cut_for"]


@lru_cache(maxsize=256)
def _cut(program: RowProgram, channels: tuple[tuple[str, int], ...], core: Core, tables: int) -> Cut | str:
    try:
        return cut(program, dict(channels), core, tables)
    except Misfit as misfit:
        return str(misfit)


def cut_for(codelet: Codelet, unit: CoreUnit) -> Cut:
    """The kernels of a codelet's micro-program. Raises Misfit where the core can hold none."""
    assert codelet.program is not None, f"{codelet.name} is no micro-program"
    channels = tuple((role, operand.shape[1]) for role, operand in codelet.operands.items())
    found = _cut(codelet.program, channels, unit.core, unit.table_or_none.banks if unit.table_or_none is not None else 0)
    if isinstance(found, str):
        raise Misfit(found)
    return found
