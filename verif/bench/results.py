"""What a run gave, and what is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acg.regmap import ErrorCode

from .errors import MachineError, RunTimeout
from .job import STATUS_ERROR, Job
from .records import EVENT, split_runs
from .speed import Speed

__all__ = ["Outcome", "RunResult", "require_ended", "result_of", "results_of"]


@dataclass(frozen=True)
class RunResult:
    """One inference on the machine.

    Attributes
    ----------
    outputs : list of bytes
        Memory regions after the run, in the order of ``RunSpec.outputs``.
    cycles : int
        CYCLES register.
    timeline : numpy.ndarray
        Monitor events (`records.EVENT`: cycle, kind, engine), empty if the machine did not begin or no timeline was asked for.
    status, error_code, error_engine, error_address : int
        Registers after the run.
    counters : dict
        Per-engine counters by register name.
    simulated_cycles, seconds, cpu_seconds : int, float, float
        Clock cycles from the start write to the interrupt, the wall time and the simulator's CPU time they took.
    """

    outputs: list[bytes]
    cycles: int
    timeline: np.ndarray
    status: int
    error_code: int
    error_engine: int
    error_address: int
    counters: dict[str, int]
    simulated_cycles: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Outcome(Speed):
    """All runs of one simulator process; rates cover the runs only, without start-up and register reads.

    `cycles_per_cpu_second` is the figure to compare on a busy machine.
    """

    results: list[RunResult]
    simulated_cycles: int
    seconds: float
    cpu_seconds: float


def _error_name(code: int) -> str:
    return ErrorCode(code).name if code in ErrorCode._value2member_map_ else "unknown"


def result_of(entry: dict, regions: list[bytes], events: np.ndarray) -> RunResult:
    """The result of a run from what the simulator says of it, its memory regions and its events."""
    fields = {name: value for name, value in entry.items() if name not in ("timed_out", "logged")}
    return RunResult(outputs=regions, timeline=events, **fields)


def results_of(entries: Sequence[dict], job: Job, outputs: bytes, records: bytes | None) -> list[RunResult]:
    """Results from what a simulator's process left: its entries, the bytes of all outputs, and the monitor's records unless it was asked for none."""
    timelines = iter(split_runs(records or b""))
    results, offset = [], 0
    for entry, spec in zip(entries, job.runs, strict=False):
        regions = []
        for _, size in spec.outputs:
            regions.append(outputs[offset:offset + size])
            offset += size
        events = next(timelines) if records is not None and entry["logged"] else np.empty(0, EVENT)
        results.append(result_of(entry, regions, events))
    return results


def require_ended(entry: dict, result: RunResult, where: str, *, timeout_cycles: int, check: bool) -> None:
    """Raises RunTimeout for a run without an end and, with ``check``, MachineError for one that the machine ended with an error."""
    if entry["timed_out"]:
        registers = {"STATUS": result.status, "CYCLES": result.cycles, **result.counters}
        state = ", ".join(f"{name} {value}" for name, value in registers.items())
        raise RunTimeout(where, found=f"no interrupt after {timeout_cycles} cycles ({state})", expected="the machine to finish",
                         action="raise timeout_cycles, or look for an instruction whose wait is never met")
    if check and result.status & STATUS_ERROR:
        raise MachineError(where, found=f"error {result.error_code} ({_error_name(result.error_code)}), engine {result.error_engine}, "
                                        f"address 0x{result.error_address:x}, after {result.cycles} cycles",
                           expected="error 0 (NONE)", action="disassemble the program at that engine and address", result=result)
