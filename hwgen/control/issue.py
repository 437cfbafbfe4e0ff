"""Issue: the instruction at the head of a queue starts once its engine is ready and every awaited retire count is reached."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COUNTER_BITS", "Issue", "wait_layout"]

#: Width of a wait count and of the part of a retire counter that is compared with it.
COUNTER_BITS = 16


def wait_layout(engines: int) -> data.ArrayLayout:
    """What an instruction awaits: for each engine whether, and the retire count that must have been reached."""
    return data.ArrayLayout(data.StructLayout({"on": 1, "count": COUNTER_BITS}), engines)


class Issue(wiring.Component):
    """Start logic of one engine; combinational.

    A count is reached when (retired - count) modulo 2^16 is less than 2^15: waits reach back half the counter's range at most.

    Parameters
    ----------
    engines : int
        Number of engines, whose retire counters can be awaited.

    Ports
    -----
    valid, waits : In
        Head of the queue.
    retired : In(engines x 16)
        Retire counters, as registered at the end of the last cycle.
    ready, enable : In(1)
        The unit takes an instruction; the machine runs.
    start, stalled : Out(1)
        Start the instruction in this cycle (also frees its queue entry); ready, but it waits for others.
    """

    def __init__(self, *, engines: int):
        if engines < 1:
            raise ValueError(f"Issue: engines must be at least 1, not {engines}")
        self.engines = engines
        super().__init__({
            "valid": In(1),
            "waits": In(wait_layout(engines)),
            "retired": In(data.ArrayLayout(COUNTER_BITS, engines)),
            "ready": In(1),
            "enable": In(1),
            "start": Out(1),
            "stalled": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        late = []
        for index in range(self.engines):
            distance = Signal(COUNTER_BITS, name=f"distance_{index}")
            m.d.comb += distance.eq(self.retired[index] - self.waits[index].count)
            late.append(self.waits[index].on & distance[-1])
        held = Signal()
        m.d.comb += [
            held.eq(Cat(late).any()),
            self.start.eq(self.enable & self.valid & self.ready & ~held),
            self.stalled.eq(self.enable & self.valid & self.ready & held),
        ]
        return m
