"""The critical path of a program: segments, each the work of an instruction or a wait that no instruction explains, that add up to the total.

It is found from the end: the instruction that retires last, and before its start what decided it: the instruction before it on its engine, the one
whose retire it awaited, or its dispatch, and so on to cycle 0. An instruction that lasts longer than it would by itself has waited within its engine for
the one before, so that the path goes through that one's retire.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acg.causes.binding import Binding
from acg.causes.conflicts import Cause
from acg.causes.events import Spans
from acg.graph import Graph
from acg.predictor import Timeline

__all__ = ["Segment", "critical_path"]


@dataclass(frozen=True)
class Segment:
    """Cycles [``first``, ``end``) of the path: what ``instruction`` (-1: none) does, entered from its successor for ``cause`` (None: its engine was busy)."""

    first: int
    end: int
    instruction: int
    cause: Cause | None

    @property
    def cycles(self) -> int:
        """Length."""
        return self.end - self.first


def critical_path(graph: Graph, timeline: Timeline, spans: Spans, bound: Sequence[Binding]) -> list[Segment]:
    """Segments of the critical path in the order of time; they follow one another without gaps from cycle 0 to the program's total."""
    total = timeline.total_cycles
    if not len(spans.start):
        return [Segment(0, total, -1, Cause.END)] if total else []
    depth = graph.control.queue_depth
    order = {index: np.flatnonzero(spans.engine == index) for index in range(len(graph.engines))}
    place = np.zeros(len(spans.start), np.int64)
    for numbers in order.values():
        place[numbers] = np.arange(len(numbers))
    current = int(np.argmax(spans.retire))
    end = int(spans.retire[current]) + 1
    path = [Segment(end, total, -1, Cause.END)] if end < total else []
    cause: Cause | None = None
    while end > 0:
        start, retire, previous = int(spans.start[current]), int(spans.retire[current]), int(spans.before[current])
        delayed = end == retire + 1 and retire - start > spans.alone[current]
        if delayed and previous >= 0 and spans.retire[previous] < retire:
            first = max(start, int(spans.retire[previous]) + 1)
            path.append(Segment(first, end, current, cause))
            if first > start:
                current, end, cause = previous, first, None
                continue
            end = first
        elif start < end:
            path.append(Segment(start, end, current, cause))
            end = start
        if end == 0:
            break
        binding = bound[current]
        if binding.cause is None and previous >= 0:
            current, cause = previous, None
        elif binding.awaited >= 0:
            current, cause = binding.awaited, binding.cause
        else:
            end, current = _dispatched(timeline, spans, order, place, depth, current, path, end)
            cause = Cause.DISPATCH
    return path[::-1]


def _dispatched(
    timeline: Timeline, spans: Spans, order: dict[int, np.ndarray], place: np.ndarray, depth: int, current: int, path: list[Segment], end: int
) -> tuple[int, int]:
    """Follow the dispatch of ``current`` back: to the start that freed a place in a full queue, or to the beginning."""
    number = current
    while number >= 0:
        dispatch = int(timeline.dispatch[number])
        before = int(place[number]) - depth
        holder = int(order[int(spans.engine[number])][before]) if before >= 0 else -1
        if holder >= 0 and int(spans.start[holder]) + 1 == dispatch:  # the queue was full until then
            path.append(Segment(dispatch, end, -1, Cause.DISPATCH))
            return dispatch, holder
        first = int(timeline.dispatch[number - 1]) + 1 if number else 0
        if first < end:
            path.append(Segment(first, end, -1, Cause.DISPATCH))
            end = first
        number -= 1
    return 0, current
