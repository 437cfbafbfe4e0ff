"""Which codelets a programmable engine has kernels for.

Tensors stand there by planes of a granule of channels (`compiler.layout`). A kernel needs its operations in the slots, and a shape that its recipe knows
(`compiler.kernels`); what is left is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.codelets import Codelet
from compiler.kernels.core import Misfit
from compiler.kernels.recipes import finishing
from compiler.kernels.recipes.numbered import FLOATS
from compiler.kernels.recipes.numbered import NEEDED as NUMBERED
from compiler.kernels.rows.cutting import cut_for
from compiler.target import CoreUnit, MatrixUnit
from compiler.window import Window

__all__ = ["RECIPES", "finishes", "refusal"]

#: Operations of slots that each operation of a chain needs.
_SLOTS = {"MATMUL": ("DOT", "LDV", "STV"), "MAC": ("DOTV", "LDW", "LDV", "STV"), "SUM": ("DOTV", "LDW", "LDV", "STV"), "MAXIMUM": ("MAXV", "LDV", "STV"),
          **dict.fromkeys(("ADD", "MUL", "MIN", "MAX"), ("REQB", "LDV", "STV"))}


def _contraction(codelet: Codelet, unit: CoreUnit) -> str | None:
    if codelet.sums or codelet.addend is not None or codelet.heads:
        return "sums of several products with scales of their own"
    if codelet.finish.divisors is not None:
        return "a divisor that differs from place to place"
    return None


def _product(codelet: Codelet, unit: CoreUnit) -> str | None:
    if not unit.core.can("LDW"):
        return "weights that the network computes take LDW, which no slot issues"
    return None


def _depthwise(codelet: Codelet, unit: CoreUnit) -> str | None:
    return None


def _window(codelet: Codelet, unit: CoreUnit) -> str | None:
    if any(operation.name == "MAXIMUM" for operation in codelet.operations):
        finish = codelet.finish
        through = finish.table is not None or (finish.low, finish.high) not in ((-128, 127), (0, 255))
        if through and not unit.core.can("REQB"):
            return "a clamp or a table takes REQB, which no slot issues"
        if Window.of(codelet).step[1] == 2 and not unit.core.can("PERM"):
            return "results two pixels apart take PERM, which no slot issues"
    return None


def _elementwise(codelet: Codelet, unit: CoreUnit) -> str | None:
    if not unit.core.can("REQB"):
        return "functions of bytes take REQB, which no slot issues"
    if not codelet.per_channel:
        return None
    x, needed = codelet.operands["x"], (*NUMBERED, *(FLOATS[operation.name] for operation in codelet.operations if operation.name in FLOATS))
    if x.tensor or x.shape != (1, x.shape[1], 1, 1):
        return "a scale for each channel of a tensor beside another operand"
    if not unit.core.can(*needed):
        return f"a number for each channel takes {', '.join(name for name in needed if not unit.core.can(name))}, which no slot issues"
    return None


def _rows(codelet: Codelet, unit: CoreUnit) -> str | None:
    try:
        cut_for(codelet, unit)
    except Misfit as misfit:
        return str(misfit)
    return None


#: Families of codelets that have a kernel, and what each refuses beyond what its operations need.
RECIPES: dict[str, Callable[[Codelet, CoreUnit], str | None]] = {
    "contraction": _contraction, "depthwise": _depthwise, "elementwise": _elementwise, "product": _product, "rowwise": _rows, "window": _window,
}


def _streams(codelet: Codelet) -> int:
    """Streams of operands that a kernel reads: activations, weights or a second operand, numbers for each channel."""
    if codelet.family in ("contraction", "product") or codelet.per_channel:
        return 3
    if codelet.family == "elementwise":
        return len(codelet.operands) - 1
    return 1 if any(operation.name == "MAXIMUM" for operation in codelet.operations) else 2


def refusal(codelet: Codelet, unit: CoreUnit) -> str | None:
    """Why a core cannot run a codelet, in words; None where it can."""
    if codelet.family not in RECIPES:
        return f"codelets of the family {codelet.family} have none yet"
    if unit.apart:
        return "no memory that it stores to is one that it loads from"
    names = dict.fromkeys(operation.name for operation in codelet.operations) if codelet.program is None else ()
    needed = [(name, slot) for name in names for slot in _SLOTS.get(name, ())]
    lacks = next((f"{name} takes {slot}, which no slot issues" for name, slot in needed if not unit.core.can(slot)), None)
    if lacks is not None:
        return lacks
    if codelet.program is None and _streams(codelet) > unit.core.in_streams:
        return f"{_streams(codelet)} streams of operands, the core has {unit.core.in_streams}"
    if unit.core.lanes % unit.core.granule_bytes:
        return f"vectors of {unit.core.lanes} lanes are no whole granules of {unit.core.granule_bytes}"
    if codelet.finish.kind == "float" and not unit.core.can("REQ") and codelet.family not in ("elementwise", "rowwise"):
        return "REQUANTIZE takes REQ, which no slot issues"
    if codelet.finish.table is not None and unit.table_or_none is None:
        return "it has no memory of tables"
    if codelet.operands["y"].dtype not in ("i8", "u8") and not (
        codelet.family == "rowwise" or (codelet.finish.kind == "raw" and codelet.family in ("contraction", "product"))
    ):
        return f"results of type {codelet.operands['y'].dtype}, which leave a core as bytes only"
    return RECIPES[codelet.family](codelet, unit)


def finishes(codelet: Codelet, matrix: MatrixUnit, unit: CoreUnit) -> bool:
    """Whether a core can finish the sums that a matrix unit makes of a codelet: it reads them, and planes of channels are blocks of both."""
    core = unit.core
    return (
        codelet.family == "contraction" and codelet.finish.kind == "float" and not codelet.sums and codelet.addend is None and not codelet.heads
        and codelet.operands["y"].dtype in ("i8", "u8") and (codelet.finish.table is None or unit.table_or_none is not None)
        and core.can(*finishing.NEEDED) and core.in_streams > 1 and matrix.rows == matrix.columns == core.granule_bytes and core.lanes % core.granule_bytes == 0
        and not matrix.broadcasts and any(memory.name == matrix.accumulator.name for memory in unit.reads) and matrix.activation.name == unit.activation.name
    )
