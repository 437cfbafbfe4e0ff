"""Runs programs on a built simulator: many inferences in one process, Python asleep while the machine works."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
import find_libpython
import numpy as np
from acg.regmap import ErrorCode

from .build import BuiltModel
from .errors import MachineError, RunTimeout, SimulationError, ToolMissing
from .job import (CONTROL_IRQ_ENABLE, CONTROL_START, REGISTERS, RESET_CYCLES, STATUS_ERROR, Job, JobRun, Program, RunSpec, counter_names)
from .records import EVENT, split_runs

__all__ = ["BareOutcome", "Outcome", "Program", "Progress", "RunResult", "RunSpec", "run", "run_bare"]


@dataclass(frozen=True)
class Progress:
    """State of a simulation, about once a second. Seconds are wall time; None where unknown."""

    cycles: int
    cycles_per_second: float
    expected_cycles: int | None
    remaining_seconds: float | None


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
    simulated_cycles, seconds : int, float
        Clock cycles from the start write to the interrupt, and the wall time they took.
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


@dataclass(frozen=True)
class Outcome:
    """All runs of one simulator process; the rate covers the runs only, without start-up and register reads."""

    results: list[RunResult]
    simulated_cycles: int
    seconds: float
    cycles_per_second: float


@dataclass(frozen=True)
class BareOutcome:
    """Runs without cocotb: outputs and cycles as `RunResult`, and the rate."""

    outputs: list[list[bytes]]
    cycles: list[int]
    simulated_cycles: int
    seconds: float
    cycles_per_second: float


def _job(segments, runs: Sequence[RunSpec], program, registers: Mapping[str, int], timeout_cycles: int, keep_going: bool,
         watchdog_cycles: int | None) -> tuple[Job, bytes]:
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
              runs=[JobRun([place(*piece) for piece in run.inputs], [[int(address), int(size)] for address, size in run.outputs]) for run in runs],
              timeout_cycles=int(timeout_cycles), keep_going=keep_going, watchdog_cycles=watchdog_cycles, counters=counter_names(registers))
    return job, bytes(data)


def _environment(folder: Path, descriptor: int) -> dict[str, str]:
    """The variables that cocotb's own runner would set, none of the caller's cocotb settings."""
    libpython = find_libpython.find_libpython()
    if libpython is None:
        raise ToolMissing("simulation", found="no shared libpython for this interpreter", expected=f"libpython{sys.version_info[0]}.{sys.version_info[1]}",
                          action=f"install it (Debian, Ubuntu: apt-get install libpython{sys.version_info[0]}.{sys.version_info[1]})")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COCOTB_", "GPI_", "PYGPI_", "PYTEST_"))}
    libraries = str(cocotb_tools.config.libs_dir)
    root = str(Path(__file__).resolve().parents[2])
    environment.update({
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [libraries, environment.get("LD_LIBRARY_PATH")])),
        "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)]),
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{libpython};{cocotb_tools.config.pygpi_entry_point()}",
        "COCOTB_TEST_MODULES": f"{__package__}.cocotb_main",
        "COCOTB_TOPLEVEL": "tb",
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_RESULTS_FILE": str(folder / "results.xml"),
        "COCOTB_RANDOM_SEED": "0",
        "COCOTB_REWRITE_ASSERTION_FILES": "",
        "COCOTB_LOG_LEVEL": "WARNING",
        "NO_COLOR": "1",
        "COVENANT_WORK": str(folder),
        "COVENANT_PROGRESS_FD": str(descriptor),
    })
    return environment


def _watch(process: subprocess.Popen, reader: int, progress: Callable[[Progress], None] | None, expected_cycles: int | None) -> None:
    """Pass progress lines on until the simulator closes its end of the pipe, which is when it ends."""
    last_cycles, last_time = 0, time.perf_counter()
    with selectors.DefaultSelector() as selector, os.fdopen(reader, "rb") as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            selector.select()
            lines = os.read(pipe.fileno(), 65536)
            if not lines:
                break
            cycles, now = int(lines.split()[-1]), time.perf_counter()
            rate = (cycles - last_cycles) / max(now - last_time, 1e-9)
            last_cycles, last_time = cycles, now
            if progress is not None:
                remaining = None if expected_cycles is None or rate <= 0 else max(expected_cycles - cycles, 0) / rate
                progress(Progress(cycles, rate, expected_cycles, remaining))
    process.wait()


def _simulate(model: BuiltModel, folder: Path, arguments: list[str], progress, expected_cycles: int | None) -> tuple[int, str]:
    """Exit status and log of one simulator process."""
    reader, writer = os.pipe()
    with open(folder / "simulator.log", "wb") as log:
        try:
            process = subprocess.Popen([str(model.simulate), *arguments], cwd=folder, env=_environment(folder, writer), pass_fds=(writer,),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        try:
            _watch(process, reader, progress, expected_cycles)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode, (folder / "simulator.log").read_text(errors="replace")


@contextlib.contextmanager
def _folder(work_dir: str | Path | None) -> Iterator[Path]:
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix="covenant-") as name:
            yield Path(name)
    else:
        folder = Path(work_dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "outputs.bin", "timeline.bin", "bare.bin"):
            (folder / name).unlink(missing_ok=True)
        yield folder


def _error_name(code: int) -> str:
    return ErrorCode(code).name if code in ErrorCode._value2member_map_ else "unknown"


def _check(entries: list[dict], results: list[RunResult], job: Job, check: bool) -> None:
    last, result = entries[-1], results[-1]
    where = f"run {len(entries) - 1} of {len(job.runs)}"
    if last["timed_out"]:
        counters = ", ".join(f"{name} {value}" for name, value in result.counters.items()) or "no counters"
        raise RunTimeout(where, found=f"no interrupt after {job.timeout_cycles} cycles (STATUS {result.status}, CYCLES {result.cycles}, {counters})",
                         expected="the machine to finish", action="raise timeout_cycles, or look for an instruction whose wait is never met")
    if check and result.status & STATUS_ERROR:
        raise MachineError(where, found=f"error {result.error_code} ({_error_name(result.error_code)}), engine {result.error_engine}, "
                                        f"address 0x{result.error_address:x}, after {result.cycles} cycles",
                           expected="error 0 (NONE)", action="disassemble the program at that engine and address", result=result)


def run(model: BuiltModel, memory_segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], *, program: Program | tuple[int, int, int],
        registers: Mapping[str, int], timeout_cycles: int, work_dir: str | Path | None = None, progress: Callable[[Progress], None] | None = None,
        expected_cycles: int | None = None, timeline: bool = True, check: bool = True, watchdog_cycles: int | None = None) -> Outcome:
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

    Raises
    ------
    RunTimeout
        A run did not end within `timeout_cycles`.
    MachineError
        The machine reports an error (and `check`).
    SimulationError
        The simulator ended without a result: its log is in the message.
    """
    if not runs:
        raise ValueError("run: runs is empty; expected at least one RunSpec")
    job, data = _job(memory_segments, runs, program, registers, timeout_cycles, not check, watchdog_cycles)
    with _folder(work_dir) as folder:
        (folder / "data.bin").write_bytes(data)
        job.write(folder)
        arguments = [f"+timeline={folder / 'timeline.bin'}"] if timeline else []
        status, log = _simulate(model, folder, arguments, progress, expected_cycles)
        if status != 0 or not (folder / "result.json").exists():
            text = "\n".join(line for line in log.strip().splitlines()[-30:])
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
        fields = {name: entry[name] for name in ("cycles", "status", "error_code", "error_engine", "error_address", "counters", "simulated_cycles", "seconds")}
        results.append(RunResult(outputs=regions, timeline=events, **fields))
    _check(entries, results, job, check)
    cycles, seconds = sum(result.simulated_cycles for result in results), sum(result.seconds for result in results)
    return Outcome(results, cycles, seconds, cycles / max(seconds, 1e-9))


