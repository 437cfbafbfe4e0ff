"""AXI rules over a recorded trace: each finds its breach in any trace, whoever made it.

A trace is an array of `channels.record_type`, one record a cycle in which any channel was valid. Rules, by name:

stable
    Valid, once up, stays up with its payload unchanged until ready.
burst
    INCR bursts of full beats from an aligned address, none crossing 4 KiB.
last
    WLAST and RLAST on the last beat of each burst and on no other.
order
    No read beat without its address, no write beat before its address is offered, no response before its address and its last beat
    are accepted.
complete
    Every burst is finished when the trace ends.
region
    Reads stay within the beats of the given regions; bytes written with their strobe lie within the given regions.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .channels import Host, Master

__all__ = ["BOUNDARY_BYTES", "INCR", "Traffic", "Violation", "check_host", "check_port"]

BOUNDARY_BYTES = 4096
INCR = 1


@dataclass(frozen=True)
class Violation:
    """A broken rule: master, channel, clock cycle, rule, and what was found and expected."""

    port: str
    channel: str
    cycle: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"AXI master {self.port}, channel {self.channel}, cycle {self.cycle}: {self.rule}: {self.text}"


@dataclass(frozen=True)
class Traffic:
    """What a port did: bursts (cycle, address, beats) in order, beats, bytes written."""

    bursts: tuple[tuple[int, int, int], ...]
    beats: int
    written_bytes: int


class _Wires:
    """The trace of one bus, and what is wrong in it."""

    def __init__(self, port: Master | Host, trace: np.ndarray):
        self.port, self.trace = port, trace
        self.violations: list[Violation] = []

    def signal(self, name: str) -> np.ndarray:
        """A signal's column."""
        return self.trace[f"{self.port.name}_{name}"]

    def fail(self, channel: str, cycle: int, rule: str, text: str) -> None:
        self.violations.append(Violation(self.port.name, channel, int(cycle), rule, text))

    def stable(self, channel: str) -> None:
        """Compare each waiting record with the one behind it."""
        valid, ready = self.signal(channel + "valid") != 0, self.signal(channel + "ready") != 0
        cycle = self.trace["cycle"]
        waiting = np.flatnonzero(valid & ~ready)
        for index in waiting:
            following = index + 1
            if following == len(cycle) or cycle[following] != cycle[index] + 1 or not valid[following]:
                self.fail(channel, cycle[index], "stable", "found valid lowered in the next cycle, expected it to stay until ready")
                continue
            for name in self.port.payload(channel):
                values = self.signal(channel + name)
                if np.any(values[following] != values[index]):
                    self.fail(channel, cycle[index], "stable", f"found {channel}{name} changed in the next cycle, expected it to stay until ready")

    def handshakes(self, channel: str) -> list[int]:
        """Records with a handshake on the channel."""
        return np.flatnonzero((self.signal(channel + "valid") != 0) & (self.signal(channel + "ready") != 0)).tolist()

    def _complete(self, channel: str, missing: list[str]) -> None:
        if missing:
            end = self.trace["cycle"][-1] if len(self.trace) else 0
            self.fail(channel, end, "complete", f"found {' and '.join(missing)} missing at the end, expected none")


