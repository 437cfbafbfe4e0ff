"""Cycles of the unit of absolute differences, which reads a word of each operand a cycle and starts an instruction when the one before has retired.

    start s   word i is asked for in cycle s + 1 + i, is there a read latency later, is summed over its lanes, added to the position's, written
    retire  = s + words + read latency + SUM_CYCLES
"""

from math import prod

__all__ = ["SUM_CYCLES", "AbsdiffTiming"]

#: Registers between a word on the ports and the position's sum with it.
SUM_CYCLES = 2


class AbsdiffTiming:
    """State of a unit's timing: what `acg.timing.EngineTiming` asks for."""

    def __init__(self, *, latency_cycles):
        self.latency_cycles = latency_cycles
        self.ready_cycle = 0

    def start(self, cycle, fields):
        """Start an instruction at ``cycle``; return the cycle in which it retires."""
        if cycle < self.ready_cycle:
            raise ValueError(f"AbsdiffTiming: start at cycle {cycle}, but the unit is ready from cycle {self.ready_cycle}")
        retire = cycle + prod(fields[f"n_{level}"] for level in range(3)) + self.latency_cycles + SUM_CYCLES
        self.ready_cycle = retire + 1
        return retire