def run_bare(model: BuiltModel, memory_segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], *, program: Program | tuple[int, int, int],
             registers: Mapping[str, int], timeout_cycles: int, work_dir: str | Path | None = None) -> BareOutcome:
    """The same runs without cocotb, to measure what cocotb costs. Parameters and errors as `run`; error statuses are not read."""
    job, data = _job(memory_segments, runs, program, registers, timeout_cycles, False, None)
    commands = [f"reset {RESET_CYCLES}", *(f"load {address} data.bin {offset} {size}" for address, offset, size in job.segments),
                *(f"write {offset} {value}" for offset, value in job.configuration())]
    control = job.registers["CONTROL"]
    for spec in job.runs:
        commands += [f"load {address} data.bin {offset} {size}" for address, offset, size in spec.inputs]
        commands += [f"write {control} {CONTROL_IRQ_ENABLE | CONTROL_START}", f"run {job.timeout_cycles}",
                     f"read {job.registers['CYCLES_LO']}", f"read {job.registers['CYCLES_HI']}", f"write {control} 0"]
        commands += [f"dump {address} {size} bare.bin" for address, size in spec.outputs]
    with _folder(work_dir) as folder:
        (folder / "data.bin").write_bytes(data)
        (folder / "bare.bin").touch()
        done = subprocess.run([str(model.bare)], input="\n".join(commands) + "\n", capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode != 0:
            raise SimulationError("bare simulator", found=f"exit status {done.returncode} and the log:\n{done.stdout[-2000:]}{done.stderr[-2000:]}\n",
                                  expected="exit status 0", action="correct what the log names")
        dumped = (folder / "bare.bin").read_bytes()
    lines = [line.split() for line in done.stdout.splitlines()]
    timed = [(int(line[1]), float(line[2])) for line in lines if line[0] == "run"]
    reads = [int(line[1]) for line in lines if line[0] == "read"]
    for index, (cycles, _) in enumerate(timed):
        if cycles == 0:
            raise RunTimeout(f"bare run {index} of {len(timed)}", found=f"no interrupt after {timeout_cycles} cycles", expected="the machine to finish",
                             action="raise timeout_cycles")
    outputs, offset = [], 0
    for spec in job.runs:
        outputs.append([])
        for _, size in spec.outputs:
            outputs[-1].append(dumped[offset:offset + size])
            offset += size
    cycles, seconds = sum(count for count, _ in timed), sum(duration for _, duration in timed)
    return BareOutcome(outputs, [low | high << 32 for low, high in zip(reads[::2], reads[1::2], strict=True)], cycles, seconds, cycles / max(seconds, 1e-9))
