"""Faults of the matrix unit and its two arrays."""

from covenant.mutants.mutant import Mutant

__all__ = ["MATRIX"]

_UNIT, _SYSTOLIC, _DOT = "hwgen/units/matrix/unit.py", "hwgen/units/matrix/systolic.py", "hwgen/units/matrix/dot.py"

MATRIX = (
    Mutant("socket.latency", "hwgen/units/socket.py", "latency_cycles={port: link.read_latency_cycles for port, link in links.items()}",
           "latency_cycles=dict.fromkeys(links, 1)", "late", "dot"),
    Mutant("matrix.shadow-free", _UNIT, "taken.eq(~pending | take_stream)", "taken.eq(1)", "wait"),
    Mutant("matrix.hazard", _UNIT, "gap.eq(timing.hazard_cycles - 1)", "gap.eq(timing.hazard_cycles - 2)", "wait"),
    Mutant("matrix.overwrite", _UNIT, "overwrite.eq(nest.zero[1:4].all() & ~stream.accumulate)",
           "overwrite.eq(nest.zero[1:4].any() & ~stream.accumulate)", "operator"),
    Mutant("matrix.zero-point", _UNIT, "centred = (Cat(byte, byte[7] & is_signed) - zero)[:9]",
           "centred = (Cat(byte, byte[7] & is_signed) + zero)[:9]", "number"),
    Mutant("matrix.late-retire", _UNIT, "self.retire.eq(written[2] & ~self.halt)", "self.retire.eq(positions.after(at_sum)[2] & ~self.halt)",
           "late"),
    Mutant("systolic.skew", _SYSTOLIC, 'left = delayed(f"skew_{row}", self.activation[row], row)',
           'left = delayed(f"skew_{row}", self.activation[row], max(row - 1, 0))', "late"),
    Mutant("systolic.swap-diagonal", _SYSTOLIC, "with m.If(swap_at[row + column]):", "with m.If(swap_at[row]):", "select"),
    Mutant("dot.row-lost", _DOT, "sum(terms[group + 1:group + 4], terms[group])", "sum(terms[group + 1:group + 3], terms[group])", "bound", "dot"),
    Mutant("dot.swap", _DOT, "with m.If(self.swap):", "with m.If(self.valid):", "wait", "dot"),
)
