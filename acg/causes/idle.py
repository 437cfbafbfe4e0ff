"""Every cycle of every engine: busy, or idle and because of what.

An engine is busy while an instruction of its is under way, from start to retire. What lies before the next start is idle, for the reason that decided that
start; behind the last retire it is the end of the program. Of the busy cycles as many are work as the instructions have steps (iterations of their
loop nests; of a copy chunks of its rows); the rest fills and drains the pipe, brings weights for short passes, or waits for a burst's first beat.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acg.causes.binding import Binding, of_engine
from acg.causes.conflicts import Cause
from acg.causes.events import Spans
from acg.graph import Engine, Graph
from acg.isa import Instruction
from acg.kinds.spec import Counts
from acg.predictor import Timeline

__all__ = ["EngineCycles", "engine_cycles", "steps_of"]


@dataclass(frozen=True)
class EngineCycles:
    """Cycles of one engine.

    Attributes
    ----------
    working : int
        Busy cycles that a step of an instruction takes.
    filling : int
        Busy cycles beyond: fill and drain of the pipe.
    idle : Mapping[Cause, int]
        All others. Everything together is the program's total.
    """

    working: int
    filling: int
    idle: Mapping[Cause, int]

    @property
    def busy(self) -> int:
        """Cycles in which an instruction is under way."""
        return self.working + self.filling


def steps_of(graph: Graph, engine: Engine, fields: Mapping[str, int]) -> int:
    """Steps of an instruction, one a cycle at best: iterations of its loop nest, or what its kind says; of a copy the chunks of its rows."""
    if engine.specification.steps is not None:
        return engine.specification.steps(fields)
    steps = 1
    row = next((stream.row for stream in engine.specification.streams if stream.row >= 0), -1)
    counts = next((item.widths for item in engine.specification.body if isinstance(item, Counts)), ())
    for level in range(len(counts)):
        count = fields.get(f"n_{level}", 1)
        steps *= -(-count // graph.chunk_bytes(engine.name)) if level == row else count
    return steps


def engine_cycles(
    graph: Graph, instructions: Sequence[Instruction], timeline: Timeline, spans: Spans, bound: Sequence[Binding]
) -> dict[str, EngineCycles]:
    """What each engine does with the cycles of the program."""
    result = {}
    for name, engine in graph.engines.items():
        mine = of_engine(spans, engine.index)
        idle: Counter[Cause] = Counter()
        steps = busy = at = 0
        for number in mine.tolist():
            start, end = int(spans.start[number]), int(spans.retire[number]) + 1
            if start > at:
                idle[bound[number].cause or Cause.DISPATCH] += start - at
            steps += steps_of(graph, engine, instructions[number].fields)
            busy += max(0, end - max(start, at))
            at = max(at, end)
        if at < timeline.total_cycles:
            idle[Cause.END] += timeline.total_cycles - at
        working = min(steps, busy)
        result[name] = EngineCycles(working, busy - working, dict(idle))
    return result
