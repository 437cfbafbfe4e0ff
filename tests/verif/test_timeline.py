"""The timeline comparison must accept equality and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest

from verif.bench.records import DISPATCH, EVENT, RETIRE, START, split_runs
from verif.timeline import Mismatch, compare

# Engines, dispatch, start, retire of five instructions on two engines.
PREDICTED = SimpleNamespace(
    engine=np.array([0, 1, 0, 0, 1]),
    dispatch=np.array([3, 4, 5, 6, 9]),
    start=np.array([4, 21, 12, 15, 40]),
    retire=np.array([20, 39, 22, 30, 55]),
)


def events_of(predicted, order_by_cycle=True):
    rows = []
    for kind, values in ((DISPATCH, predicted.dispatch), (START, predicted.start), (RETIRE, predicted.retire)):
        rows += [(cycle, kind, engine) for cycle, engine in zip(values, predicted.engine, strict=True)]
    return np.array(sorted(rows) if order_by_cycle else rows, EVENT)


def row_of(events, cycle, kind, engine):
    return int(np.flatnonzero((events["cycle"] == cycle) & (events["kind"] == kind) & (events["engine"] == engine))[0])


def test_equal_timelines_are_exact():
    report = compare(PREDICTED, events_of(PREDICTED))
    assert report.exact
    assert (report.instructions, report.predicted_events, report.measured_events, report.mismatch_count) == (5, 15, 15, 0)


def test_wrong_cycle_is_a_mismatch():
    events = events_of(PREDICTED)
    events["cycle"][row_of(events, 22, RETIRE, 0)] = 23
    report = compare(PREDICTED, events)
    assert not report.exact
    assert report.mismatches == (Mismatch(2, 0, "retire", 22, 23),)
    assert report.mismatched_instructions == 1
    assert str(report.mismatches[0]) == "instruction 2: retire on engine 0 found in cycle 23, expected cycle 22"


def test_missing_event_is_a_mismatch():
    events = events_of(PREDICTED)
    report = compare(PREDICTED, np.delete(events, row_of(events, 55, RETIRE, 1)))
    assert not report.exact
    assert report.mismatches == (Mismatch(4, 1, "retire", 55, None),)
    assert str(report.mismatches[0]) == "instruction 4: retire on engine 1 found never, expected cycle 55"


def test_missing_event_in_the_middle_shifts_the_rest():
    events = events_of(PREDICTED)
    report = compare(PREDICTED, np.delete(events, row_of(events, 12, START, 0)))
    assert report.mismatches == (Mismatch(2, 0, "start", 12, 15), Mismatch(3, 0, "start", 15, None))


def test_extra_event_is_a_mismatch():
    events = np.append(events_of(PREDICTED), np.array([(60, START, 1)], EVENT))
    report = compare(PREDICTED, events)
    assert not report.exact
    assert report.mismatches == (Mismatch(None, 1, "start", None, 60),)
    assert str(report.mismatches[0]) == "an event of no instruction: start on engine 1 found in cycle 60, expected no event"


def test_event_on_an_engine_without_instructions_is_a_mismatch():
    report = compare(PREDICTED, np.append(events_of(PREDICTED), np.array([(2, DISPATCH, 3)], EVENT)))
    assert report.mismatches == (Mismatch(None, 3, "dispatch", None, 2),)


def test_event_on_the_wrong_engine_is_two_mismatches():
    events = events_of(PREDICTED)
    events["engine"][row_of(events, 40, START, 1)] = 0
    report = compare(PREDICTED, events)
    assert report.mismatches == (Mismatch(None, 0, "start", None, 40), Mismatch(4, 1, "start", 40, None))


def test_silence_is_not_exact():
    report = compare(PREDICTED, np.empty(0, EVENT))
    assert not report.exact
    assert report.mismatch_count == 15
    empty = SimpleNamespace(**{name: np.empty(0, np.int64) for name in ("engine", "dispatch", "start", "retire")})
    assert not compare(empty, np.empty(0, EVENT)).exact


def test_list_is_limited_and_the_count_is_not():
    report = compare(PREDICTED, np.empty(0, EVENT), limit=2)
    assert report.mismatch_count == 15
    assert report.mismatches == (Mismatch(0, 0, "dispatch", 3, None), Mismatch(1, 1, "dispatch", 4, None))


def test_unequal_arrays_and_unknown_kinds_are_refused():
    short = SimpleNamespace(**{**vars(PREDICTED), "retire": PREDICTED.retire[:4]})
    message = r"^timeline: found predicted arrays of \[4, 5\] entries, expected one entry an instruction in each$"
    with pytest.raises(ValueError, match=message):
        compare(short, events_of(PREDICTED))
    with pytest.raises(ValueError, match=r"^timeline: found event kind 7, expected 0 to 2$"):
        compare(PREDICTED, np.array([(0, 7, 0)], EVENT))


def words(*records):
    return np.array([kind << 56 | engine << 48 | cycle for cycle, kind, engine in records], "<u8").tobytes()


def test_records_split_into_runs():
    runs = split_runs(words((0, 3, 0), (2, 0, 1), (3, 1, 1), (0, 3, 0), (1 << 40, 2, 200), (0, 3, 0)))
    assert [run.tolist() for run in runs] == [[(2, 0, 1), (3, 1, 1)], [(1 << 40, 2, 200)], []]
    assert split_runs(b"") == []


@pytest.mark.parametrize(("content", "message"), [
    (b"1234567", r"timeline: found 7 bytes, expected whole records of 8; the simulator was stopped while it wrote"),
    (words((0, 3, 0), (0, 9, 0)), r"timeline: found event kind 9, expected 0 to 3; the file is not a monitor's"),
    (words((5, 1, 0), (0, 3, 0)), r"timeline: found 1 events before a run began, expected none"),
    (words((5, 1, 0)), r"timeline: found 1 events before a run began, expected none"),
])
def test_damaged_records_are_refused(content, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        split_runs(content)
