"""Run a program on the RTL or on the functional simulator, and judge it: bytes against ONNX, cycles against the prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acg.counters import counter_faults, predicted_counters
from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.predictor import Timeline, predict
from acg.regmap import RegisterMap
from compiler.host import pack_inputs, unpack_outputs
from compiler.program import Program
from covenant import layers as layering
from covenant.bound import Work, bound
from covenant.hardware import simulator
from covenant.terminal.progress import Progress
from verif.bench import RunSpec, Session, Waves, run
from verif.iss.simulator import Simulator
from verif.timeline import KINDS, TimelineReport, compare

__all__ = ["Execution", "execute_iss", "execute_rtl", "ideal_cycles", "layer_rows", "loaded_iss", "open_session"]


@dataclass
class Execution:
    """What running a program gave.

    Attributes
    ----------
    outputs : list of dict
        Arrays by ONNX output name, one dict a sample.
    predicted : Timeline
    measured_cycles : int or None
        CYCLES register; of several samples the one that differs most from the prediction. None on the ISS.
    timelines : list of TimelineReport
        One a sample; empty on the ISS.
    counter_faults : list of list of str
        For each sample a line for each per-engine counter (RETIRED, BUSY, STALL) that is not as predicted; empty on the ISS.
    starts, retires : numpy.ndarray or None
        Measured cycles of the first sample, one entry an instruction, -1 where an event is missing.
    """

    outputs: list[dict[str, np.ndarray]]
    predicted: Timeline
    measured_cycles: int | None = None
    timelines: list[TimelineReport] = field(default_factory=list)
    counter_faults: list[list[str]] = field(default_factory=list)
    starts: np.ndarray | None = None
    retires: np.ndarray | None = None
    cycles_per_second: int = 0
    build_cached: bool = False

    @property
    def timeline_mismatches(self) -> int | None:
        """Events that differ from the prediction, all samples together; None on the ISS."""
        return sum(report.mismatch_count for report in self.timelines) if self.timelines else None


def _packed(program: Program, sample: dict[str, np.ndarray]) -> list[tuple[int, bytes]]:
    """The sample's bytes in external memory; a model may have inputs that no output depends on, which a program has not."""
    needed = {item.name for item in program.inputs}
    return pack_inputs(program, {name: array for name, array in sample.items() if name in needed})


def loaded_iss(graph: Graph, program: Program) -> Simulator:
    """A functional simulator with the program's constants and code in its memory."""
    machine = Simulator(graph, external_bytes=program.external_bytes)
    machine.load_segments(program.image)
    return machine


def execute_iss(
    graph: Graph, program: Program, samples: Sequence[dict[str, np.ndarray]], *, after: Callable | None = None, machine: Simulator | None = None
) -> Execution:
    """Run all samples on a functional simulator, ``machine`` or a new one, memories kept in between as in hardware."""
    machine = machine or loaded_iss(graph, program)
    outputs = []
    for sample in samples:
        machine.load_segments(_packed(program, sample))
        machine.run(program.instructions, after=after)
        outputs.append(unpack_outputs(program, machine.read))
    return Execution(outputs, predict(graph, program.instructions))


def _per_instruction(predicted: Timeline, events: np.ndarray, kind: int) -> np.ndarray:
    """Measured cycles in program order: the k-th event of an engine belongs to its k-th instruction; -1 where there is none."""
    result = np.full(len(predicted.engine), -1, np.int64)
    for engine in np.unique(predicted.engine):
        places = np.flatnonzero(predicted.engine == engine)
        cycles = events["cycle"][(events["kind"] == kind) & (events["engine"] == engine)][: len(places)]
        result[places[: len(cycles)]] = cycles
    return result


def _unpack(program: Program, regions: list[tuple[int, int]], data: list[bytes]) -> dict[str, np.ndarray]:
    table = dict(zip(regions, data, strict=True))
    return unpack_outputs(program, lambda address, size: table[address, size])


