"""The hostile bench on a mutant: stalls on every channel, an error response on every port, soft resets in the middle of runs."""

import random
from collections.abc import Sequence

from acg.fingerprint import fingerprint
from acg.graph import Graph
from acg.predictor import predict
from acg.regmap import ErrorCode, RegisterMap
from covenant.mutants.stimulus import Workload
from verif.bench.job import STATUS_BUSY, STATUS_DONE, STATUS_ERROR
from verif.hostile import Fault, HostileModel, HostileOutcome, Stalls, Step, StepResult, run_hostile
from verif.timeline import compare

__all__ = ["judge_hostile"]

_QUIET = Stalls()
#: Many short pauses; few and long ones; everything at once.
_BUSES = (Stalls(0.4, 1), Stalls(0.2, 40), Stalls(0.6, 4, 15))
_SEED = 5
#: Cycles from an error response until no master offers an address any more.
_STOP_CYCLES = 6


def _run(hostile: HostileModel, graph: Graph, work: Workload, steps: Sequence[Step]) -> HostileOutcome:
    ports = {port.name: [*(work.writes if port.writes else work.reads)] for port in hostile.ports}
    size = sum(len(data) for address, data in work.image if address == work.address)
    ports["fetch"] = [(work.address, work.address + size)]
    return run_hostile(hostile, work.image, steps, program=(work.address, len(work.instructions), fingerprint(graph)),
                       registers=RegisterMap(graph).offsets, regions=ports, timeout_cycles=40 * work.cycles + 20_000)


def _good(work: Workload, graph: Graph, outcome: HostileOutcome, number: int, stalls: Stalls, *, after_reset: bool) -> str | None:
    """What is wrong with a run that should have ended well. On-chip memories keep what an interrupted run left, so then only a workload
    that repeats is compared by its bytes."""
    result, where = outcome.steps[number], f"{work.name}, step {number + 1} under {stalls}"
    if result.error_code or result.status & (STATUS_ERROR | STATUS_BUSY | STATUS_DONE) != STATUS_DONE or not result.interrupt:
        return f"{where}: error {result.error_code}, STATUS {result.status:#x}, interrupt {result.interrupt}"
    expected = work.expected[0] if work.repeats else work.expected[min(number, len(work.expected) - 1)]
    if (work.repeats or (not after_reset and number < len(work.expected))) and result.outputs != expected:
        return f"{where}: bytes differ"
    predicted = predict(graph, work.instructions)
    if result.cycles < predicted.total_cycles:
        return f"{where}: {result.cycles} cycles, fewer than the predicted {predicted.total_cycles}"
    if stalls == _QUIET:
        report = compare(predicted, outcome.timelines[number])
        if not report.exact or result.cycles != predicted.total_cycles:
            return f"{where}: cycles, {report.mismatches[0] if report.mismatches else result.cycles}"
    elif len(outcome.timelines[number]) != 3 * len(work.instructions):
        return f"{where}: {len(outcome.timelines[number])} events, expected {3 * len(work.instructions)}"
    return None


def _stalled(hostile: HostileModel, graph: Graph, work: Workload, buses: Sequence[Stalls]) -> str | None:
    steps = [Step(outputs=work.outputs, stalls=stalls, seed=_SEED + number) for number, stalls in enumerate(buses)]
    outcome = _run(hostile, graph, work, steps)
    found = [_good(work, graph, outcome, number, stalls, after_reset=False) for number, stalls in enumerate(buses)]
    return next((text for text in found if text), None)


