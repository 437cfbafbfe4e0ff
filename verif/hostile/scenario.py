"""What a simulation on the hostile bench is to do: passes from `run_hostile` to `cocotb_main` as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Fault", "Scenario", "Stalls", "Step"]


@dataclass(frozen=True)
class Stalls:
    """How the buses misbehave.

    Parameters
    ----------
    fraction : float
        Part of the cycles in which a channel is held back; each channel by its own random sequence.
    mean_cycles : int
        Mean length of such a pause; m cycles allow fractions up to m / (m + 1).
    extra_latency_cycles : int
        Each burst is answered by up to so many cycles later than the graph says.
    """

    fraction: float = 0.0
    mean_cycles: int = 3
    extra_latency_cycles: int = 0

    def __post_init__(self) -> None:
        if self.mean_cycles < 1 or self.extra_latency_cycles < 0:
            raise ValueError(f"Stalls: mean_cycles must be at least 1 and extra_latency_cycles at least 0, "
                             f"not {self.mean_cycles} and {self.extra_latency_cycles}")
        if not 0 <= self.fraction * (self.mean_cycles + 1) <= self.mean_cycles:
            raise ValueError(f"Stalls: fraction must be between 0 and {self.mean_cycles}/{self.mean_cycles + 1} "
                             f"for pauses of {self.mean_cycles} cycles, not {self.fraction}")


@dataclass(frozen=True)
class Fault:
    """Accesses of master `port` that touch bytes [first, end) are answered with `response` (SLVERR or DECERR); writes are dropped."""

    port: str
    first: int
    end: int
    response: str = "SLVERR"

    def __post_init__(self) -> None:
        if self.response not in ("SLVERR", "DECERR"):
            raise ValueError(f"Fault: response must be SLVERR or DECERR, not {self.response!r}")


@dataclass(frozen=True)
class Step:
    """One run of the program.

    Parameters
    ----------
    inputs : sequence of (address, bytes)
        Written before the start.
    outputs : sequence of (address, size)
        Read after the end.
    seed : int
        Of this step's pauses and latencies.
    reset_after_cycles : int, optional
        Soft reset so many cycles after the start was written, instead of waiting for the end; the registers are read after it.
    """

    inputs: Sequence[tuple[int, bytes]] = ()
    outputs: Sequence[tuple[int, int]] = ()
    stalls: Stalls = field(default_factory=Stalls)
    faults: Sequence[Fault] = ()
    seed: int = 0
    reset_after_cycles: int | None = None


@dataclass(frozen=True)
class Scenario:
    """A whole simulation. `ports` maps master names to whether they write; `configuration` lists (register offset, value) writes."""

    ports: dict[str, bool]
    memory_bytes: int
    read_latency_cycles: int
    write_latency_cycles: int
    registers: dict[str, int]
    configuration: list[tuple[int, int]]
    segments: list[tuple[int, bytes]]
    steps: list[Step]
    timeout_cycles: int

    def write(self, folder: Path) -> None:
        """Write ``scenario.json``; bytes stand in it in hexadecimal."""
        (folder / "scenario.json").write_text(json.dumps(asdict(self), default=lambda data: bytes(data).hex()))

    @classmethod
    def read(cls, folder: Path) -> "Scenario":
        """Read ``scenario.json``."""
        values = json.loads((folder / "scenario.json").read_text())

        def pieces(items: list) -> list[tuple[int, bytes]]:
            return [(address, bytes.fromhex(data)) for address, data in items]

        values["segments"] = pieces(values["segments"])
        values["steps"] = [Step(**{**step, "inputs": pieces(step["inputs"]), "stalls": Stalls(**step["stalls"]),
                                   "faults": [Fault(**fault) for fault in step["faults"]]}) for step in values["steps"]]
        return cls(**values)
