"""Timing of instruction fetch and dispatch.

For instruction i, with N buffers, B beats an instruction and read latency L of the external memory:

    asked(i)     = max(asked(i-1) + 1, dispatch(i-N) + 1)            asked(0) = 0
    last_beat(i) = max(last_beat(i-1) + 1, asked(i) + L) + B - 1
    dispatch(i)  = max(last_beat(i) + 1, dispatch(i-1) + 1, room in the engine's queue)
"""

from acg.timing.positive import require_positive

__all__ = ["DONE_CYCLES", "FetchTiming"]

#: The CYCLES register ends at (cycle of the last retire + 1) + this; -1 stands for the last retire of an empty program. A retire is
#: seen in the retire counters one cycle later, and that cycle is the last in which the machine runs.
DONE_CYCLES = 1


class FetchTiming:
    """State of the fetch unit, one constant-time step an instruction. Cycle 0 is the first in which the machine runs.

    Parameters
    ----------
    instruction_bytes, bus_bytes : int
        Bytes of an instruction and of a beat of the external bus.
    read_latency_cycles : int
        From the handshake of an address to the first beat of its burst.
    outstanding_bursts : int
        Instruction buffers.
    """

    __slots__ = ("_asked", "_beats", "_buffers", "_dispatches", "_last_beat", "_last_dispatch", "_latency", "_slot")

    def __init__(self, *, instruction_bytes: int, bus_bytes: int, read_latency_cycles: int, outstanding_bursts: int):
        require_positive("FetchTiming", instruction_bytes=instruction_bytes, bus_bytes=bus_bytes, read_latency_cycles=read_latency_cycles,
                         outstanding_bursts=outstanding_bursts)  # fmt: skip
        if instruction_bytes % bus_bytes:
            raise ValueError(f"FetchTiming: instruction_bytes must be a multiple of bus_bytes {bus_bytes}, not {instruction_bytes}")
        self._beats = instruction_bytes // bus_bytes
        self._latency = read_latency_cycles
        self._buffers = outstanding_bursts
        self._dispatches = [-1] * outstanding_bursts
        self._slot = 0
        self._asked = -1
        self._last_beat = -1
        self._last_dispatch = -1

    def dispatch(self, room_cycle: int) -> int:
        """Cycle in which the next instruction of the program is dispatched; the state advances to the one after it.

        ``room_cycle`` is the first cycle in which the queue of its engine can take it: 0, or one more than the start of the instruction
        that stands as many places before it in that queue as the queue is deep.
        """
        # Comparisons rather than max(): this runs for every instruction of every prediction.
        slot = self._slot
        freed = self._dispatches[slot]
        asked = (self._asked if self._asked > freed else freed) + 1
        first_beat = asked + self._latency
        if first_beat <= self._last_beat:
            first_beat = self._last_beat + 1
        cycle = first_beat + self._beats
        self._last_beat = cycle - 1
        if cycle <= self._last_dispatch:
            cycle = self._last_dispatch + 1
        if cycle < room_cycle:
            cycle = room_cycle
        self._asked = asked
        self._last_dispatch = self._dispatches[slot] = cycle
        slot += 1
        self._slot = slot if slot < self._buffers else 0
        return cycle
