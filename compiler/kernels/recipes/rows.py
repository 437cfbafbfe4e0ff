"""A kernel of a micro-program: its operations and how many iterations of them are one.

    before   a = LDV; b = CVT(a); c = FMUL(b, b); STV(c)               each waits 15 packets for the one before
    after    a.0, a.1, a.2, a.3 = LDV; b.0, b.1, b.2, b.3 = CVT; ..      four vectors in an iteration

Operations are put in the order in which their operands can be there, so that quarters and copies are beside each other: a scheduler that goes along
finds something to do while a chain waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from compiler.kernels.body import Body, Item
from compiler.kernels.cache import kernel
from compiler.kernels.core import Core, Misfit
from compiler.kernels.pack import Packed

__all__ = ["RowKernel", "earliest", "fitted", "frozen", "rows_body"]

#: Packets that are left free in an iteration, for chains longer than so many iterations as operations can be behind.
IDLE = (0, 16, 32, 64, 128, 192)

Frozen = tuple[str, str, tuple[tuple[str, str], ...], tuple[tuple[str, int], ...], str, bool]


@dataclass(frozen=True)
class RowKernel:
    """The operations of an iteration and the constants before all of them, as values: equal ones are one kernel. `copies`: iterations that are one;
    `idle`: packets left free in it."""

    items: tuple[Frozen, ...]
    constants: tuple[Frozen, ...] = ()
    copies: int = 1
    idle: int = 0


def frozen(item: Item) -> Frozen:
    """An operation as a value."""
    return item.operation, item.result, tuple(item.reads.items()), tuple(item.numbers.items()), item.stream, item.partial


def _copy(item: Frozen, number: int, kept: frozenset[str]) -> Item:
    """An operation of a copy; constants are the same in all."""
    operation, result, reads, numbers, stream, partial = item

    def named(name: str) -> str:
        return name if not name or name in kept else f"{name}/{number}"

    return Item(operation, named(result), {field: named(name) for field, name in reads}, dict(numbers), stream, partial)


def earliest(items: Iterable[Item], core: Core) -> list[int]:
    """When the operands of each operation can be there, in packets, as if every slot were free."""
    there: dict[str, int] = {}
    times: list[int] = []
    for item in items:
        time = max((there.get(name, 0) for name in item.reads.values()), default=0)
        times.append(time)
        if item.result:
            there[item.result] = max(there.get(item.result, 0), time + core.latency[item.operation])
    return times


def _in_order(items: list[Item], core: Core) -> list[Item]:
    """Operations by when their operands can be there; stores keep their order, behind all."""
    times = earliest(items, core)
    stores = [item for item in items if not item.result]
    return [items[n] for n in sorted(range(len(items)), key=lambda n: (times[n], n)) if items[n].result] + stores


def rows_body(shape: RowKernel, core: Core) -> Body:
    """The body of a kernel. Raises Misfit where no slot issues one of its operations."""
    for item in (*shape.items, *shape.constants):
        core.slots_of(item[0])
    kept = frozenset(item[1] for item in shape.constants)
    items = [_copy(item, number, kept) for number in range(shape.copies) for item in shape.items]
    return Body(tuple(_in_order(items, core)), tuple(_copy(item, 0, kept) for item in shape.constants), idle=shape.idle)


def fitted(shape: RowKernel, core: Core) -> Packed:
    """The kernel of a shape, with as many packets free as it takes. Raises Misfit where the core cannot hold it."""
    why = Misfit("no kernel")
    for idle in IDLE:
        try:
            return kernel(rows_body, replace(shape, idle=idle), core)
        except Misfit as misfit:
            why = misfit
            if "behind" not in str(misfit) and "live at once" not in str(misfit):
                break
    raise why