def _faults(work: Workload, graph: Graph, quiet: HostileOutcome) -> list[tuple[Fault, int, int]]:
    """(fault, engine number, address that must be reported): a beat in the middle of a burst of each master."""
    rng, bus, places = random.Random(_SEED), graph.external.bus_bytes, []
    for port, traffic in quiet.traffic.items():
        _, address, beats = rng.choice(sorted(traffic.bursts, key=lambda burst: burst[2])[len(traffic.bursts) // 2:])
        first = address + bus * (beats // 2)
        engine = 0 if port == "fetch" else 1 + graph.engines[port].index
        reported = first
        if port == "fetch":
            first = address
            reported = (address - work.address) // (beats * bus)
        elif port in graph.engines and not graph.link_of(port, next(p.name for p in graph.engines[port].specification.ports if "external" in p.memories)).reads:
            reported = next(start for _, start, count in traffic.bursts if start <= first < start + bus * count)
        places.append((Fault(port, first, first + bus, rng.choice(("SLVERR", "DECERR"))), engine, reported))
    return places


def _late_address(outcome: HostileOutcome, step: StepResult, port: str) -> str | None:
    """An address that any master hands over when all must have stopped, after the first error response to ``port``."""
    if port == "fetch":  # a fetched instruction is judged when its turn comes
        return None
    channel, response = ("r", "rresp") if f"{port}_rresp" in (outcome.trace.dtype.names or ()) else ("b", "bresp")
    trace = outcome.trace[outcome.trace["cycle"] >= step.first_cycle]
    first = int(trace["cycle"][(trace[f"{port}_{channel}valid"] != 0) & (trace[f"{port}_{response}"] != 0)][0])
    for name, traffic in outcome.traffic.items():
        for cycle, address, _ in traffic.bursts:
            if first + _STOP_CYCLES < cycle < step.end_cycle:
                return f"{name} asks for {address:#x} {cycle - first} cycles after the error"
    return None


def _failing(hostile: HostileModel, graph: Graph, work: Workload) -> str | None:
    quiet = _run(hostile, graph, work, [Step(outputs=work.outputs)])
    places = _faults(work, graph, quiet)
    steps = []
    for fault, _, _ in places:
        steps += [Step(outputs=work.outputs, faults=[fault]), Step(outputs=work.outputs)]
    outcome = _run(hostile, graph, work, steps)
    for number, (fault, engine, reported) in enumerate(places):
        bad = outcome.steps[2 * number]
        found = (bad.error_code, bad.error_engine, bad.error_address)
        if found != (ErrorCode.BUS, engine, reported) or bad.status & (STATUS_ERROR | STATUS_BUSY | STATUS_DONE) != STATUS_ERROR or not bad.interrupt:
            return f"{work.name}, {fault}: found (code, engine, address) {found}, expected {(int(ErrorCode.BUS), engine, reported)}"
        late = _late_address(outcome, bad, fault.port)
        if late is not None:
            return f"{work.name}, {fault}: {late}"
        if bad.after_reset is None or any(bad.after_reset[name] for name in ("error_code", "error_engine", "error_address", "cycles")):
            return f"{work.name}, {fault}: registers after the soft reset are {bad.after_reset}"
        text = _good(work, graph, outcome, 2 * number + 1, _QUIET, after_reset=True)
        if text:
            return text
    return None


def _interrupted(hostile: HostileModel, graph: Graph, work: Workload) -> str | None:
    rng = random.Random(_SEED)
    interruptions = [(rng.randrange(work.cycles), _QUIET) for _ in range(3)] + [(rng.randrange(2 * work.cycles), _BUSES[2]) for _ in range(3)]
    steps = []
    for number, (cycles, stalls) in enumerate(interruptions):
        steps += [Step(outputs=work.outputs, stalls=stalls, seed=_SEED + number, reset_after_cycles=cycles), Step(outputs=work.outputs)]
    outcome = _run(hostile, graph, work, steps)
    for number, (cycles, stalls) in enumerate(interruptions):
        cut = outcome.steps[2 * number]
        if cut.after_reset is None or any(cut.after_reset[name] for name in ("error_code", "error_engine", "error_address", "cycles")) or cut.interrupt:
            return f"{work.name}, soft reset after {cycles} cycles under {stalls}: registers are {cut.after_reset}, interrupt {cut.interrupt}"
        text = _good(work, graph, outcome, 2 * number + 1, _QUIET, after_reset=True)
        if text:
            return f"after a soft reset in cycle {cycles}: {text}"
    return None


def judge_hostile(hostile: HostileModel, graph: Graph, workloads: Sequence[Workload]) -> str | None:
    """What stalls, error responses and soft resets bring to light, or None."""
    network, program = workloads[0], workloads[1]
    return (_stalled(hostile, graph, network, [*_BUSES, _QUIET]) or _stalled(hostile, graph, program, [_BUSES[2], _BUSES[0]])
            or _failing(hostile, graph, network) or _interrupted(hostile, graph, network))
