"""A random program between memories that stall and answer late: the same bytes, never earlier than predicted; on a quiet bus exactly as predicted."""

from __future__ import annotations

import random

import numpy as np

from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.isa import instruction_set
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.verify.programs import ProgramVerdict, failure_lines
from verif.bench import BenchError
from verif.coverage import collect
from verif.hostile import HostileModel, HostileOutcome, Stalls, Step, run_hostile
from verif.iss.simulator import Simulator
from verif.random.programs import random_program
from verif.timeline import compare

__all__ = ["STEPS", "stalled_beats", "verify_stalled"]

#: Steps of a run: buses that misbehave each in its way, drawn from the seed, and at last a quiet one.
STEPS = 3
_INSTRUCTIONS = 15


def _bus(drawn: random.Random) -> Stalls:
    mean = drawn.choice((1, 3, 9, 40))
    return Stalls(fraction=drawn.choice((0.2, 0.4, 0.7)) * mean / (mean + 1), mean_cycles=mean, extra_latency_cycles=drawn.choice((0, 5, 40)))


def stalled_beats(hostile: HostileModel, outcome: HostileOutcome) -> int:
    """Cycles in which a channel of a master was valid and not ready, all channels and masters together."""
    trace = outcome.trace
    return sum(int(np.count_nonzero((trace[f"{port.name}_{channel}valid"] == 1) & (trace[f"{port.name}_{channel}ready"] == 0)))
               for port in hostile.ports for channel in port.channels)


def verify_stalled(graph: Graph, seed: int, hostile: HostileModel) -> tuple[ProgramVerdict, int]:
    """Judge the random program of a seed on the hostile bench; the verdict, and the beats that were stalled."""
    program, drawn = random_program(graph, seed, instructions=_INSTRUCTIONS), random.Random(seed)
    instructions = program.instructions
    predicted = predict(graph, instructions)
    code, address = instruction_set(graph).encode_program(instructions), program.program_address
    buses = [*(_bus(drawn) for _ in range(STEPS - 1)), Stalls()]
    machine = Simulator(graph, external_bytes=-(-program.observed_bytes // 4096) * 4096)
    machine.load_segments(program.image)
    expected = []
    for _ in buses:
        machine.run(instructions)
        expected.append(machine.read(0, program.observed_bytes))
    window = [(0, program.observed_bytes)]
    regions = {port.name: window if port.name != "fetch" else [(address, address + len(code))] for port in hostile.ports}
    try:
        outcome = run_hostile(
            hostile, [*program.image, (address, code)],
            [Step(outputs=[(0, program.observed_bytes)], stalls=stalls, seed=seed + number) for number, stalls in enumerate(buses)],
            program=(address, len(instructions), fingerprint(graph)), registers=RegisterMap(graph).offsets, regions=regions,
            timeout_cycles=200 * predicted.total_cycles + 100_000)
    except BenchError as error:
        return ProgramVerdict(len(instructions), predicted.total_cycles, None, tuple(f"RTL: {line}" for line in failure_lines(error))), 0
    lines = []
    for number, (result, bytes_, stalls) in enumerate(zip(outcome.steps, expected, buses, strict=True)):
        note = f"step {number + 1} of {STEPS}, {stalls}"
        if result.error_code != ErrorCode.NONE:
            lines.append(f"{note}: error {result.error_code}, engine {result.error_engine}; expected none")
        elif result.outputs[0] != bytes_:
            different = int(np.count_nonzero(np.frombuffer(result.outputs[0], np.uint8) != np.frombuffer(bytes_, np.uint8)))
            lines.append(f"{note}: {different} bytes differ from the functional simulator's")
        if result.cycles < predicted.total_cycles or (stalls == Stalls() and result.cycles != predicted.total_cycles):
            lines.append(f"{note}: {result.cycles} cycles, predicted {predicted.total_cycles}")
    report = compare(predicted, outcome.timelines[-1])
    if not report.exact:
        lines += [f"on the quiet bus {report.mismatch_count} events are not in their predicted cycle", *map(str, report.mismatches[:4])]
    verdict = ProgramVerdict(len(instructions), predicted.total_cycles, outcome.steps[-1].cycles, tuple(lines), collect(graph, instructions, predicted))
    return verdict, stalled_beats(hostile, outcome)
