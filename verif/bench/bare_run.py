"""The same runs without cocotb, on the program that `bare.cpp` became: what cocotb costs is measured against it."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import RunTimeout, SimulationError
from .job import CONTROL_IRQ_ENABLE, CONTROL_START, RESET_CYCLES, Job, Program, RunSpec, make_job
from .process import require, work_folder
from .speed import Speed
from .verilate import BuiltModel

__all__ = ["BareOutcome", "run_bare"]


@dataclass(frozen=True)
class BareOutcome(Speed):
    """Runs without cocotb: outputs and cycles as in `RunResult`, times and rates as in `Outcome`."""

    outputs: list[list[bytes]]
    cycles: list[int]
    simulated_cycles: int
    seconds: float
    cpu_seconds: float


def run_bare(model: BuiltModel, memory_segments: Sequence[tuple[int, bytes]], runs: Sequence[RunSpec], *,
             program: Program | tuple[int, int, int], registers: Mapping[str, int], timeout_cycles: int,
             work_dir: str | Path | None = None) -> BareOutcome:
    """Run inferences back to back. Parameters as `verif.bench.runner.run`; error statuses are not read.

    Raises
    ------
    RunTimeout
        A run did not end within `timeout_cycles`.
    SimulationError
        The program failed: its log is in the message.
    """
    job, data = make_job(memory_segments, runs, program, registers, timeout_cycles=timeout_cycles)
    control = job.registers["CONTROL"]
    commands = [f"reset {RESET_CYCLES}", *(f"load {address} data.bin {offset} {size}" for address, offset, size in job.segments),
                *(f"write {offset} {value}" for offset, value in job.configuration())]
    for spec in job.runs:
        commands += [f"load {address} data.bin {offset} {size}" for address, offset, size in spec.inputs]
        commands += [f"write {control} {CONTROL_IRQ_ENABLE | CONTROL_START}", f"run {job.timeout_cycles}",
                     f"read {job.registers['CYCLES_LO']}", f"read {job.registers['CYCLES_HI']}", f"write {control} 0"]
        commands += [f"dump {address} {size} bare.bin" for address, size in spec.outputs]
    program_file = require(model.bare)
    with work_folder(work_dir) as folder:
        (folder / "data.bin").write_bytes(data)
        (folder / "bare.bin").touch()
        done = subprocess.run([program_file], input="\n".join(commands) + "\n", capture_output=True, text=True, cwd=folder, check=False)
        dumped = (folder / "bare.bin").read_bytes()
    if done.returncode != 0:
        log = (done.stdout + done.stderr).strip()[-2000:]
        raise SimulationError("bare simulator", found=f"exit status {done.returncode} and the log:\n{log}\n", expected="exit status 0",
                              action="correct what the log names")
    return _parse(done.stdout, dumped, job)


def _parse(text: str, dumped: bytes, job: Job) -> BareOutcome:
    """Outcome from what the program printed and the bytes it dumped."""
    lines = [line.split() for line in text.splitlines()]
    timed = [(int(line[1]), float(line[2]), float(line[3])) for line in lines if line[0] == "run"]
    reads = [int(line[1]) for line in lines if line[0] == "read"]
    for index, (simulated, _, _) in enumerate(timed):
        if simulated == 0:
            raise RunTimeout(f"bare run {index} of {len(timed)}", found=f"no interrupt after {job.timeout_cycles} cycles",
                             expected="the machine to finish", action="raise timeout_cycles")
    outputs: list[list[bytes]] = []
    offset = 0
    for spec in job.runs:
        outputs.append([])
        for _, size in spec.outputs:
            outputs[-1].append(dumped[offset:offset + size])
            offset += size
    cycles = [low | high << 32 for low, high in zip(reads[::2], reads[1::2], strict=True)]
    simulated, seconds, cpu_seconds = (sum(column) for column in zip(*timed, strict=True))
    return BareOutcome(outputs, cycles, int(simulated), seconds, cpu_seconds)
