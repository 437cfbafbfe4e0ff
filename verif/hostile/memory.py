"""cocotbext-axi memories with the graph's latencies, pauses and error responses. Runs inside the simulator.

Without pauses and faults they answer in the very cycles that the graph promises, so the machine's prediction holds on them too: a
transaction is stamped at its handshake, and its answer is sent from that time on. The library serves bursts one after another, but
accepts them at once, so the latency of a queued burst elapses meanwhile. It cannot answer within one cycle: where the graph says 1, it
takes 2, and a run is only not faster than predicted.
"""

import random
from collections.abc import Iterator

from cocotb.triggers import Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiRamRead, AxiRamWrite, AxiReadBus, AxiResp, AxiWriteBus

from .scenario import Fault, Stalls

__all__ = ["CYCLE_NS", "Behaviour", "ReadMemory", "WriteMemory", "connect"]

#: Simulation time of a clock cycle.
CYCLE_NS = 2


def _stamped(kind: type) -> type:
    """The library's transaction type, noting the time of its handshake."""

    class Stamped(kind):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.time_ns = get_sim_time("ns")

    return Stamped


class Behaviour:
    """What a port does at present; `set` between two steps."""

    def __init__(self, name: str):
        self.name = name
        self.set(Stalls(), (), 0)

    def set(self, stalls: Stalls, faults, seed: int) -> None:
        """Take the stalls and the faults of this port, with fresh random sequences."""
        self.stalls = stalls
        self.faults = [fault for fault in faults if fault.port == self.name]
        self._latency = random.Random(f"{seed} {self.name} latency")
        self._pauses = {channel: random.Random(f"{seed} {self.name} {channel}") for channel in ("ar", "r", "aw", "w", "b")}

    def extra_cycles(self) -> int:
        """Latency of the next burst beyond the graph's."""
        return self._latency.randint(0, self.stalls.extra_latency_cycles)

    def response(self, address: int, size: int) -> AxiResp:
        """Answer to an access to bytes [address, address + size)."""
        hit: list[Fault] = [fault for fault in self.faults if fault.first < address + size and address < fault.end]
        return AxiResp[hit[0].response] if hit else AxiResp.OKAY

    def pauses(self, channel: str) -> Iterator[bool]:
        """Endless sequence of one value a cycle: hold the channel back."""
        paused = False
        while True:
            fraction, mean = self.stalls.fraction, self.stalls.mean_cycles
            # Two states with these chances to leave them: paused cycles come in pauses of `mean`, and are `fraction` of all.
            leave = 1 / mean if paused else fraction / (1 - fraction) / mean
            if fraction == 0:
                paused = False
            elif self._pauses[channel].random() < leave:
                paused = not paused
            yield paused


async def _until(time_ns: float) -> None:
    wait = time_ns - get_sim_time("ns")
    if wait > 0:
        await Timer(wait, "ns")


class ReadMemory(AxiRamRead):
    """Read port. What is driven at an edge is seen in the cycle behind it, hence an answer is sent one cycle before it is due."""

    def __init__(self, bus, clock, reset, *, memory, latency_cycles: int, behaviour: Behaviour):
        super().__init__(bus, clock, reset, mem=memory)
        self.latency_cycles = latency_cycles
        self.behaviour = behaviour
        self.ar_channel.queue_occupancy_limit = -1
        self.ar_channel._transaction_obj = _stamped(self.ar_channel._transaction_obj)
        self._receive, self._send = self.ar_channel.recv, self.r_channel.send
        self.ar_channel.recv, self.r_channel.send = self._request, self._beat
        self._due_ns = 0.0

    async def _request(self):
        request = await self._receive()
        self._due_ns = request.time_ns + CYCLE_NS * (self.latency_cycles - 1 + self.behaviour.extra_cycles())
        return request

    async def _read(self, address, length):
        await _until(self._due_ns)
        inside = address + length <= self.size
        self._answer = self.behaviour.response(address, length) if inside else AxiResp.DECERR
        return self.read(address, length) if inside else bytes(length)

    async def _beat(self, beat):
        beat.rresp = self._answer
        await self._send(beat)


class WriteMemory(AxiRamWrite):
    """Write port; the answer to a burst is the worst of its beats'."""

    def __init__(self, bus, clock, reset, *, memory, latency_cycles: int, behaviour: Behaviour):
        super().__init__(bus, clock, reset, mem=memory)
        self.latency_cycles = latency_cycles
        self.behaviour = behaviour
        for channel in (self.aw_channel, self.w_channel):
            channel.queue_occupancy_limit = -1
        self.w_channel._transaction_obj = _stamped(self.w_channel._transaction_obj)
        self._receive, self._send = self.w_channel.recv, self.b_channel.send
        self.w_channel.recv, self.b_channel.send = self._data, self._response
        self._answer = AxiResp.OKAY

    async def _data(self):
        beat = await self._receive()
        self._due_ns = beat.time_ns + CYCLE_NS * (self.latency_cycles - 1)
        return beat

    async def _write(self, address, data):
        inside = address + len(data) <= self.size
        answer = self.behaviour.response(address, len(data)) if inside else AxiResp.DECERR
        if answer is AxiResp.OKAY:
            self.write(address, data)
        self._answer = max(self._answer, answer)

    async def _response(self, answer):
        answer.bresp, self._answer = self._answer, AxiResp.OKAY
        await _until(self._due_ns + CYCLE_NS * self.behaviour.extra_cycles())
        await self._send(answer)


def connect(dut, name: str, *, writes: bool, memory, latency_cycles: int, pausing: bool) -> Behaviour:
    """Put a memory behind the master port `name`; `pausing` if any step has stalls (idle pause sequences cost time)."""
    behaviour = Behaviour(name)
    if writes:
        port = WriteMemory(AxiWriteBus.from_prefix(dut, f"m_axi_{name}"), dut.clk, dut.rst, memory=memory,
                           latency_cycles=latency_cycles, behaviour=behaviour)
        channels = {"aw": port.aw_channel, "w": port.w_channel, "b": port.b_channel}
    else:
        port = ReadMemory(AxiReadBus.from_prefix(dut, f"m_axi_{name}"), dut.clk, dut.rst, memory=memory,
                          latency_cycles=latency_cycles, behaviour=behaviour)
        channels = {"ar": port.ar_channel, "r": port.r_channel}
    if pausing:
        for channel, side in channels.items():
            side.set_pause_generator(behaviour.pauses(channel))
    return behaviour
