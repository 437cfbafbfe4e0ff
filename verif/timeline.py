"""Compares the predicted cycles of every instruction with the events that the RTL's monitor logged: equality, not a percentage.

Engines run their own queue in order, so the k-th event of one kind on one engine belongs to the k-th instruction of that engine.
A measured event without an instruction, and an instruction without its event, are mismatches like a wrong cycle.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["KINDS", "Mismatch", "PredictedTimeline", "TimelineReport", "compare"]

#: Kinds of events; the index is the monitor's `kind` field.
KINDS = ("dispatch", "start", "retire")


class PredictedTimeline(Protocol):
    """What is compared (``acg.predictor.Timeline``): engine index and cycles, one entry an instruction in program order."""

    @property
    def engine(self) -> np.ndarray: ...

    @property
    def dispatch(self) -> np.ndarray: ...

    @property
    def start(self) -> np.ndarray: ...

    @property
    def retire(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Mismatch:
    """One event that is not as predicted.

    Attributes
    ----------
    instruction : int or None
        Number in program order; None for a measured event that no instruction accounts for.
    engine : int
        Engine index.
    kind : str
        dispatch, start or retire.
    predicted, measured : int or None
        Cycles; None where there is no such event.
    """

    instruction: int | None
    engine: int
    kind: str
    predicted: int | None
    measured: int | None

    @property
    def cycle(self) -> int:
        """The earlier of the two cycles."""
        return min(cycle for cycle in (self.predicted, self.measured) if cycle is not None)

    def __str__(self) -> str:
        subject = f"instruction {self.instruction}" if self.instruction is not None else "an event of no instruction"
        found = f"in cycle {self.measured}" if self.measured is not None else "never"
        expected = f"cycle {self.predicted}" if self.predicted is not None else "no event"
        return f"{subject}: {self.kind} on engine {self.engine} found {found}, expected {expected}"


@dataclass(frozen=True)
class TimelineReport:
    """Outcome of a comparison.

    Attributes
    ----------
    instructions : int
        Instructions of the program.
    predicted_events, measured_events : int
        Events expected (three an instruction) and logged.
    mismatches : tuple of Mismatch
        In order of their cycles, the first `limit` of them.
    mismatch_count : int
        All mismatches, also those beyond `limit`.
    mismatched_instructions : int
        Instructions with at least one mismatch.
    """

    instructions: int
    predicted_events: int
    measured_events: int
    mismatches: tuple[Mismatch, ...]
    mismatch_count: int
    mismatched_instructions: int

    @property
    def exact(self) -> bool:
        """True if every event came in its predicted cycle, and there were instructions to compare."""
        return self.mismatch_count == 0 and self.instructions > 0 and self.measured_events == self.predicted_events


def _compare_stream(instructions: np.ndarray, predicted: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows (instruction or -1, predicted or -1, measured or -1) of the entries of one engine and kind that differ."""
    length = max(predicted.size, measured.size)

    def pad(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.full(length - values.size, -1, np.int64)])

    numbers, left, right = pad(instructions), pad(predicted), pad(measured)
    wrong = np.flatnonzero((left != right) | (numbers < 0))
    return numbers[wrong], left[wrong], right[wrong]


def compare(predicted: PredictedTimeline, events: np.ndarray, *, limit: int = 1000) -> TimelineReport:
    """Compare one run.

    Parameters
    ----------
    predicted : PredictedTimeline
        Non-negative cycles, int64.
    events : numpy.ndarray
        Fields cycle, kind (0 dispatch, 1 start, 2 retire) and engine, in the order logged (``verif.bench.records.EVENT``).
    limit : int
        Most mismatches to list.

    Raises
    ------
    ValueError
        If the predicted arrays differ in length, or an event is of an unknown kind.
    """
    engine = np.asarray(predicted.engine, np.int64)
    cycles = [np.asarray(getattr(predicted, kind), np.int64) for kind in KINDS]
    sizes = {engine.size, *(values.size for values in cycles)}
    if len(sizes) != 1:
        raise ValueError(f"timeline: found predicted arrays of {sorted(sizes)} entries, expected one entry an instruction in each")
    kinds = np.asarray(events["kind"])
    if kinds.size and kinds.max() >= len(KINDS):
        raise ValueError(f"timeline: found event kind {kinds.max()}, expected 0 to {len(KINDS) - 1}")
    logged_engine, logged_cycle = np.asarray(events["engine"]), np.asarray(events["cycle"], np.int64)
    rows: list[tuple[int, int, int, int, int]] = []
    for index in np.union1d(engine, logged_engine).tolist():
        numbers = np.flatnonzero(engine == index)
        for kind, values in enumerate(cycles):
            measured = logged_cycle[(logged_engine == index) & (kinds == kind)]
            columns = [column.tolist() for column in _compare_stream(numbers, values[numbers], measured)]
            rows += [(number, index, kind, left, right) for number, left, right in zip(*columns, strict=True)]
    rows.sort(key=lambda row: (min(cycle for cycle in row[3:] if cycle >= 0), row[2], row[1], row[0]))

    def known(value: int) -> int | None:
        return value if value >= 0 else None

    listed = tuple(Mismatch(known(number), index, KINDS[kind], known(left), known(right))
                   for number, index, kind, left, right in rows[:limit])
    return TimelineReport(
        instructions=engine.size,
        predicted_events=engine.size * len(KINDS),
        measured_events=int(kinds.size),
        mismatches=listed,
        mismatch_count=len(rows),
        mismatched_instructions=len({row[0] for row in rows if row[0] >= 0}),
    )
