"""Per-engine counters of the machine, from the predicted timeline: what RETIRED, BUSY and STALL must read after a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.predictor import Timeline
from acg.timing import engine_timing

__all__ = ["counter_faults", "predicted_counters"]


def predicted_counters(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline) -> dict[str, int]:
    """Values of the per-engine counters by register name, ``timeline`` being the prediction for ``instructions``.

    RETIRED counts instructions, BUSY the cycles start + 1 to retire of any instruction of the engine, STALL the cycles in which the engine was
    ready and its next instruction, already in the queue, waited for others. All in clock cycles of one run.
    """
    least = machine_of(graph).least
    result: dict[str, int] = {}
    for name, engine in graph.engines.items():
        timing = engine_timing(graph, name)
        busy = stall = 0
        end = -1
        places = np.flatnonzero(timeline.engine == engine.index)
        for place in places.tolist():
            start, retire = int(timeline.start[place]), int(timeline.retire[place])
            stall += start - max(timing.ready_cycle, int(timeline.dispatch[place]) + 1)
            timing.start(start, least[name] | dict(instructions[place].fields))
            busy += max(0, retire - max(start, end))
            end = max(end, retire)
        result |= {f"RETIRED_{engine.index}": len(places), f"BUSY_{engine.index}": busy, f"STALL_{engine.index}": stall}
    return result


def counter_faults(graph: Graph, predicted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One line for each counter that is wrong, missing or not predicted; empty when all are exact."""
    engines = {str(engine.index): name for name, engine in graph.engines.items()}

    def label(name: str) -> str:
        return f"counter {name} (engine {engines.get(name.rpartition('_')[2], 'unknown')})"

    return [
        f"{label(name)}: found {found.get(name, 'none')}, expected {predicted.get(name, 'none')}"
        for name in sorted(predicted.keys() | found.keys()) if found.get(name) != predicted.get(name)
    ]
