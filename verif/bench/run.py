"""Runs programs on a built simulator: many inferences in one process, Python asleep while the machine works."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acg.regmap import ErrorCode

from .build import BuiltModel
from .errors import MachineError, RunTimeout, SimulationError
from .job import STATUS_ERROR, Job, Program, RunSpec, make_job
from .process import Progress, simulate, work_folder
from .records import EVENT, split_runs
from .speed import Speed
from .waves import Waves

__all__ = ["Outcome", "Program", "Progress", "RunResult", "RunSpec", "run"]


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


def _check(entries: list[dict], results: list[RunResult], job: Job, check: bool) -> None:
    last, result = entries[-1], results[-1]
    where = f"run {len(entries) - 1} of {len(job.runs)}"
    if last["timed_out"]:
        registers = {"STATUS": result.status, "CYCLES": result.cycles, **result.counters}
        state = ", ".join(f"{name} {value}" for name, value in registers.items())
        raise RunTimeout(where, found=f"no interrupt after {job.timeout_cycles} cycles ({state})", expected="the machine to finish",
                         action="raise timeout_cycles, or look for an instruction whose wait is never met")
    if check and result.status & STATUS_ERROR:
        raise MachineError(where, found=f"error {result.error_code} ({_error_name(result.error_code)}), engine {result.error_engine}, "
                                        f"address 0x{result.error_address:x}, after {result.cycles} cycles",
                           expected="error 0 (NONE)", action="disassemble the program at that engine and address", result=result)


def run(model: BuiltModel, memory_segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], *,
        program: Program | tuple[int, int, int], registers: Mapping[str, int], timeout_cycles: int, work_dir: str | Path | None = None,
        progress: Callable[[Progress], None] | None = None, expected_cycles: int | None = None, timeline: bool = True, check: bool = True,
        watchdog_cycles: int | None = None, waves: Waves | None = None) -> Outcome:
    """Run inferences back to back in one simulator process.

    Parameters
    ----------
    model : BuiltModel
        From `build`.
    memory_segments : sequence of (address, bytes)
        Written once: program and constants.
    runs : sequence of RunSpec
        One an inference. Memory and registers keep their content in between.
    program : Program or (address, count, fingerprint)
    registers : mapping
        Byte offset by register name (``acg.regmap.RegisterMap.offsets``).
    timeout_cycles : int
        Clock cycles that one run may take.
    work_dir : path, optional
        Folder for the files of the run, kept; by default a temporary one.
    progress : callable, optional
        Called with a `Progress` about once a second; `expected_cycles` (of all runs) gives the remaining time.
    timeline : bool
        Record dispatch, start and retire events.
    check : bool
        Raise on an error status. If False the result carries it, and a soft reset precedes the next run.
    watchdog_cycles : int, optional
        WATCHDOG_CYCLES register; None keeps the hardware's value.
    waves : Waves, optional
        Waveforms to write, by a model that was built for them; also those of a run that fails.

    Raises
    ------
    RunTimeout
        A run did not end within `timeout_cycles`.
    MachineError
        The machine reports an error (and `check`).
    SimulationError
        The simulator ended without a result: its log is in the message.
    """
    job, data = make_job(memory_segments, runs, program, registers, timeout_cycles=timeout_cycles, keep_going=not check,
                         watchdog_cycles=watchdog_cycles)
    recorded: contextlib.AbstractContextManager[list[str]] = contextlib.nullcontext([]) if waves is None else waves.recorded()
    with work_folder(work_dir) as folder, recorded as wave_arguments:
        (folder / "data.bin").write_bytes(data)
        job.write(folder)
        arguments = [f"+timeline={folder / 'timeline.bin'}"] if timeline else []
        status, log = simulate(model, folder, [*arguments, *wave_arguments], progress=progress, expected_cycles=expected_cycles)
        if status != 0 or not (folder / "result.json").exists():
            text = "\n".join(log.strip().splitlines()[-30:])
            raise SimulationError("simulator", found=f"exit status {status} and the log:\n{text}\n", expected="a result for every run",
                                  action="correct what the log names")
        entries = json.loads((folder / "result.json").read_text())
        outputs = (folder / "outputs.bin").read_bytes()
        records = (folder / "timeline.bin").read_bytes() if timeline else b""
    timelines = iter(split_runs(records))
    results, offset = [], 0
    for entry, spec in zip(entries, job.runs, strict=False):
        regions = []
        for _, size in spec.outputs:
            regions.append(outputs[offset:offset + size])
            offset += size
        events = next(timelines) if timeline and entry["logged"] else np.empty(0, EVENT)
        fields = {name: value for name, value in entry.items() if name not in ("timed_out", "logged")}
        results.append(RunResult(outputs=regions, timeline=events, **fields))
    _check(entries, results, job, check)
    return Outcome(results, sum(result.simulated_cycles for result in results), sum(result.seconds for result in results),
                   sum(result.cpu_seconds for result in results))
