"""Pass: operations in program order -> the graph of what must go how long before what.

    before   x.0 = LDV on s0;  acc.0 = DOT c=acc.0 a=x.0 k=0
    after    0 -> 1   delay 5, distance 0, true      the load's latency
             1 -> 0   delay -4, distance 1           the next iteration's load lands after the product has read

An edge u -> v of delay d and distance n says: time(v) + n * interval >= time(u) + d. *True* edges carry a value or keep the order of a stream. The others keep
a register from being written too early; they bound times and are never a reason to start late.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from compiler.kernels.body import Item
from compiler.kernels.core import Core

__all__ = ["dependences"]


class _Cell:
    """What has touched a cell since it was last written whole: its writers, and who has read it since the last write."""

    def __init__(self) -> None:
        self.writers: list[int] = []
        self.readers: list[tuple[int, int]] = []


def dependences(items: Sequence[Item], core: Core) -> nx.MultiDiGraph:
    """Graph of the numbers of `items`; edges have `delay`, `distance` (0, or 1 to the next iteration) and `true`."""
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(len(items)))
    written = {item.result for item in items if item.result}
    cells = {name: _Cell() for name in written}
    streams: dict[str, int] = {}

    def edge(u: int, v: int, delay: int, distance: int, true: bool) -> None:
        graph.add_edge(u, v, delay=delay, distance=distance, true=true)

    # The second round sees what the first has left: edges to it lead to the next iteration.
    for distance in (0, 1):
        fresh: set[str] = set()
        begun: set[str] = set()
        for number, item in enumerate(items):
            latency = core.latency[item.operation]
            for name, value in item.reads.items():
                if value not in cells or (distance and (value in fresh or value in begun)):
                    continue
                state = cells[value]
                stage = core.read_stage(item.operation, name)
                for writer in state.writers:
                    edge(writer, number, core.latency[items[writer].operation] - stage, distance, True)
                if not distance:
                    state.readers.append((number, stage))
            value = item.result
            if value and not (distance and value in fresh):
                state = cells[value]
                begins = not item.partial or value not in begun
                for reader, stage in state.readers:
                    if reader != number or distance:
                        edge(reader, number, stage - latency + 1, distance, False)
                if not (item.partial and not distance):
                    for writer in state.writers:
                        if writer != number or distance:
                            edge(writer, number, core.latency[items[writer].operation] - latency + 1, distance, not distance)
                begun.add(value)
                if distance:
                    if not item.partial:
                        fresh.add(value)
                elif item.partial:
                    if begins:
                        state.writers, state.readers = [], []
                    state.writers.append(number)
                else:
                    state.writers, state.readers = [number], []
            if item.stream and not (distance and item.stream in fresh):
                if item.stream in streams:
                    edge(streams[item.stream], number, 1, distance, not distance)
                if distance:
                    fresh.add(item.stream)
                else:
                    streams[item.stream] = number
    return graph
