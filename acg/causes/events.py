"""Of each instruction: when its engine could have taken it, and how long it lasts by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.predictor import Timeline
from acg.timing import engine_timing

__all__ = ["Spans", "spans"]


@dataclass(frozen=True)
class Spans:
    """Cycles, one entry an instruction in program order (int64).

    Attributes
    ----------
    engine, start, retire : numpy.ndarray
        As in `acg.predictor.Timeline`.
    ready : numpy.ndarray
        Earliest cycle in which the engine could have started it, by what came before on that engine.
    alone : numpy.ndarray
        Cycles from start to retire on an engine that does nothing else.
    before : numpy.ndarray
        The instruction before it on the same engine; -1 for none.
    """

    engine: np.ndarray
    start: np.ndarray
    retire: np.ndarray
    ready: np.ndarray
    alone: np.ndarray
    before: np.ndarray


def spans(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline) -> Spans:
    """Walk each engine's timing once more along ``timeline``, which is that of ``instructions`` (predicted or measured, they are the same)."""
    names = {name: engine.index for name, engine in graph.engines.items()}
    machine = machine_of(graph)
    timings, defaults = list(machine.timings().values()), list(machine.least.values())
    last = [-1] * len(names)
    count = len(instructions)
    ready, alone, before = (np.zeros(count, np.int64) for _ in range(3))
    lasting: dict[tuple, int] = {}
    for number, instruction in enumerate(instructions):
        index = names[instruction.engine]
        fields: Mapping[str, int] = defaults[index] | dict(instruction.fields)
        timing = timings[index]
        ready[number] = timing.ready_cycle
        timing.start(int(timeline.start[number]), fields)
        key = (index, *fields.values())
        if key not in lasting:
            fresh = engine_timing(graph, instruction.engine)
            first = fresh.ready_cycle
            lasting[key] = fresh.start(first, fields) - first
        alone[number] = lasting[key]
        before[number] = last[index]
        last[index] = number
    return Spans(timeline.engine, timeline.start, timeline.retire, ready, alone, before)
