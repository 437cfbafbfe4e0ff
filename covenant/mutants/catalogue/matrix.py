"""Faults of the matrix unit and its two arrays."""

from covenant.mutants.mutant import Mutant

__all__ = ["MATRIX"]

_UNIT, _SYSTOLIC, _DOT = "hwgen/matrix.py", "hwgen/matrix_systolic.py", "hwgen/matrix_dot.py"

MATRIX = (
    Mutant("matrix.weight-rows", _UNIT, "rows_left.eq(rows - 1), pending.eq(1)", "rows_left.eq(rows - 2), pending.eq(1)", "bound"),
    Mutant("matrix.shadow-free", _UNIT, "taken.eq(~pending | take_stream)", "taken.eq(1)", "wait"),
    Mutant("matrix.hazard", _UNIT, "gap.eq(timing.hazard_cycles - 1)", "gap.eq(timing.hazard_cycles - 2)", "wait"),
    Mutant("matrix.stream-overlap", _UNIT, "(~streaming | nest.last[4]) & (gap == 0)", "~streaming & (gap == 0)", "late"),
    Mutant("matrix.padding-bound", _UNIT, '(value["y"] < stream.y_bound)', '(value["y"] <= stream.y_bound)', "bound"),
    Mutant("matrix.padding-axis", _UNIT, '& (value["x"] < stream.x_bound))', "& 1)", "operator"),
    Mutant("matrix.overwrite", _UNIT, "overwrite.eq(nest.zero[1:4].all() & ~stream.accumulate)",
           "overwrite.eq(nest.zero[1:4].any() & ~stream.accumulate)", "operator"),
    Mutant("matrix.accumulate", _UNIT, "overwrite.eq(nest.zero[1:4].all() & ~stream.accumulate)", "overwrite.eq(nest.zero[1:4].all())", "operator"),
    Mutant("matrix.zero-point", _UNIT, "centred = (Cat(byte, byte[7] & is_signed) - zero)[:9]",
           "centred = (Cat(byte, byte[7] & is_signed) + zero)[:9]", "number"),
    Mutant("matrix.signedness", _UNIT, "centred = (Cat(byte, byte[7] & is_signed) - zero)[:9]", "centred = (Cat(byte, byte[7]) - zero)[:9]",
           "number"),
    Mutant("matrix.stale-zero-point", _UNIT, 'read, name="weight_number").after(read)', 'read, name="weight_number").after(0)', "late"),
    Mutant("matrix.late-retire", _UNIT, "self.retire.eq(written[2] & ~self.halt)", "self.retire.eq(positions.after(at_sum)[2] & ~self.halt)",
           "late"),
    Mutant("matrix.sum-width", _UNIT, "sum_bits = 18 + (rows - 1).bit_length()", "sum_bits = 17 + (rows - 1).bit_length()", "number"),
    Mutant("matrix.write-address", _UNIT, "self.result.addr.eq(addresses.after(at_sum + 1))", "self.result.addr.eq(addresses.after(at_sum))",
           "late"),
    Mutant("matrix.held-commands", _UNIT, "held = read - self.weight_latency_cycles", "held = 0", "late", "dot"),
    Mutant("matrix.halt", _UNIT, "more.eq(0), reading.eq(0), pending.eq(0), streaming.eq(0)", "more.eq(0), reading.eq(0), pending.eq(0)", "reset"),
    Mutant("systolic.skew", _SYSTOLIC, 'left = delayed(f"skew_{row}", self.activation[row], row)',
           'left = delayed(f"skew_{row}", self.activation[row], max(row - 1, 0))', "late"),
    Mutant("systolic.swap-diagonal", _SYSTOLIC, "with m.If(swap_at[row + column]):", "with m.If(swap_at[row]):", "select"),
    Mutant("systolic.load-diagonal", _SYSTOLIC, "with m.If(loads[row + column]):", "with m.If(loads[column]):", "select"),
    Mutant("systolic.partial-sum", _SYSTOLIC, "product if row == 0 else above[column] + product",
           "product if row == 0 else above[column] - product", "operator"),
    Mutant("systolic.deskew", _SYSTOLIC, "self.columns - 1 - column))\n", "self.columns - 1))\n", "late"),
    Mutant("systolic.lane", _SYSTOLIC, "self.weight[column], column + 1))", "self.weight[column], 1))", "late"),
    Mutant("dot.row-lost", _DOT, "sum(terms[group + 1:group + 4], terms[group])", "sum(terms[group + 1:group + 3], terms[group])", "bound", "dot"),
    Mutant("dot.stale-product", _DOT, "with m.If(valid[0]):", "with m.If(valid[1]):", "late", "dot"),
    Mutant("dot.swap", _DOT, "with m.If(self.swap):", "with m.If(self.valid):", "wait", "dot"),
    Mutant("dot.load-row", _DOT, "with m.If(loads[row]):", "with m.If(loads[self.rows - 1 - row]):", "select", "dot"),
    Mutant("dot.product-sign", _DOT, "product.eq(activations[row] * active)", "product.eq(activations[row] * active.as_unsigned())", "number",
           "dot"),
)
