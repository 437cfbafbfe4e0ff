"""Error responses: the machine stops, says where, interrupts; a soft reset brings it back to exact runs."""

import random

import pytest

from acg.regmap import ErrorCode
from tests.verif import hostile_machine as machine
from verif.bench.job import STATUS_ERROR, STATUS_IDLE
from verif.hostile import Fault, Stalls

pytestmark = pytest.mark.rtl
BUSES = {"quiet": Stalls(), "stalled": Stalls(0.6, 4, 15)}


@pytest.fixture(scope="module")
def workload():
    return machine.network(0, samples=3)


@pytest.fixture(scope="module")
def quiet(workload):
    """An undisturbed run, whose bursts say where faults can be placed."""
    return workload.run([workload.step(0)])


def _places(quiet, workload, rng):
    """(fault, address that the machine must report): two beats of each master and the first byte written."""
    bus, places = machine.GRAPH.external.bus_bits // 8, []
    for port in ("fetch", "load", "store"):
        bursts = quiet.traffic[port].bursts
        for response, (_, address, beats) in zip(("SLVERR", "DECERR"), rng.choices(bursts, k=2), strict=True):
            first = address + bus * rng.randrange(beats)
            fault = Fault(port, first, first + bus, response)
            if port == "fetch":
                reported = (address - workload.address) // machine.ISA.instruction_bytes
            elif port == "load":
                reported = first
            else:
                reported = next(start for _, start, count in bursts if start <= first < start + bus * count)
            places.append((fault, reported))
    return places


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("seed", range(2))
def test_an_error_response_stops_the_machine_and_a_soft_reset_restores_it(workload, quiet, bus, seed):
    places = _places(quiet, workload, random.Random(seed))
    steps = []
    for fault, _ in places:
        steps += [workload.step(1, faults=[fault], stalls=BUSES[bus], seed=seed), workload.step(2)]
    outcome = workload.run(steps)
    (good,) = workload.expected([2])
    for number, (fault, reported) in enumerate(places):
        note = f"bus {bus}, seed {seed}, {fault}"
        bad, after = outcome.steps[2 * number], outcome.steps[2 * number + 1]
        assert bad.status & (STATUS_ERROR | 3) == STATUS_ERROR, f"{note}: status {bad.status}, expected error, not busy, not done"
        assert bad.interrupt == 1, note
        found = (ErrorCode(bad.error_code).name, bad.error_engine, bad.error_address)
        assert found == ("BUS", machine.ENGINE[fault.port], reported), note
        assert bad.after_reset == {"status": STATUS_IDLE, "error_code": 0, "error_engine": 0, "error_address": 0, "cycles": 0}, note
        workload.check_good(after, good, note)
        workload.check_exact(after, outcome.timelines[2 * number + 1], note)


def test_a_fault_where_nothing_is_accessed_changes_nothing(workload):
    """The other side of the tests above: errors come from the faults, not from the bench."""
    end = machine.GRAPH.external.size_bytes
    faults = [Fault(port, end - 64, end, "DECERR") for port in machine.ENGINE]
    outcome = workload.run([workload.step(0, faults=faults)])
    workload.check_good(outcome.steps[0], workload.expected([0])[0], "fault elsewhere")
    workload.check_exact(outcome.steps[0], outcome.timelines[0], "fault elsewhere")


def test_no_address_follows_an_error(workload, quiet):
    """Within a few cycles of the first bad beat no master asks for anything more."""
    _, address, _ = quiet.traffic["load"].bursts[0]
    fault = Fault("load", address, address + 8)
    outcome = workload.run([workload.step(0, faults=[fault])])
    trace = outcome.trace
    bad = trace["cycle"][(trace["load_rvalid"] & trace["load_rready"] & (trace["load_rresp"] != 0)) != 0]
    last = max(cycle for traffic in outcome.traffic.values() for cycle, _, _ in traffic.bursts)
    assert len(bad) == 1 and last <= bad[0] + 4
