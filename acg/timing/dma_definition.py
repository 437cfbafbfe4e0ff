"""The DMA engines' timing step by step: the definition that acg.timing.dma computes in closed form, and is tested against."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping

from acg.timing.dma import LOAD_WRITE_CYCLES, DmaTiming, LoadTiming, StoreTiming

__all__ = ["LoadDefinition", "StoreDefinition"]


def _row_addresses(fields: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for i in range(fields["n_0"]):
        for j in range(fields["n_1"]):
            for k in range(fields["n_2"]):
                ext, local = (fields[f"{side}_address"] + i * fields[f"{side}_stride_0"] + j * fields[f"{side}_stride_1"]
                              + k * fields[f"{side}_stride_2"] for side in ("ext", "local"))
                yield ext, local


class _Definition(DmaTiming):
    """Step by step; a burst is named by its number, counted over all instructions."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self._step = -1
        self._dones: list[int] = []

    @abstractmethod
    def _row_beats(self, off: int, lo: int, size: int) -> list[int | None]:
        """For each step of a row the beat that it moves, or None."""

    def start(self, cycle: int, fields: Mapping[str, int]) -> int:
        """As in the fast class."""
        bus, split, limit = self.bus_bytes, self._split, self.outstanding_bursts
        self._push = max(self._push, cycle + self.address_cycles)
        for ext, local in _row_addresses(fields):
            row_burst = previous = None
            for number, beat in enumerate(self._row_beats(ext % bus, local % self.chunk_bytes, fields["n_3"])):
                burst = None
                if number == 0:
                    burst = row_burst = ext // split
                elif beat is not None and (ext // bus + beat) * bus // split != row_burst:
                    burst = row_burst = (ext // bus + beat) * bus // split
                self._step += 1
                if burst is not None:
                    if previous is not None:
                        self._dones.append(previous)
                    waits = self._dones[-limit] + 1 if len(self._dones) >= limit else 0
                    self._push = max(self._push + 1, waits)
                    self._step = max(self._step, self._push + self._lead)
                if beat is not None:
                    previous = self._step + self._tail
            if previous is not None:
                self._dones.append(previous)
        return self._retire()

    @abstractmethod
    def _retire(self) -> int:
        """Retire cycle of the instruction whose last step has been taken."""


class LoadDefinition(_Definition, LoadTiming):
    """:class:`LoadTiming`, slow: the definition."""

    def _row_beats(self, off: int, lo: int, size: int) -> list[int | None]:
        taken = 0
        beats: list[int | None] = []
        for chunk in range(-(-(lo + size) // self.chunk_bytes)):
            needed = -(-(off + min((chunk + 1) * self.chunk_bytes - lo, size)) // self.bus_bytes)
            while needed > taken + 1:
                beats.append(taken)
                taken += 1
            beats.append(taken if needed > taken else None)
            taken = needed
        return beats

    def _retire(self) -> int:
        return self._step + LOAD_WRITE_CYCLES


class StoreDefinition(_Definition, StoreTiming):
    """:class:`StoreTiming`, slow: the definition."""

    def _row_beats(self, off: int, lo: int, size: int) -> list[int | None]:
        sent = 0
        beats: list[int | None] = []
        total = -(-(off + size) // self.bus_bytes)
        for chunk in range(-(-(lo + size) // self.chunk_bytes)):
            read = min((chunk + 1) * self.chunk_bytes - lo, size)
            whole = total if read == size else (off + read) // self.bus_bytes
            beats.append(sent if whole > sent else None)
            sent += whole > sent
            while whole > sent:
                beats.append(sent)
                sent += 1
        return beats

    def _retire(self) -> int:
        return self._dones[-1] + 1
