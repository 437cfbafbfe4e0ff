"""Rates of a simulation, the same for runs with and without cocotb."""

__all__ = ["Speed"]


class Speed:
    """What an outcome with these three fields derives from them: clock cycles, wall seconds and CPU seconds of its runs."""

    simulated_cycles: int
    seconds: float
    cpu_seconds: float

    @property
    def cycles_per_second(self) -> float:
        """Simulated cycles a second of wall time."""
        return self.simulated_cycles / max(self.seconds, 1e-9)

    @property
    def cycles_per_cpu_second(self) -> float:
        """Simulated cycles a second of the simulator's CPU time."""
        return self.simulated_cycles / max(self.cpu_seconds, 1e-9)
