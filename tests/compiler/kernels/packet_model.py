"""A core in a few lines, for tests of kernels: packets one a cycle, no interlock, what lands late is read late. Written from docs/core.md alone.

Numbers are plain: bytes signed, requantisation is a shift, so that what a kernel moves and when is what is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from acg.kinds.core.packets import Op
from compiler.kernels.core import Core
from compiler.kernels.pack import Packed

UNDEFINED = object()
#: A stream: (memory of granules [n, G] int8, addresses of each access in turn, granules an access moves).
Stream = tuple[np.ndarray, Sequence[int], int]


class PacketModel:
    """Registers are [V] int8 arrays or UNDEFINED; a write lands `latency` cycles after its issue."""

    def __init__(self, core: Core, streams: Mapping[str, Stream], shift: int = 8) -> None:
        self.core, self.streams, self.shift = core, streams, shift
        self.registers: list[object] = [UNDEFINED] * core.registers
        self.taken = dict.fromkeys(streams, 0)
        self.cycle = 0
        self._pending: dict[int, list[Callable[[], None]]] = {}
        self.issued = 0

    def run(self, kernel: Packed, tiles: int, body_count: int) -> None:
        """Prologue, tiles of head and body, drain."""
        for packet in kernel.prologue:
            self.step(packet, lambda op: op.stage == 0)
        interval = len(kernel.body)
        per_tile = kernel.head_iterations + body_count
        number = 0
        sequence = [*kernel.head, *kernel.body * body_count] * tiles
        sequence += [*kernel.head, *kernel.body * (kernel.drain // interval + 1)][: kernel.drain]
        for number, packet in enumerate(sequence):
            it = number // interval
            self.step(packet, lambda op, it=it: 0 <= it - op.stage < tiles * per_tile)
        for _ in range(max(self.core.latency.values())):
            self.step({}, lambda op: False)

    def step(self, packet: Mapping[str, Op], on: Callable[[Op], bool]) -> None:
        """One cycle: late reads happen with the writes that they feed."""
        for slot, op in packet.items():
            assert op.name in {name: operations for name, _, operations in self.core.slots}[slot], f"{slot} does not issue {op.name}"
            if on(op):
                self.issued += 1
                self._issue(op)
        for write in self._pending.pop(self.cycle, []):
            write()
        self.cycle += 1

    def _at(self, latency: int, write: Callable[[], None]) -> None:
        self._pending.setdefault(self.cycle + latency - 1, []).append(write)

    def _read(self, op: Op, field: str) -> np.ndarray:
        value = self.registers[op.fields[field]]
        assert value is not UNDEFINED, f"cycle {self.cycle}: {op} reads register {op.fields[field]} before it is written"
        return value  # type: ignore[return-value]

    def _next(self, name: str) -> tuple[np.ndarray, int, int]:
        memory, addresses, granules = self.streams[name]
        at = addresses[self.taken[name] % len(addresses)]
        self.taken[name] += 1
        return memory, at, granules

    def _issue(self, op: Op) -> None:
        core, fields = self.core, op.fields
        latency = core.latency[op.name]
        g = core.granule_bytes
        if op.name in ("LDV", "LDW"):
            memory, at, granules = self._next(f"in{fields['s']}")
            value = np.zeros((core.pixels, g), np.int8)
            value[:granules] = memory[at : at + granules]
            if op.name == "LDW":
                firsts = range(0, core.lanes // g * (1 + fields["step"]), 1 + fields["step"])
                value = np.stack([value[[min(first + tap, core.pixels - 1) for tap in range(4)]].T for first in firsts])
            self._at(latency, lambda: self.registers.__setitem__(fields["d"], value.reshape(-1)))
        elif op.name == "STV":
            memory, at, granules = self._next(f"out{fields['s']}")
            value = self._read(op, "a").reshape(core.pixels, g)
            memory[at : at + granules] = value[fields["first"] : fields["first"] + granules]
        elif op.name in ("DOT", "DOTH"):
            a, w = self._read(op, "a").reshape(-1, 4).astype(np.int32), self._read(op, "b").reshape(core.lanes, 4).astype(np.int32)
            which = np.full(core.lanes, fields["k"])
            which[core.lanes // 2 :] += core.vector_bytes // 8 if op.name == "DOTH" else 0
            products = (a[which] * w).sum(1)

            def add() -> None:
                self.registers[fields["d"]] = (self._read(op, "c").view(np.int32) + products).astype(np.int32).view(np.int8)

            self._at(latency, add)
        elif op.name == "REQ":
            bytes_ = ((self._read(op, "a").view(np.int32) * self._read(op, "b").view(np.int32)) >> self.shift).astype(np.int8)

            def narrow() -> None:
                old = self.registers[fields["d"]]
                value = np.zeros(core.vector_bytes, np.int8) if old is UNDEFINED else np.array(old)
                for group in range(core.lanes // g):
                    granule = fields["quarter"] + 4 * group
                    value[granule * g : (granule + 1) * g] = bytes_[group * g : (group + 1) * g]
                self.registers[fields["d"]] = value

            self._at(latency, narrow)
        else:
            raise AssertionError(op.name)
