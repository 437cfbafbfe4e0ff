"""Operations on two registers that are a function of their bits alone, done in the cycle of issue: sums, maxima and permutations.

An operation is a row of `FUNCTIONS`; what follows is a delay that all of a slot's share.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from acg.kinds.core.operations import patterns
from hwgen.datapath.float32 import wire

__all__ = ["FUNCTIONS", "LEAST_CYCLES", "Lanes", "Operands"]

LEAST_CYCLES = 2


@dataclass(frozen=True)
class Operands:
    """What a function may look at: registers ``a`` and ``b``, the packet's ``fields`` by name, ``a_signed``, and sizes in bytes."""

    m: Module
    a: Value
    b: Value
    fields: Mapping[str, Value]
    a_signed: Value
    vector_bytes: int
    granule_bytes: int


def _add(of: Operands) -> Value:
    """int32 lanes, modulo 2^32."""
    return Cat((of.a[lsb:lsb + 32] + of.b[lsb:lsb + 32])[:32] for lsb in range(0, len(of.a), 32))


def _add_saturating(of: Operands) -> Value:
    """int16 lanes: a sum that has another sign than both has gone beyond, and is the end on their side."""
    lanes = []
    for lsb in range(0, len(of.a), 16):
        a, b = of.a[lsb:lsb + 16], of.b[lsb:lsb + 16]
        total = (a + b)[:16]
        beyond = (a[-1] == b[-1]) & (total[-1] != a[-1])
        lanes.append(Mux(beyond, Cat((~a[-1]).replicate(15), a[-1]), total))
    return Cat(lanes)


def _maximum(of: Operands) -> Value:
    """form 0: bytes, by ``a_signed``; form 1: int32 lanes."""
    parts = []
    wide = of.fields["form"]
    for lsb in range(0, len(of.a), 32):
        a, b = of.a[lsb:lsb + 32], of.b[lsb:lsb + 32]
        bytes_ = []
        for first in range(0, 32, 8):
            one, other = (Cat(word[first:first + 8], word[first + 7] & of.a_signed).as_signed() for word in (a, b))
            bytes_.append(Mux(one > other, a[first:first + 8], b[first:first + 8]))
        parts.append(Mux(wide, Mux(a.as_signed() > b.as_signed(), a, b), Cat(bytes_)))
    return Cat(parts)


def _permute(of: Operands) -> Value:
    """Fixed wirings, chosen by ``pattern``; what a granule turns by and what granules move by takes a stage of switches a bit."""
    size, groups = 8 * of.granule_bytes, of.vector_bytes // (4 * of.granule_bytes)
    a, b = (of.a, of.b)
    granules = [word[lsb:lsb + size] for word in (a, b) for lsb in range(0, len(word), size)]
    count = len(granules) // 2

    def wired(name: str) -> Value:
        what, _, number = name.partition(" ")
        if what == "even":
            return Cat(granules[::2])
        if what == "odd":
            return Cat(granules[1::2])
        distance = int(number)
        if what == "rotate":
            return Cat(Cat(granule[8 * distance:], granule[:8 * distance]) for granule in granules[:count])
        if what == "align":
            return Cat(granules[distance:distance + count])
        return Cat(granules[distance * groups + j // 4] for j in range(count))

    result = Signal(len(a), name="permuted")
    names = patterns({"vector_bytes": of.vector_bytes, "granule_bytes": of.granule_bytes})
    with of.m.Switch(of.fields["pattern"]):
        for number, name in enumerate(names):
            with of.m.Case(number):
                of.m.d.comb += result.eq(wired(name))
    return result


#: Operation -> its result, a vector, from the operands.
FUNCTIONS: dict[str, Callable[[Operands], Value]] = {"ADDV": _add, "ADDS": _add_saturating, "MAXV": _maximum, "PERM": _permute}


class Lanes(wiring.Component):
    """What of `FUNCTIONS` a slot issues.

    Parameters
    ----------
    operations : collection of str
    fields : mapping of str to int
        Bits of the packet's fields that they read.
    vector_bytes, granule_bytes : int
    latency_cycles : int
        A result is on ``d`` that many cycles less one behind its issue.

    Members
    -------
    issue_<operation>, field_<name>, a, b : In
        In the cycle of issue.
    a_signed : In(1)
    d : Out
    """

    def __init__(self, *, operations: Collection[str], fields: Mapping[str, int], vector_bytes: int, granule_bytes: int, latency_cycles: int):
        if latency_cycles < LEAST_CYCLES:
            raise ValueError(f"Lanes: latency_cycles must be at least {LEAST_CYCLES}, not {latency_cycles}")
        self.operations = tuple(name for name in FUNCTIONS if name in operations)
        self.fields = tuple(fields)
        self.vector_bytes, self.granule_bytes, self.latency_cycles = vector_bytes, granule_bytes, latency_cycles
        bits = 8 * vector_bytes
        super().__init__({
            **{f"issue_{name}": In(1) for name in self.operations}, **{f"field_{name}": In(width) for name, width in fields.items()},
            "a": In(bits), "b": In(bits), "a_signed": In(1), "d": Out(bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        operands = Operands(m, self.a, self.b, {name: getattr(self, f"field_{name}") for name in self.fields}, self.a_signed, self.vector_bytes,
                            self.granule_bytes)
        results = [(getattr(self, f"issue_{name}"), wire(m, FUNCTIONS[name](operands), f"result_{name}")) for name in self.operations]
        value: Value = results[-1][1]
        for issued, result in reversed(results[:-1]):
            value = Mux(issued, result, value)
        moving: Value = wire(m, Cat(issued for issued, _ in results).any(), "issued")
        for stage in range(1, self.latency_cycles):
            register, moved = Signal(len(self.d), name=f"value_{stage}", reset_less=True), Signal(name=f"moving_{stage}")
            m.d.sync += moved.eq(moving)
            with m.If(moving):
                m.d.sync += register.eq(value)
            value, moving = register, moved
        m.d.comb += self.d.eq(value)
        return m
