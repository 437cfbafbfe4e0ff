"""A random program on functional simulator, predictor and RTL."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from acg.counters import counter_faults, predicted_counters
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import instruction_set
from acg.predictor import Timeline, predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.verify.shrink import shrink
from verif.bench import BenchError, BuiltModel, RunSpec, run
from verif.coverage import collect
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator
from verif.random.programs import Draft, RandomProgram, copies, random_program
from verif.timeline import compare

__all__ = ["RUNS", "ProgramVerdict", "failure_lines", "judge_program", "shrunk_program", "verify_program"]

#: Most differences that a verdict lists of a kind.
_LISTED = 4
#: Most runs of the RTL spent on making a failing program smaller.
SHRINK_TRIES = 60
#: Runs of a program, one after the other without a reset; on-chip memories keep what the last one left.
RUNS = 2
#: Clock cycles beyond four times the predicted ones after which a run counts as hanging.
_PATIENCE_CYCLES = 20_000


@dataclass(frozen=True)
class ProgramVerdict:
    """What the witnesses said. ``divergence`` is empty when bytes and cycles are exact; ``bins``: :mod:`verif.coverage`."""

    instructions: int
    predicted_cycles: int
    measured_cycles: int | None
    divergence: tuple[str, ...]
    bins: Mapping[str, int] = field(default_factory=dict)


def _byte_lines(program: RandomProgram, expected: bytes, found: bytes) -> list[str]:
    """First differing bytes, by place on chip where a final store observed them."""
    instructions = program.instructions
    stores = {engine.engine: engine for engine in copies(program.graph, inward=False)}
    places = np.flatnonzero(np.frombuffer(expected, np.uint8) != np.frombuffer(found, np.uint8))
    lines = []
    for place in places[:_LISTED].tolist():
        where = f"external byte {place:#x}"
        for number in range(len(program.drafts), len(instructions)):
            stored = stores[instructions[number].engine].on_chip(instructions[number].fields, place)
            where = f"byte {stored[0]:#x} of {stored[1]}" if stored is not None else where
        lines.append(f"{where}: found {found[place]:#04x}, expected {expected[place]:#04x}")
    return [f"{places.size} bytes differ from the functional simulator's", *lines] if lines else []


def _expected(program: RandomProgram) -> list[bytes]:
    """Observed bytes after each run; memories are kept in between."""
    boundary = -(-program.observed_bytes // 4096) * 4096
    machine = Simulator(program.graph, external_bytes=boundary)
    machine.load_segments(program.image)
    observed, instructions = [], program.instructions
    for _ in range(RUNS):
        machine.run(instructions)
        observed.append(machine.read(0, program.observed_bytes))
    return observed


def _measured(program: RandomProgram, model: BuiltModel, expected: list[bytes], predicted: Timeline) -> tuple[int | None, list[str]]:
    graph, instructions = program.graph, program.instructions
    code = instruction_set(graph).encode_program(instructions)
    try:
        outcome = run(model, [*program.image, (program.program_address, code)], [RunSpec(inputs=[], outputs=[(0, program.observed_bytes)])] * RUNS,
                      program=(program.program_address, len(instructions), fingerprint(graph)), registers=RegisterMap(graph).offsets,
                      timeout_cycles=4 * predicted.total_cycles + _PATIENCE_CYCLES, check=False)
    except BenchError as error:
        return None, [f"RTL: {line}" for line in failure_lines(error)]
    counters = predicted_counters(graph, instructions, predicted)
    for number, (result, observed) in enumerate(zip(outcome.results, expected, strict=True)):
        lines = []
        if result.error_code != ErrorCode.NONE:
            lines.append(f"RTL: error {ErrorCode(result.error_code).name}, engine {result.error_engine}, address {result.error_address:#x}; expected none")
        report = compare(predicted, result.timeline)
        if not report.exact:
            lines += [f"{report.mismatch_count} events are not in their predicted cycle", *map(str, report.mismatches[:_LISTED])]
        if result.cycles != predicted.total_cycles:
            lines.append(f"CYCLES register: found {result.cycles}, expected {predicted.total_cycles}")
        lines += counter_faults(graph, counters, result.counters)[:_LISTED]
        lines += _byte_lines(program, observed, result.outputs[0])
        if lines:
            return result.cycles, [f"in run {number + 1} of {RUNS}:", *lines]
    return outcome.results[0].cycles, []


def failure_lines(error: BenchError) -> list[str]:
    """What the simulator itself said (its lines begin with a per cent sign), without cocotb's log; else the whole message."""
    lines = str(error).splitlines()
    return [line.strip() for line in lines if "%Fatal" in line or "%Error" in line] or lines


def judge_program(program: RandomProgram, model: BuiltModel | None) -> ProgramVerdict:
    """Run on the functional simulator and the predictor, and on the RTL where a model is given; compare bytes, events and hazards."""
    instructions = program.instructions
    expected = _expected(program)
    predicted = predict(program.graph, instructions)
    lines = [str(hazard) for hazard in find_hazards(program.graph, instructions, predicted, most=_LISTED)]
    measured = None
    if model is not None:
        measured, differences = _measured(program, model, expected, predicted)
        lines += differences
    return ProgramVerdict(len(instructions), predicted.total_cycles, measured, tuple(lines), collect(program.graph, instructions, predicted))


def shrunk_program(program: RandomProgram, model: BuiltModel | None, *, tries: int = SHRINK_TRIES) -> RandomProgram:
    """A smaller program that still diverges, of one that does: instructions are dropped, waits computed anew."""

    def fails(drafts: list[Draft]) -> bool:
        return bool(judge_program(program.without(drafts), model).divergence)

    return program.without(shrink(program.drafts, fails, tries=tries))


def verify_program(graph: Graph, seed: int, model: BuiltModel | None) -> ProgramVerdict:
    """Judge the random program of a seed; the verdict on one that diverges ends with the shrunk program's lines and disassembly."""
    program = random_program(graph, seed)
    verdict = judge_program(program, model)
    if not verdict.divergence:
        return verdict
    small = shrunk_program(program, model)
    isa = instruction_set(graph)
    lines = [*verdict.divergence, f"shrunk to {len(small.drafts)} of {len(program.drafts)} instructions:", *judge_program(small, model).divergence,
             *(f"{number:3d}: {isa.disassemble(item)}" for number, item in enumerate(small.instructions))]
    return ProgramVerdict(verdict.instructions, verdict.predicted_cycles, verdict.measured_cycles, tuple(lines), verdict.bins)
