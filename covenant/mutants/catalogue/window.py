"""Faults of the window unit, of its limits and of its timing."""

from covenant.mutants.mutant import Mutant

__all__ = ["WINDOW"]

_UNIT, _LINES, _SUMS = (f"hwgen/units/window/{name}.py" for name in ("unit", "lines", "sums"))
_TIMING = "acg/timing/window.py"

WINDOW = (
    Mutant("delay.cycles", "hwgen/datapath/delay.py", "return line[-len(value):]", "return line[:len(value)]", "late"),
    Mutant("operands.zero-point", "hwgen/datapath/operands.py", "is_signed).as_signed() - zero.as_signed())",
           "is_signed).as_signed() + zero.as_signed())", "number"),
    Mutant("window.gap", _UNIT, "emit.x_step, gap - 1)", "emit.x_step, gap)", "late"),
    Mutant("window.box", _UNIT, "rows_in.eq(Cat((y - row)[:len(y)] <= emit.n_1", "rows_in.eq(Cat((y - row)[:len(y)] < emit.n_1", "bound"),
    Mutant("window.used", _UNIT, "self._taps_of(emit) > tap", "self._taps_of(emit) >= tap", "bound"),
    Mutant("window_lines.row", _LINES, "place >= self.last_word", "place > self.last_word", "bound"),
    Mutant("window_sums.least", _SUMS, "Mux(self.maximum, least, 0)", "0", "number"),
    Mutant("window_sums.maximum", _SUMS, "Mux(one > other[0], one, other[0])", "Mux(one < other[0], one, other[0])", "operator"),
    Mutant("limits.bound", "hwgen/units/limits.py", "above = value > reduce(", "above = value >= reduce(", "bound"),
    Mutant("window_timing.load", _TIMING, "else 1) + 2", "else 1) + 1", "model"),
    Mutant("window_timing.free", _TIMING, "self._free_cycle = stream + first + span + 1", "self._free_cycle = stream + first + span", "model"),
)
