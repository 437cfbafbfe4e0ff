"""A campaign: inputs handed to workers in the order of their numbers, failures made smaller, all of it counted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from covenant.fuzz.case import Case, draw
from covenant.fuzz.families import Family
from covenant.fuzz.verdict import CPU_SECONDS, WALL_SECONDS, Outcome, Verdict
from covenant.fuzz.worker import Worker
from covenant.verify.shrink import shrink

__all__ = ["Failure", "Tally", "cases", "run_campaign"]

#: Seconds between two looks at workers that do not answer, and most tries to make a failure smaller.
_LOOK_SECONDS, SHRINK_TRIES = 0.25, 8


@dataclass
class Failure:
    """The first input of a cause, made as small as it gets, and how many others there were."""

    verdict: Verdict
    seen: int = 1


@dataclass
class Tally:
    """Counts by family and outcome, and failures by cause."""

    counts: dict[str, dict[Outcome, int]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> bool:
        """Count a verdict; returns whether it is the first failure of its cause."""
        row = self.counts.setdefault(verdict.case.family, dict.fromkeys(Outcome, 0))
        row[verdict.outcome] += 1
        if verdict.outcome.sound:
            return False
        known = self.failures.get(verdict.signature)
        if known is not None:
            known.seen += 1
            return False
        self.failures[verdict.signature] = Failure(verdict)
        return True

    @property
    def tried(self) -> int:
        """Inputs in all."""
        return sum(sum(row.values()) for row in self.counts.values())

    def of(self, outcome: Outcome) -> int:
        """Inputs of one outcome."""
        return sum(row[outcome] for row in self.counts.values())


def cases(families: dict[str, Family], seed: int) -> Iterator[Case]:
    """All inputs of a seed, without end: number k is of a family drawn by its share, whatever was tried before."""
    names = list(families)
    shares = [families[name].share for name in names]
    number = 0
    while True:
        yield Case(random.Random(f"{seed}:{number}").choices(names, shares)[0], seed, number)
        number += 1


def _alone(worker: Worker, case: Case) -> Verdict:
    """Try one input on an idle worker."""
    worker.give(case)
    while (verdict := worker.look()) is None:
        wait([worker.pipe], _LOOK_SECONDS)
    return verdict


def _smaller(worker: Worker, verdict: Verdict) -> Verdict:
    """The same failure with fewer edits, where there are several."""
    found = {verdict.case: verdict}
    count = draw(verdict.case).count

    def fails(kept: list[int]) -> bool:
        attempt = _alone(worker, verdict.case.keeping(tuple(kept)))
        if attempt.signature == verdict.signature:
            found[attempt.case] = attempt
        return attempt.case in found

    kept = shrink(range(count), fails, tries=SHRINK_TRIES) if count > 1 else range(count)
    return found.get(verdict.case.keeping(tuple(kept)), verdict)


def run_campaign(families: dict[str, Family], *, seed: int, count: int | None, minutes: float | None, jobs: int = 1,
                 chosen: Sequence[Case] = (), progress: Callable[[Tally], None] = lambda tally: None,
                 cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS) -> Tally:
    """Try the first ``count`` inputs of a seed, or as many as ``minutes`` allow, or those that are ``chosen``; returns the counts."""
    for family in families.values():
        family.prepare()
    begin = time.monotonic()
    inputs = iter(chosen) if chosen else cases(families, seed)
    left = len(chosen) if chosen else count
    tally = Tally()
    workers = [Worker(families, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds) for _ in range(jobs)]
    try:
        while True:
            over = left == 0 or (minutes is not None and time.monotonic() - begin > 60 * minutes)
            for worker in workers:
                if worker.case is None and not over and left != 0:
                    case = next(inputs)
                    left = None if left is None else left - 1
                    worker.give(case)
            busy = [worker for worker in workers if worker.case is not None]
            if not busy:
                break
            wait([worker.pipe for worker in busy], _LOOK_SECONDS)
            for worker in busy:
                verdict = worker.look()
                if verdict is not None and tally.add(verdict) and verdict.outcome is not Outcome.SLOW:
                    tally.failures[verdict.signature].verdict = _smaller(worker, verdict)
            tally.seconds = time.monotonic() - begin
            progress(tally)
    finally:
        for worker in workers:
            worker.close()
    return tally
