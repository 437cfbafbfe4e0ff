"""Runs programs on a built simulator: many inferences in one process, Python asleep while the machine works."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import SimulationError
from .job import Program, RunSpec, make_job
from .process import Progress, simulate, work_folder
from .results import Outcome, RunResult, require_ended, results_of
from .verilate import BuiltModel
from .waves import Waves

__all__ = ["Outcome", "Program", "Progress", "RunResult", "RunSpec", "run"]


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
    results = results_of(entries, job, outputs, records if timeline else None)
    require_ended(entries[-1], results[-1], f"run {len(entries) - 1} of {len(job.runs)}", timeout_cycles=timeout_cycles, check=check)
    return Outcome(results, sum(result.simulated_cycles for result in results), sum(result.seconds for result in results),
                   sum(result.cpu_seconds for result in results))
