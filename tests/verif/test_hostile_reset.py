"""Soft reset in the middle of a run, at any cycle, on a quiet and on a stalled bus: the next run is exact in bytes and cycles."""

import random

import pytest

from tests.verif import hostile_machine as machine
from verif.bench.job import STATUS_IDLE
from verif.hostile import Stalls

pytestmark = pytest.mark.rtl
CLEARED = {"status": STATUS_IDLE, "error_code": 0, "error_engine": 0, "error_address": 0, "cycles": 0}


def _check(workload, seed, interruptions):
    """Interrupted run, good run, and so on; `interruptions` are (cycles, stalls)."""
    steps = []
    for number, (cycles, stalls) in enumerate(interruptions):
        steps += [workload.step(0, reset_after_cycles=cycles, stalls=stalls, seed=seed + number), workload.step(1)]
    outcome = workload.run(steps)
    assert len(outcome.timelines) == len(steps), "each run began"
    for number, (cycles, stalls) in enumerate(interruptions):
        note = f"{workload.name}, seed {seed}, soft reset after {cycles} cycles under {stalls}"
        interrupted, good = outcome.steps[2 * number], outcome.steps[2 * number + 1]
        assert interrupted.after_reset == CLEARED and interrupted.interrupt == 0, note
        yield good, outcome.timelines[2 * number + 1], note


@pytest.mark.parametrize("seed", range(4))
def test_a_network_after_a_soft_reset(seed):
    rng = random.Random(seed)
    workload = machine.network(300 + seed, samples=2)
    total = workload.predicted.total_cycles
    interruptions = [(rng.randrange(total), Stalls()) for _ in range(4)] + [(total - rng.randrange(6), Stalls())]
    interruptions += [(rng.randrange(3 * total), Stalls(*bus)) for bus in ((0.6, 4, 15), (0.75, 3), (0.3, 30), (0.0, 1, 60))]
    (expected,) = workload.expected([1])
    for good, timeline, note in _check(workload, seed, interruptions):
        workload.check_good(good, expected, note)
        workload.check_exact(good, timeline, note)


@pytest.mark.parametrize("seed", range(2))
def test_a_program_that_no_compiler_writes_after_a_soft_reset(seed):
    """On-chip memories keep what the interrupted run left in them, so only the time is compared."""
    rng = random.Random(seed)
    workload = machine.programs(400 + seed, samples=2, instructions=8)
    total = workload.predicted.total_cycles
    for good, timeline, note in _check(workload, seed, [(rng.randrange(total), Stalls()), (rng.randrange(total), Stalls(0.5, 4, 20))]):
        workload.check_exact(good, timeline, note)


def test_reset_when_nothing_runs():
    """A soft reset of an idle machine, and one long after the end of a run."""
    workload = machine.network(300, samples=2)
    outcome = workload.run([workload.step(0, reset_after_cycles=2 * workload.predicted.total_cycles), workload.step(1)])
    assert outcome.steps[0].after_reset == CLEARED
    workload.check_good(outcome.steps[1], workload.expected([1])[0], "after the end")
    workload.check_exact(outcome.steps[1], outcome.timelines[1], "after the end")
