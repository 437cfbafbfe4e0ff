"""What the timing of all computing units has in common: an instruction may start once the unit is ready, and says when it retires and when the next may."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from acg.timing.positive import require_positive

__all__ = ["UnitTiming"]


class UnitTiming(ABC):
    """State of a unit's timing; a kind's own has its recursion in :meth:`run`. ``numbers`` are the sizes and latencies it goes by, at least 1 each."""

    def __init__(self, **numbers: int):
        require_positive(type(self).__name__, **numbers)
        self._ready_cycle = 0

    @property
    def ready_cycle(self) -> int:
        """Earliest cycle at which the next instruction may start."""
        return self._ready_cycle

    def start(self, cycle: int, fields: Mapping[str, int]) -> int:
        """Start an instruction with decoded body fields (true counts) at ``cycle``; return the cycle of its retire pulse.

        Raises
        ------
        ValueError
            The unit is not ready at ``cycle``.
        """
        if cycle < self._ready_cycle:
            raise ValueError(f"{type(self).__name__}: start at cycle {cycle}, but the unit is not ready before cycle {self._ready_cycle}")
        self._ready_cycle, retire = self.run(cycle, fields)
        return retire

    @abstractmethod
    def run(self, cycle: int, fields: Mapping[str, int]) -> tuple[int, int]:
        """Return the cycle from which on the next instruction may start, and that of the retire pulse."""
