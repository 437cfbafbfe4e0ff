"""A wait is over exactly when the awaited instructions have retired, also over the wrap of the 16-bit counters; then, and only then, a start.

Method: the retire counters and the awaited counts are unbounded numbers (as wide as a run can be long), of which the block sees the low halves. It
is combinational, so one step with any values is a proof.
"""

from amaranth.hdl import Cat, Signal, signed

import hwgen.control.issue
from tests.formal.bench import Bench

#: Bits of the unbounded counters: the machine's retire counters are as wide.
WIDTH = 32


def bench(module=hwgen.control.issue, *, engines: int, ahead: int = (1 << 15) - 1, behind: int = 1 << 15, claims_only: bool = False) -> Bench:
    """Issue with any counters. A wait's count is at most ``behind`` above what has retired, and what has retired at most ``ahead`` above the count."""
    b = Bench(claims_only=claims_only)
    m = b.m
    m.submodules.dut = dut = module.Issue(engines=engines)
    m.d.comb += [getattr(dut, name).eq(b.free(1, name)) for name in ("valid", "ready", "enable")]
    reached = []
    for index in range(engines):
        retired, awaited, on = b.free(WIDTH, f"retired_{index}"), b.free(WIDTH, f"awaited_{index}"), b.free(1, f"on_{index}")
        distance = Signal(signed(WIDTH + 1), name=f"true_distance_{index}")
        m.d.comb += [
            distance.eq(retired - awaited),
            dut.waits[index].on.eq(on), dut.waits[index].count.eq(awaited), dut.retired[index].eq(retired),
        ]
        b.assume(~on | ((distance <= ahead) & (distance >= -behind)))
        reached.append(~on | (retired >= awaited))
    takes = dut.enable & dut.valid & dut.ready
    b.always(~dut.start | Cat(reached).all(), "no start before every awaited instruction has retired")
    b.always(dut.start | ~(takes & Cat(reached).all()), "a start once every awaited instruction has retired")
    b.always(dut.stalled == (takes & ~Cat(reached).all()), "stalled exactly while it waits for others")
    b.always(~dut.start | takes, "a start only of an instruction, in a ready unit, of a running machine")
    return b
