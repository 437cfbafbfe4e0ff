"""Bounds on products of fields: what a unit is built for (`acg.kinds.spec.Limit`), with the numbers of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from acg.isa import Instruction, instruction_set
from acg.nodes import Graph

__all__ = ["Bound", "Excess", "exceeded", "limits"]


@dataclass(frozen=True)
class Bound:
    """The product of ``fields`` is at most ``number`` times the product of ``others``, fields too."""

    fields: tuple[str, ...]
    number: int
    others: tuple[str, ...]
    what: str

    def most(self, fields: Mapping[str, int]) -> int:
        """The greatest product that an instruction with these fields may have."""
        return self.number * prod(fields[name] for name in self.others)


@dataclass(frozen=True)
class Excess:
    """An instruction beyond a bound: ``value`` is what it asks for, as the machine reports it, ``most`` what it may."""

    bound: Bound
    value: int
    most: int

    @property
    def found(self) -> str:
        """The fields at fault with their product."""
        return f"{' * '.join(self.bound.fields)} {self.value}"

    @property
    def expected(self) -> str:
        """What the unit has."""
        return f"at most {self.most}, {self.bound.what}"


@lru_cache(maxsize=64)
def limits(graph: Graph) -> Mapping[str, tuple[Bound, ...]]:
    """Bounds of each engine's instructions, by engine; of an instruction beyond several of them, the machine reports the first."""
    return {name: tuple(
        Bound(limit.fields, prod(engine.number(item) for item in limit.most if item in engine.sizes),
              tuple(item for item in limit.most if item not in engine.sizes), limit.what.format_map(engine.sizes))
        for limit in engine.specification.limits) for name, engine in graph.engines.items()}


def exceeded(graph: Graph, instruction: Instruction) -> Excess | None:
    """The first bound that an instruction is beyond; None where it is within all."""
    bounds = limits(graph)[instruction.engine]
    if not bounds:
        return None
    fields = {item.name: item.bias for item in instruction_set(graph).formats[instruction.engine].fields} | dict(instruction.fields)
    for bound in bounds:
        value, most = prod(fields[name] for name in bound.fields), bound.most(fields)
        if value > most:
            return Excess(bound, value, most)
    return None
