"""Cycles of the bit-serial unit, which does one thing at a time.

The unit counts phases, one a cycle, from the cycle after the start pulse on. A pass reads its weights, then does its positions::

    depth + weight latency               a weight word a cycle, the last one's latency
    latency + 1 + BITS + 1               for each position: read, take the operands, the bits, write

    retire = start + passes * (depth + weight latency + positions * (latency + BITS + 2))

It retires with its last write, and may be started again in the cycle behind.
"""

__all__ = ["BITS", "BitserialTiming"]

#: Bits of an activation less its zero point.
BITS = 9


class BitserialTiming:
    """State of a unit's timing: what `acg.timing.EngineTiming` asks for."""

    def __init__(self, *, depth, weight_latency_cycles, operand_latency_cycles):
        self.weight_cycles = depth + weight_latency_cycles
        self.position_cycles = operand_latency_cycles + BITS + 2
        self.ready_cycle = 0

    def start(self, cycle, fields):
        """Start an instruction at ``cycle``; return the cycle in which it retires."""
        if cycle < self.ready_cycle:
            raise ValueError(f"BitserialTiming: start at cycle {cycle}, but the unit is ready from cycle {self.ready_cycle}")
        passes = fields["n_0"] * fields["n_1"] * fields["n_2"] * fields["n_3"]
        retire = cycle + passes * (self.weight_cycles + fields["n_4"] * fields["n_5"] * self.position_cycles)
        self.ready_cycle = retire + 1
        return retire
