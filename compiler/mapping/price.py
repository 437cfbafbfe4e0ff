"""What a layer costs on an engine, in cycles of the predictor's own timing."""

from __future__ import annotations

from functools import lru_cache
from math import prod

from acg.graph import Graph
from acg.timing import engine_timing
from compiler.codelets import Codelet
from compiler.kernels.core import Core
from compiler.tiles import ceil_div

#: Loads and stores for a vector of results whose sums another engine has made: four of sums, the store, and constants a few vectors share.
FINISHING = 4 + 1 + 0.5


def finishing_packets(core: Core) -> float:
    """Packets in which a core finishes the sums of a granule of channels of a pixel: its only slot for memory is busiest."""
    return FINISHING / core.pixels


def contraction_packets(codelet: Codelet, core: Core, positions: int, channels: int) -> float:
    """Packets in which a core makes so many results of so many channels, as far as its slots that multiply bound them."""
    w, kernel = codelet.operands["w"].shape, codelet.operands["w"].shape[2:]
    words = kernel[0] * kernel[1] * ceil_div(w[1] * codelet.group, 4)
    halves = core.can("DOTH") and channels * 2 <= core.lanes
    products = len(core.where.get("DOTH" if halves else "DOT", ())) or 1
    return positions * words * ceil_div(channels, core.lanes) / products / (2 if halves else 1)


def lane_packets(codelet: Codelet, core: Core, positions: int, channels: int) -> float:
    """Packets in which a core makes so many results lane by lane: a quarter of a vector of bytes an operation, for each four positions of a kernel's row."""
    taps = [loop.extent for loop in codelet.loops if loop.reduction] if codelet.program is None else []
    rows = prod(taps[:-1]) * ceil_div(taps[-1], 4) if taps else 1
    return positions * ceil_div(channels, core.granule_bytes) / core.pixels * 4 * rows


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
