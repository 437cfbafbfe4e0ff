"""What a layer costs on an engine, in cycles of the predictor's own timing."""

from __future__ import annotations

from functools import lru_cache

from acg.graph import Graph
from acg.timing import engine_timing


class Occupancy:
    """For how long an instruction keeps an engine, by its counts alone; every answer is kept."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.cycles = lru_cache(maxsize=None)(self._cycles)

    def _cycles(self, engine: str, *counts: int) -> int:
        """Cycles from the start of an instruction with the counts n_0 to n_5 until the next may start, in a row of its like."""
        timing = engine_timing(self.graph, engine)
        fields = {f"n_{level}": count for level, count in enumerate(counts)}
        timing.start(0, fields)
        before = timing.ready_cycle
        timing.start(before, fields)
        return timing.ready_cycle - before
