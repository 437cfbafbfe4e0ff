"""Runs scenarios on the hostile bench; every run is held to the AXI rules."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verif.bench.errors import BenchError, RunTimeout, SimulationError
from verif.bench.process import simulate, work_folder
from verif.bench.records import split_runs

from .channels import record_type
from .rules import Traffic, Violation, check_host, check_port
from .scenario import Scenario, Step
from .wrapper import HostileModel

__all__ = ["BusViolation", "HostileOutcome", "StepResult", "run_hostile"]


class BusViolation(BenchError):
    """A master or a memory broke an AXI rule. `violations` has all of them."""

    def __init__(self, violations: Sequence[Violation]):
        self.violations = tuple(violations)
        super().__init__("AXI trace", found=f"{len(violations)} broken rules, first: {violations[0]}", expected="none",
                         action="look at the port's signals at that cycle")


@dataclass(frozen=True)
class StepResult:
    """State of the machine after a step; with an error, before the soft reset that follows it.

    Attributes
    ----------
    status, error_code, error_engine, error_address, cycles : int
        Registers.
    interrupt : int
        Level of the interrupt at that time.
    after_reset : dict or None
        The same registers after the soft reset, if there was one.
    outputs : list of bytes
    first_cycle, end_cycle : int
        Clock cycles of the simulation that the step took, as in the trace.
    """

    status: int
    error_code: int
    error_engine: int
    error_address: int
    cycles: int
    interrupt: int
    after_reset: dict[str, int] | None
    outputs: list[bytes]
    first_cycle: int
    end_cycle: int


@dataclass(frozen=True)
class HostileOutcome:
    """A simulation: steps, monitor events of each run that began (`verif.bench.records.EVENT`), and what each master did."""

    steps: list[StepResult]
    timelines: list[np.ndarray]
    traffic: dict[str, Traffic]
    trace: np.ndarray


def run_hostile(hostile: HostileModel, memory_segments: Sequence[tuple[int, bytes]], steps: Sequence[Step], *,
                program: tuple[int, int, int], registers: Mapping[str, int], regions: Mapping[str, Sequence[tuple[int, int]]],
                timeout_cycles: int, watchdog_cycles: int | None = None, work_dir: str | Path | None = None) -> HostileOutcome:
    """Run steps one after another in one simulator process; memory and registers keep their content in between.

    Parameters
    ----------
    hostile : HostileModel
        From `build_hostile`.
    memory_segments : sequence of (address, bytes)
        Written once.
    program : (address, count, fingerprint)
    registers : mapping
        Byte offset by register name.
    regions : mapping
        By master name, the byte regions (first, end) that it may read, or write.
    timeout_cycles : int
        Clock cycles that one step may take.
    watchdog_cycles : int, optional
        WATCHDOG_CYCLES register; None keeps the hardware's value.

    Raises
    ------
    BusViolation
        A rule of `verif.hostile.rules` is broken.
    RunTimeout
        A step did not end.
    SimulationError
        The simulator ended without a result.
    """
    if set(regions) != {port.name for port in hostile.ports}:
        raise ValueError(f"run_hostile: regions of {', '.join(sorted(regions))}; expected of {', '.join(port.name for port in hostile.ports)}")
    address, count, fingerprint = program
    values = {"PROGRAM_ADDRESS_LO": address & 0xFFFFFFFF, "PROGRAM_ADDRESS_HI": address >> 32, "PROGRAM_COUNT": count,
              "PROGRAM_FINGERPRINT_LO": fingerprint & 0xFFFFFFFF, "PROGRAM_FINGERPRINT_HI": fingerprint >> 32}
    if watchdog_cycles is not None:
        values["WATCHDOG_CYCLES"] = watchdog_cycles
    description = hostile.description
    scenario = Scenario(
        ports={port.name: port.writes for port in hostile.ports}, memory_bytes=description.memory_bytes,
        read_latency_cycles=description.read_latency_cycles, write_latency_cycles=description.write_latency_cycles,
        registers=dict(registers), configuration=[(registers[name], value) for name, value in values.items()],
        segments=list(memory_segments), steps=list(steps), timeout_cycles=timeout_cycles)
    with work_folder(work_dir) as folder:
        scenario.write(folder)
        status, log = simulate(hostile.model, folder, [f"+axi={folder / 'axi.bin'}", f"+timeline={folder / 'timeline.bin'}"],
                               test_module=f"{__package__}.cocotb_main")
        if status != 0 or not (folder / "result.json").exists():
            text = "\n".join(log.strip().splitlines()[-30:])
            raise SimulationError("simulator", found=f"exit status {status} and the log:\n{text}\n", expected="a result for every step",
                                  action="correct what the log names")
        entries = json.loads((folder / "result.json").read_text())
        trace = np.fromfile(folder / "axi.bin", record_type((*hostile.ports, hostile.host)))
        timelines = split_runs((folder / "timeline.bin").read_bytes())
    checked = {port.name: check_port(port, trace, regions[port.name]) for port in hostile.ports}
    found = [item for items, _ in checked.values() for item in items] + check_host(hostile.host, trace)
    violations = sorted(found, key=lambda item: item.cycle)
    if entries[-1].pop("timed_out"):
        raise RunTimeout(f"step {len(entries) - 1} of {len(steps)}", found=f"no interrupt after {timeout_cycles} cycles ({entries[-1]}); "
                         f"broken rules: {'; '.join(map(str, violations)) or 'none'}",
                         expected="the machine to finish", action="raise timeout_cycles, or look for what it waits for")
    if violations:
        raise BusViolation(violations)
    results = []
    for entry in entries:
        entry.pop("timed_out", None)
        results.append(StepResult(**{**entry, "outputs": [bytes.fromhex(piece) for piece in entry["outputs"]]}))
    return HostileOutcome(results, list(timelines), {name: traffic for name, (_, traffic) in checked.items()}, trace)