class _Port(_Wires):
    """One pass over a master's trace."""

    port: Master

    def __init__(self, port: Master, trace: np.ndarray, regions: Sequence[tuple[int, int]]):
        super().__init__(port, trace)
        self.regions = regions
        self.bursts: list[tuple[int, int, int]] = []
        self.beats = self.written = 0

    def offers(self, channel: str) -> list[tuple[int, int]]:
        """Handshakes of the channel, each with the record in which its valid rose."""
        valid, found, rose = np.flatnonzero(self.signal(channel + "valid")).tolist(), [], None
        accepted = set(self.handshakes(channel))
        for index in valid:
            rose = index if rose is None else rose
            if index in accepted:
                found.append((rose, index))
                rose = None
        return found

    def address(self, channel: str, index: int) -> tuple[int, int]:
        """Check one address; returns it with its number of beats."""
        cycle, bus = self.trace["cycle"][index], self.port.bus_bytes
        address, beats = self._number(channel + "addr", index), int(self.signal(channel + "len")[index]) + 1
        size, kind = 1 << int(self.signal(channel + "size")[index]), int(self.signal(channel + "burst")[index])
        if size != bus:
            self.fail(channel, cycle, "burst", f"found beats of {size} bytes, expected {bus}")
        if kind != INCR:
            self.fail(channel, cycle, "burst", f"found burst type {kind}, expected INCR ({INCR})")
        if address % bus:
            self.fail(channel, cycle, "burst", f"found address {address:#x}, expected a multiple of {bus}")
        if address % BOUNDARY_BYTES + beats * bus > BOUNDARY_BYTES:
            self.fail(channel, cycle, "burst", f"found {beats} beats from {address:#x}, expected none across {BOUNDARY_BYTES} bytes")
        self.bursts.append((int(cycle), address, beats))
        return address, beats

    def _number(self, name: str, index: int) -> int:
        words = np.atleast_1d(self.signal(name)[index])
        return sum(int(word) << 32 * place for place, word in enumerate(words))

    def inside(self, first: int, end: int, unit: int) -> bool:
        """Whether bytes [first, end) lie in regions widened to whole units."""
        while first < end:
            ends = [-(-high // unit) * unit for low, high in self.regions if low // unit * unit <= first < -(-high // unit) * unit]
            if not ends:
                return False
            first = max(ends)
        return True

    def last(self, channel: str, index: int, left: int) -> None:
        found = int(self.signal(channel + "last")[index])
        if found != (left == 1):
            self.fail(channel, self.trace["cycle"][index], "last", f"found last {found} with {left} beats of the burst to come, expected {int(left == 1)}")

    def reads(self) -> None:
        """Order, last and regions of a reading port."""
        events = sorted([(index, 1, "ar") for index in self.handshakes("ar")] + [(index, 0, "r") for index in self.handshakes("r")])
        open_bursts: deque[list[int]] = deque()
        for index, _, channel in events:
            cycle = self.trace["cycle"][index]
            if channel == "ar":
                address, beats = self.address(channel, index)
                if not self.inside(address, address + beats * self.port.bus_bytes, self.port.bus_bytes):
                    self.fail(channel, cycle, "region", f"found a read of {beats} beats from {address:#x}, expected reads within the given regions")
                open_bursts.append([beats])
                continue
            self.beats += 1
            if not open_bursts:
                self.fail(channel, cycle, "order", "found a beat that no address asked for, expected none")
                continue
            self.last(channel, index, open_bursts[0][0])
            open_bursts[0][0] -= 1
            if not open_bursts[0][0]:
                open_bursts.popleft()
        self._complete("r", [f"{burst[0]} beats" for burst in open_bursts])

    def writes(self) -> None:
        """Order, last and regions of a writing port."""
        events = [(rose, 1, "aw", accepted) for rose, accepted in self.offers("aw")]
        events += [(index, order, channel, index) for order, channel in ((0, "b"), (2, "w")) for index in self.handshakes(channel)]
        open_bursts: deque[list[int]] = deque()      # next beat's address, beats left, record of the address's handshake
        unanswered: deque[int] = deque()             # records of the address's and of the last beat's handshake, whichever is later
        for index, _, channel, accepted in sorted(events):
            cycle = self.trace["cycle"][index]
            if channel == "aw":
                open_bursts.append([*self.address(channel, accepted), accepted])
            elif channel == "b":
                if not unanswered or unanswered[0] >= index:
                    self.fail(channel, cycle, "order", "found a response to no accepted burst, expected none")
                if unanswered:
                    unanswered.popleft()
            elif not open_bursts:
                self.fail(channel, cycle, "order", "found a beat before its address, expected the address to be offered first")
            else:
                burst = open_bursts[0]
                self.last(channel, index, burst[1])
                self._written(index, burst[0])
                burst[0] += self.port.bus_bytes
                burst[1] -= 1
                if not burst[1]:
                    unanswered.append(max(open_bursts.popleft()[2], index))
        self._complete("w", [f"{burst[1]} beats" for burst in open_bursts])
        self._complete("b", ["a response"] * len(unanswered))

    def _written(self, index: int, address: int) -> None:
        self.beats += 1
        strobes = self._number("wstrb", index)
        for lane in range(self.port.bus_bytes):
            if strobes >> lane & 1:
                self.written += 1
                if not self.inside(address + lane, address + lane + 1, 1):
                    self.fail("w", self.trace["cycle"][index], "region",
                              f"found byte {address + lane:#x} written, expected writes within the given regions")


class _Host(_Wires):
    """One pass over the control port's trace: stable on both sides, an answer to each access and to nothing else."""

    def answers(self, answer: str, *asking: str) -> None:
        """Each answer follows a handshake on every asking channel, in an earlier cycle."""
        asked = [self.handshakes(channel) for channel in asking]
        given = self.handshakes(answer)
        for number, index in enumerate(given):
            if any(number >= len(records) or records[number] >= index for records in asked):
                self.fail(answer, self.trace["cycle"][index], "order", "found an answer to no accepted access, expected none")
        self._complete(answer, ["an answer"] * (max(map(len, asked)) - len(given)))


def check_host(port: Host, trace: np.ndarray) -> list[Violation]:
    """Check the AXI4-Lite rules on the trace of the control port: stable, order and complete."""
    checked = _Host(port, trace)
    for channel in port.channels:
        checked.stable(channel)
    checked.answers("b", "aw", "w")
    checked.answers("r", "ar")
    return checked.violations


def check_port(port: Master, trace: np.ndarray, regions: Sequence[tuple[int, int]]) -> tuple[list[Violation], Traffic]:
    """Check all rules on one master's trace.

    Parameters
    ----------
    port : Master
    trace : numpy.ndarray
        Records of `channels.record_type`, in order of their cycles.
    regions : sequence of (first, end)
        Byte regions that the port may read, or write.
    """
    checked = _Port(port, trace, regions)
    for channel in port.channels:
        checked.stable(channel)
    (checked.writes if port.writes else checked.reads)()
    return checked.violations, Traffic(tuple(checked.bursts), checked.beats, checked.written)
