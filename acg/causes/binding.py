"""What decided the start of each instruction: the engine itself, another instruction's retire, or its dispatch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acg.causes.conflicts import Cause, why
from acg.causes.events import Spans
from acg.graph import Graph
from acg.isa import Instruction
from acg.machine import machine_of
from acg.predictor import Timeline

__all__ = ["Binding", "bindings"]


@dataclass(frozen=True)
class Binding:
    """``cause`` None: the engine was busy until then. ``awaited``: the instruction whose retire was awaited, -1 for none."""

    cause: Cause | None
    awaited: int = -1


def bindings(graph: Graph, instructions: Sequence[Instruction], timeline: Timeline, spans: Spans) -> list[Binding]:
    """What decided each start; of several that did in the same cycle the engine itself first, then another instruction.

    Raises AssertionError where a start is none of its reasons' cycles: the timeline is not that of the program.
    """
    footprints = machine_of(graph).footprints
    names = list(graph.engines)
    retired: list[list[int]] = [[] for _ in names]
    index = {name: engine.index for name, engine in graph.engines.items()}
    result = []
    for number, instruction in enumerate(instructions):
        start = int(timeline.start[number])
        found = Binding(None) if start == spans.ready[number] else None
        for name, count in instruction.waits.items() if found is None else ():
            history = retired[index[name]]
            position = len(history) - ((len(history) - count) & 0xFFFF)
            if position > 0 and timeline.retire[history[position - 1]] + 1 == start:
                other = history[position - 1]
                cause = why(graph, name, footprints(instructions[other]), footprints(instruction))
                found = Binding(cause, other)
                break
        if found is None:
            assert start == timeline.dispatch[number] + 1, f"instruction {number} starts at {start} for no reason"
            found = Binding(Cause.DISPATCH)
        result.append(found)
        retired[index[instruction.engine]].append(number)
    return result


def of_engine(spans: Spans, index: int) -> np.ndarray:
    """Numbers of an engine's instructions."""
    return np.flatnonzero(spans.engine == index)
