"""What passes between `run` (the caller's process) and `cocotb_main` (inside the simulator): files in a work folder.

``job.json`` holds registers, program and runs; ``data.bin`` all bytes that go into the memory; ``outputs.bin`` all bytes that came
out; ``result.json`` one entry a run; ``timeline.bin`` the monitor's records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from acg.register_bits import ControlBit, StatusBit

__all__ = [
    "ANSWERS",
    "CONTROL_IRQ_ENABLE",
    "CONTROL_SOFT_RESET",
    "CONTROL_START",
    "REQUESTS",
    "STATUS_BUSY",
    "STATUS_DONE",
    "STATUS_ERROR",
    "STATUS_IDLE",
    "Job",
    "JobRun",
    "Program",
    "RunSpec",
    "counter_names",
    "make_job",
]

CONTROL_START, CONTROL_SOFT_RESET, CONTROL_IRQ_ENABLE = (bit.value for bit in (ControlBit.START, ControlBit.SOFT_RESET, ControlBit.IRQ_ENABLE))
STATUS_BUSY, STATUS_DONE, STATUS_ERROR, STATUS_IDLE = (bit.value for bit in (StatusBit.BUSY, StatusBit.DONE, StatusBit.ERROR, StatusBit.IDLE))

#: Registers that a run reads or writes; the per-engine counters are read beside them when the map has them.
REGISTERS = ("CONTROL", "STATUS", "ERROR_CODE", "ERROR_ENGINE", "ERROR_ADDRESS", "PROGRAM_ADDRESS_LO", "PROGRAM_ADDRESS_HI",
             "PROGRAM_COUNT", "PROGRAM_FINGERPRINT_LO", "PROGRAM_FINGERPRINT_HI", "CYCLES_LO", "CYCLES_HI")
RESET_CYCLES = 8
#: Environment variables of a session: where requests come from and answers go to, a line of JSON each.
REQUESTS, ANSWERS = "COVENANT_REQUEST_FD", "COVENANT_ANSWER_FD"


@dataclass(frozen=True)
class Program:
    """Where the instructions lie in the external memory (byte address), how many, and the fingerprint of the graph they are for."""

    address: int
    count: int
    fingerprint: int


@dataclass(frozen=True)
class RunSpec:
    """One inference: (byte address, bytes) to write before it, (byte address, bytes to read) after it."""

    inputs: Sequence[tuple[int, bytes]] = ()
    outputs: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class JobRun:
    """A `RunSpec` whose input bytes lie in ``data.bin``: inputs are (address, offset, size)."""

    inputs: list[list[int]]
    outputs: list[list[int]]


@dataclass(frozen=True)
class Job:
    """One simulator process. `segments` are (address, offset, size), loaded once; `watchdog_cycles` None keeps the reset value."""

    registers: dict[str, int]
    program: list[int]
    segments: list[list[int]]
    runs: list[JobRun]
    timeout_cycles: int
    keep_going: bool
    watchdog_cycles: int | None = None
    counters: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write ``job.json``."""
        (folder / "job.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read ``job.json``."""
        values = json.loads((folder / "job.json").read_text())
        values["runs"] = [JobRun(**run) for run in values["runs"]]
        return cls(**values)

    def configuration(self) -> list[tuple[int, int]]:
        """(register offset, value) writes that come before the first start."""
        address, count, fingerprint = self.program
        low = 0xFFFFFFFF
        values = {"PROGRAM_ADDRESS_LO": address & low, "PROGRAM_ADDRESS_HI": address >> 32, "PROGRAM_COUNT": count,
                  "PROGRAM_FINGERPRINT_LO": fingerprint & low, "PROGRAM_FINGERPRINT_HI": fingerprint >> 32}
        if self.watchdog_cycles is not None:
            values["WATCHDOG_CYCLES"] = self.watchdog_cycles
        return [(self.registers[name], value) for name, value in values.items()]


def counter_names(registers: Mapping[str, int]) -> list[str]:
    """Per-engine counters of a register map: RETIRED_*, BUSY_*, STALL_*."""
    return [name for name in registers if name.startswith(("RETIRED_", "BUSY_", "STALL_"))]


def make_job(segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], program: Program | tuple[int, int, int],
             registers: Mapping[str, int], *, timeout_cycles: int, keep_going: bool = False,
             watchdog_cycles: int | None = None) -> tuple[Job, bytes]:
    """The job of `run`'s arguments and the content of ``data.bin``.

    Raises
    ------
    ValueError
        If there is no run, a register is missing, or the timeout is not positive.
    """
    if not runs:
        raise ValueError("run: runs is empty; expected at least one RunSpec")
    missing = [name for name in REGISTERS if name not in registers]
    if missing:
        raise ValueError(f"run: registers has no {', '.join(missing)}; expected the offsets of the machine's register map")
    if timeout_cycles < 1:
        raise ValueError(f"run: timeout_cycles must be at least 1, not {timeout_cycles}")
    program = program if isinstance(program, Program) else Program(*program)
    data = bytearray()

    def place(address: int, content: bytes) -> list[int]:
        offset = len(data)
        data.extend(content)
        return [int(address), offset, len(content)]

    job = Job(registers=dict(registers), program=[program.address, program.count, program.fingerprint],
              segments=[place(*segment) for segment in segments],
              runs=[JobRun([place(*piece) for piece in run.inputs], [[int(value) for value in region] for region in run.outputs])
                    for run in runs],
              timeout_cycles=int(timeout_cycles), keep_going=keep_going, watchdog_cycles=watchdog_cycles, counters=counter_names(registers))
    return job, bytes(data)
