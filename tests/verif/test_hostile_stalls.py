"""Programs between memories that stall and delay: the same bytes, never earlier than predicted; on a quiet bus exactly as predicted."""

from pathlib import Path

import pytest

from covenant.networks import compile_file
from covenant.samples import draw, model_inputs
from tests.verif import hostile_machine as machine
from verif.bench import RunTimeout
from verif.hostile import BusViolation, Stalls

pytestmark = pytest.mark.rtl
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: Undisturbed, late answers only, many short pauses, few and long ones, nearly always paused, everything at once.
BUSES = [Stalls(), Stalls(extra_latency_cycles=40), Stalls(0.4, 1), Stalls(0.2, 40), Stalls(0.9, 9), Stalls(0.6, 4, 15)]


def _check(workload, buses, seed):
    steps = [workload.step(number, stalls=stalls, seed=seed + number) for number, stalls in enumerate(buses)]
    outcome = workload.run(steps)
    for number, (result, timeline, expected, stalls) in enumerate(
            zip(outcome.steps, outcome.timelines, workload.expected(range(len(steps))), buses, strict=True)):
        note = f"{workload.name}, step {number}, {stalls}, seed {seed + number}"
        workload.check_good(result, expected, note)
        if stalls == Stalls():
            workload.check_exact(result, timeline, note)
        assert len(timeline) == 3 * len(workload.instructions), note
    assert len(outcome.traffic["fetch"].bursts) == len(steps) * len(workload.instructions)
    assert outcome.traffic["store"].written_bytes >= len(steps)
    assert outcome.traffic["load"].beats > 0
    return outcome


@pytest.mark.parametrize("seed", range(4))
def test_networks(seed):
    workload = machine.network(100 + seed, samples=len(BUSES) + 1)
    outcome = _check(workload, [*BUSES, Stalls()], 10 * seed)
    slowest = max(result.cycles for result in outcome.steps)
    assert slowest > 2 * workload.predicted.total_cycles, "the stalls held nothing back"


@pytest.mark.parametrize("seed", range(3))
def test_programs_that_no_compiler_writes(seed):
    _check(machine.programs(200 + seed, samples=4, instructions=15), [Stalls(), BUSES[2 + seed], BUSES[1], Stalls()], 10 * seed)


def test_the_example_network():
    onnx, program = compile_file(str(EXAMPLES / "digits_cnn.onnx"), machine.GRAPH)
    workload = machine.of_program(program, draw(model_inputs(onnx), seed=7, count=2), name="digits_cnn")
    _check(workload, [Stalls(0.8, 6, 30), Stalls()], 7)


def test_a_forbidden_access_is_found_on_the_running_machine():
    workload = machine.network(100, samples=1)
    for port, (first, end) in (("store", workload.regions["store"][-1]), ("fetch", workload.regions["fetch"][0])):
        regions = workload.regions | {port: [(first, end - 1 if port == "store" else end - machine.ISA.instruction_bytes)]}
        with pytest.raises(BusViolation) as caught:
            workload.run([workload.step(0)], regions=regions)
        assert {(item.port, item.rule) for item in caught.value.violations} == {(port, "region")}


def test_a_step_that_does_not_end_is_reported():
    workload = machine.network(100, samples=1)
    with pytest.raises(RunTimeout, match=r"^step 0 of 1: found no interrupt after 50 cycles \(.*\); broken rules: .*complete: .*; "
                                         r"expected the machine to finish; raise timeout_cycles, or look for what it waits for$"):
        workload.run([workload.step(0)], timeout_cycles=50)


def test_regions_are_asked_for_every_master():
    workload = machine.network(100, samples=1)
    with pytest.raises(ValueError, match=r"^run_hostile: regions of fetch, load; expected of fetch, load, store$"):
        workload.run([workload.step(0)], regions={name: workload.regions[name] for name in ("load", "fetch")})
