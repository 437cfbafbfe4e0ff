"""What judges a mutant on the RTL: programs on the fast bench, forced errors, the hostile bench. Each returns what it found wrong, or None."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from acg.counters import counter_faults, predicted_counters
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.predictor import Timeline, predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.mutants.forced import Case, forced_cases
from covenant.mutants.mutant import Mutant
from covenant.mutants.stimulus import Workload, machine_graph
from verif.bench import BuiltModel, Description, RunResult, RunSpec, build, run
from verif.bench.job import STATUS_BUSY, STATUS_DONE, STATUS_ERROR, STATUS_IDLE
from verif.timeline import compare

__all__ = ["WITNESSES", "Mutated"]

#: Clock cycles beyond four times the predicted ones after which a run counts as hanging.
_PATIENCE_CYCLES = 20_000
#: Clock cycles that a program which must end in an error may take.
_FORCED_CYCLES = 30_000


@dataclass
class Mutated:
    """A mutated machine: its graph, the Verilog made by the sources as they stand (or read from the file ``rtl``), and simulators, built when
    first asked for."""

    name: str
    mutant: Mutant | None
    workloads: list[Workload]
    cache: Path
    rtl: Path | None = None

    def __post_init__(self) -> None:
        #: Simulators that this process built, to be thrown away.
        self.built: list[BuiltModel] = []

    @cached_property
    def graph(self) -> Graph:
        return machine_graph(self.name)

    @cached_property
    def verilog(self) -> str:
        from hwgen.emit import verilog

        text = verilog(self.graph) if self.rtl is None else self.rtl.read_text()
        return text if self.mutant is None or self.mutant.module is None else self.mutant.apply_emitted(text)

    def _description(self) -> Description:
        from hwgen.names import top_name

        return Description.from_graph(self.graph, top=top_name(self.graph.name))

    @cached_property
    def model(self) -> BuiltModel:
        """Simulator of the fast bench."""
        model = build([self.verilog], self._description(), self.cache, opt="O0")
        self.built += [] if model.cached else [model]
        return model

    @cached_property
    def hostile(self):
        """Simulator of the hostile bench."""
        from verif.hostile import build_hostile

        hostile = build_hostile([self.verilog], self._description(), self.cache, opt="O0")
        self.built += [] if hostile.model.cached else [hostile.model]
        return hostile

    @cached_property
    def registers(self) -> dict[str, int]:
        return RegisterMap(self.graph).offsets

    def program(self, address: int, count: int) -> tuple[int, int, int]:
        """Program as the bench wants it."""
        return address, count, fingerprint(self.graph)


def _first_byte(expected: bytes, found: bytes) -> str:
    places = np.flatnonzero(np.frombuffer(expected, np.uint8) != np.frombuffer(found, np.uint8))
    return f"{places.size} bytes differ, first at {places[0]:#x}"


def _judge(machine: Mutated, work: Workload, predicted: Timeline, results: list[RunResult]) -> str | None:
    counters = predicted_counters(machine.graph, work.instructions, predicted)
    for number, (result, expected) in enumerate(zip(results, work.expected, strict=True)):
        where = f"{work.name}, run {number + 1}"
        if result.error_code or result.status & STATUS_ERROR:
            return f"{where}: error {result.error_code} of engine {result.error_engine} at {result.error_address:#x}"
        report = compare(predicted, result.timeline)
        if not report.exact:
            return f"{where}: cycles, {report.mismatches[0] if report.mismatches else 'no events'}"
        if result.cycles != predicted.total_cycles:
            return f"{where}: CYCLES is {result.cycles}, predicted {predicted.total_cycles}"
        for region, wanted in zip(result.outputs, expected, strict=True):
            if region != wanted:
                return f"{where}: bytes, {_first_byte(wanted, region)}"
        if result.status & (STATUS_BUSY | STATUS_DONE | STATUS_IDLE) != STATUS_DONE | STATUS_IDLE:
            return f"{where}: STATUS is {result.status:#x}"
        faults = counter_faults(machine.graph, counters, result.counters)
        if faults:
            return f"{where}: {faults[0]}"
    return None


def programs(machine: Mutated) -> str | None:
    """Bytes, every event's cycle, counters and registers of all workloads, twice each without a reset."""
    for work in machine.workloads:
        predicted = predict(machine.graph, work.instructions)
        specs = [RunSpec(inputs=[], outputs=list(work.outputs)) for _ in work.expected]
        outcome = run(machine.model, work.image, specs, program=machine.program(work.address, len(work.instructions)), registers=machine.registers,
                      timeout_cycles=4 * work.cycles + _PATIENCE_CYCLES, check=False)
        found = _judge(machine, work, predicted, outcome.results)
        if found is not None:
            return found
    return None


def _forced(machine: Mutated, case: Case) -> str | None:
    outcome = run(machine.model, case.image, [RunSpec(inputs=[], outputs=[])] * 2, program=(case.address, case.count, case.fingerprint),
                  registers=machine.registers, timeout_cycles=_FORCED_CYCLES, check=False, watchdog_cycles=case.watchdog_cycles)
    for result in outcome.results:
        code = ErrorCode(result.error_code).name if result.error_code in list(ErrorCode) else str(result.error_code)
        found = (code, result.error_engine, result.error_address)
        if found != case.expected:
            return f"{case.name}: found (code, engine, address) {found}, expected {case.expected}"
        failed = case.expected[0] != ErrorCode.NONE.name
        if bool(result.status & STATUS_ERROR) != failed or result.status & STATUS_BUSY or bool(result.status & STATUS_DONE) == failed:
            return f"{case.name}: STATUS is {result.status:#x}"
        if case.cycles is not None and result.cycles != case.cycles:
            return f"{case.name}: CYCLES is {result.cycles}, expected {case.cycles}"
    first, second = outcome.results
    if first.cycles != second.cycles:
        return f"{case.name}: {second.cycles} cycles after a soft reset, {first.cycles} before it"
    return None


def errors(machine: Mutated) -> str | None:
    """Bad programs forced into the machine: code, engine and address of each error; the same again after a soft reset."""
    for case in forced_cases(machine.graph):
        found = _forced(machine, case)
        if found is not None:
            return found
    return None


def hostile(machine: Mutated) -> str | None:
    """Stalls, error responses and soft resets; AXI rules held on every port."""
    from covenant.mutants.hostility import judge_hostile

    return judge_hostile(machine.hostile, machine.graph, machine.workloads)


#: Judges on the RTL by name, in the order in which they are asked.
WITNESSES: dict[str, Callable[[Mutated], str | None]] = {"programs": programs, "errors": errors, "hostile": hostile}
