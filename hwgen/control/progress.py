"""Progress of every engine: retire counters, which instructions wait for, and the performance counters."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwgen.control.issue import COUNTER_BITS

__all__ = ["Progress"]


class Progress(wiring.Component):
    """Counters of all engines.

    An instruction that starts at cycle s and retires at r is under way in cycles s + 1 to r. A retire at r is counted from r + 1 on.

    Parameters
    ----------
    engines : int
        Number of engines.

    Ports
    -----
    clear : In(1)
        All counters to zero; wins over the pulses of the same cycle.
    start, retire, stalled : In(engines)
        One bit an engine: pulses, and "ready, but its next instruction waits".
    retired, busy, stall : Out(engines x 32)
        Instructions retired, cycles with an instruction under way, cycles stalled.
    quiet : Out(1)
        No engine has an instruction under way.
    """

    def __init__(self, *, engines: int):
        if engines < 1:
            raise ValueError(f"Progress: engines must be at least 1, not {engines}")
        self.engines = engines
        counters = data.ArrayLayout(32, engines)
        super().__init__({
            "clear": In(1),
            "start": In(engines),
            "retire": In(engines),
            "stalled": In(engines),
            "retired": Out(counters),
            "busy": Out(counters),
            "stall": Out(counters),
            "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        under_way = []
        for index in range(self.engines):
            # 16 bits tell started from retired: an engine holds far fewer than 2^16 instructions.
            started = Signal(COUNTER_BITS, name=f"started_{index}")
            active = Signal(name=f"active_{index}")
            under_way.append(active)
            m.d.comb += active.eq(started != self.retired[index][:COUNTER_BITS])
            counts = [(started, self.start[index]), (self.retired[index], self.retire[index]), (self.busy[index], active),
                      (self.stall[index], self.stalled[index])]
            for counter, event in counts:
                with m.If(self.clear):
                    m.d.sync += counter.eq(0)
                with m.Elif(event):
                    m.d.sync += counter.eq(counter + 1)
        m.d.comb += self.quiet.eq(~Cat(under_way).any())
        return m