def _setup(graph: Graph, program: Program, predicted: Timeline) -> dict[str, Any]:
    """What a simulator of the graph must know of the program."""
    return {
        "program": (program.program_address, len(program.instructions), fingerprint(graph)), "registers": RegisterMap(graph).offsets,
        "timeout_cycles": 4 * predicted.total_cycles + 100_000,
    }


def open_session(graph: Graph, program: Program) -> Session:
    """A simulation of the RTL that stays, with the program in memory, for `execute_rtl`. Raises BenchError."""
    return Session(simulator(graph), program.image, **_setup(graph, program, predict(graph, program.instructions)))


def execute_rtl(graph: Graph, program: Program, samples: Sequence[dict[str, np.ndarray]], *, progress: Progress | None = None, opt: str = "O2",
                waves: Waves | None = None, session: Session | None = None) -> Execution:
    """Run all samples on the Verilator simulation of the RTL: in ``session``, or in a process of their own, with waveforms where they are asked for.

    Raises BenchError.
    """
    predicted = predict(graph, program.instructions)
    regions = [(item.address, item.size_bytes) for item in program.outputs]
    specs = [RunSpec(inputs=_packed(program, sample), outputs=regions) for sample in samples]
    rate, cached = 0, True
    if session is not None:
        results = [session.run(spec) for spec in specs]
    else:
        model = simulator(graph, opt=opt, waves=waves is not None, note=None if progress is None else progress.note,
                          watcher=None if progress is None else progress.building)
        if progress is not None:
            progress.clear()
            progress.restart()
        outcome = run(model, program.image, specs, **_setup(graph, program, predicted), expected_cycles=predicted.total_cycles * len(samples),
                      progress=progress, waves=waves)
        if progress is not None:
            progress.clear()
        results, rate, cached = outcome.results, round(outcome.cycles_per_second), model.cached
    cycles = [result.cycles for result in results]
    counters = predicted_counters(graph, program.instructions, predicted)
    return Execution(
        [_unpack(program, regions, result.outputs) for result in results], predicted,
        measured_cycles=max(cycles, key=lambda value: abs(value - predicted.total_cycles)),
        timelines=[compare(predicted, result.timeline) for result in results],
        counter_faults=[counter_faults(graph, counters, result.counters) for result in results],
        starts=_per_instruction(predicted, results[0].timeline, KINDS.index("start")),
        retires=_per_instruction(predicted, results[0].timeline, KINDS.index("retire")),
        cycles_per_second=rate, build_cached=cached,
    )


def ideal_cycles(graph: Graph, program: Program) -> int:
    """Roofline bound: MACs at peak, or external bytes at one beat a cycle, of those that come (constants as packed, inputs) and those that go (outputs) the
    larger: `covenant.bound`."""
    read = sum(len(data) for _, data in program.segments) + sum(item.size_bytes for item in program.inputs)
    written = sum(item.size_bytes for item in program.outputs)
    return bound(graph, Work(sum(layer.macs for layer in program.layers), read=read, written=written)).cycles


def layer_rows(graph: Graph, program: Program, execution: Execution) -> list[dict]:
    """The ``layers`` of the report; layers overlap, so their cycles need not add up to the total."""
    layer_of = np.array([layer for layer, _ in program.provenance], np.int64)
    arguments = (graph, program.instructions, layer_of)
    predicted = layering.layer_cycles(*arguments, execution.predicted.start, execution.predicted.retire, len(program.layers))
    measured: list[int | None] = [None] * len(program.layers)
    if execution.starts is not None and execution.retires is not None:
        measured = list(layering.layer_cycles(*arguments, execution.starts, execution.retires, len(program.layers)))
    peak = layering.peak_macs(graph)
    return [
        {"name": layer.name, "op": layer.op, "operator": layer.label, "macs": layer.macs, "predicted": ours, "measured": theirs,
         "utilisation": round(layer.macs / (peak * max(1, ours)), 4)}
        for layer, ours, theirs in zip(program.layers, predicted, measured, strict=True)
    ]
