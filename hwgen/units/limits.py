"""Instructions beyond what a unit has: products of fields against numbers, or other fields (`acg.kinds.spec.Limit`)."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul

from amaranth.hdl import Const, Mux, Value

__all__ = ["exceeded"]


def exceeded(limits: Sequence[tuple[tuple[str, ...], int, tuple[str, ...]]], fields: Mapping[str, Value]) -> tuple[Value, Value]:
    """Whether fields, as they are meant and not as they are encoded, are beyond a limit, and the product of the first one that is."""
    beyond: Value = Const(0, 1)
    number: Value = Const(0, 1)
    for names, most, others in reversed(limits):
        value = reduce(mul, (fields[name] for name in names))
        above = value > reduce(mul, (fields[name] for name in others), Const(most))
        beyond, number = beyond | above, Mux(above, value, number)
    return beyond, number
