"""Cycles of a core.

The timing contract
-------------------
An instruction issues its packets one a cycle and never stalls, so its time is a closed form of its fields. With s the cycle of the start pulse::

    P      = prologue_packets*prologue_count + tiles*(head_packets + body_packets*body_count) + drain_packets
    issue  = s + 2 + C                      of the first packet
    retire = issue + P - 1 + L              the first cycle in which the last packet's results could be read
    ready  = retire + 1                     earliest cycle of the next start pulse

``C``
    Read latency of code memory: its address is out in cycle s + 1, the packet is decoded a cycle after it is there.
``L``
    The longest latency of a slot. A store is in memory by then: it takes 2 cycles, the slot that issues it at least as many.
"""

from collections.abc import Mapping

from acg.timing.unit import UnitTiming

__all__ = ["DECODE_CYCLES", "CoreTiming", "packets"]

#: From the start pulse to the issue of the first packet, read latency of code memory aside.
DECODE_CYCLES = 2


def packets(fields: Mapping[str, int]) -> int:
    """Packets that an instruction issues; fields left out are their least."""
    get = fields.get
    tile = get("head_packets", 0) + get("body_packets", 1) * get("body_count", 1)
    return get("prologue_packets", 0) * get("prologue_count", 1) + get("tiles", 1) * tile + get("drain_packets", 0)


class CoreTiming(UnitTiming):
    """Predicts start and retire of a core's instructions, one after the other.

    Parameters
    ----------
    code_latency_cycles : int
        Read latency of code memory.
    latency_cycles : int
        The longest latency of a slot.
    """

    def __init__(self, *, code_latency_cycles: int, latency_cycles: int):
        super().__init__(code_latency_cycles=code_latency_cycles, latency_cycles=latency_cycles)
        self._around = DECODE_CYCLES + code_latency_cycles - 1 + latency_cycles

    def run(self, cycle: int, fields: Mapping[str, int]) -> tuple[int, int]:
        """The counts of packets decide."""
        retire = cycle + self._around + packets(fields)
        return retire + 1, retire
