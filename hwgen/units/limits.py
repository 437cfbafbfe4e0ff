"""Instructions beyond what a unit has: products of fields against numbers, or other fields (`acg.kinds.spec.Limit`)."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

__all__ = ["refuse_beyond"]


def _exceeded(limits: Sequence[tuple[tuple[str, ...], int, tuple[str, ...]]], fields: Mapping[str, Value]) -> tuple[Value, Value]:
    """Whether fields, as they are meant and not as they are encoded, are beyond a limit, and the product of the first one that is."""
    beyond: Value = Const(0, 1)
    number: Value = Const(0, 1)
    for names, most, others in reversed(limits):
        value = reduce(mul, (fields[name] for name in names))
        above = value > reduce(mul, (fields[name] for name in others), Const(most))
        beyond, number = beyond | above, Mux(above, value, number)
    return beyond, number


def refuse_beyond(m: Module, unit: wiring.Component, held: data.View) -> dict[str, Value]:
    """Report instructions that are beyond the ``limits`` of a unit, which ``held`` from the cycle after their start on; return the fields as meant."""
    meant = {name: held[name] + (name.startswith("n_") or name.endswith("_step")) for name, _ in held.shape()}
    beyond, number = _exceeded(unit.limits, meant)
    fresh = Signal()
    m.d.sync += [fresh.eq(unit.start & ~unit.halt), unit.error.eq(fresh & beyond), unit.error_code.eq(unit.illegal), unit.error_address.eq(number)]
    return meant
