"""A machine: an architecture graph and what programs need of it, each derived once, when first asked for, and handed to whoever works on one program.

    graph -> instruction set -> footprints
          -> timing of engines and of the fetch unit
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache

from acg.fingerprint import fingerprint
from acg.footprint import Footprints
from acg.isa import InstructionSet, instruction_set
from acg.nodes import Graph
from acg.rules import most_work
from acg.timing import EngineTiming, FetchTiming, engine_timing, fetch_timing

__all__ = ["Machine", "machine_of"]


class Machine:
    """What is derived from ``graph`` for programs. Nothing here changes once it is made but the timing states, which are fresh ones every time."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def name(self) -> str:
        """As the description has it."""
        return self.graph.name

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, in the ID register of the RTL and in every program."""
        return f"{fingerprint(self.graph):016x}"

    @cached_property
    def instruction_set(self) -> InstructionSet:
        """Formats, encoder and decoder."""
        return instruction_set(self.graph)

    @cached_property
    def footprints(self) -> Footprints:
        """What an instruction touches."""
        return Footprints(self.graph)

    @cached_property
    def least(self) -> Mapping[str, dict[str, int]]:
        """Of each engine all fields with the values that they have where an instruction leaves them out; to be copied, not changed."""
        return {name: {item.name: item.bias for item in layout.fields} for name, layout in self.instruction_set.formats.items()}

    def every_field(self, engine: str, fields: Mapping[str, int]) -> Mapping[str, int]:
        """The fields of an instruction with those that it leaves out."""
        least = self.least[engine]
        return fields if len(fields) == len(least) else least | dict(fields)

    @cached_property
    def most_work(self) -> int:
        """Most elements that one instruction may go over."""
        return most_work(self.graph)

    @cached_property
    def emptying(self) -> frozenset[str]:
        """Engines that write external memory."""
        return frozenset(link.engine for link in self.graph.links if link.memory == self.graph.external.name and not link.reads)

    @cached_property
    def shared_ports(self) -> frozenset[tuple[str, str, bool]]:
        """(engine, memory, write) where an engine has ports on one memory that do not keep step: one may still read for an instruction when another
        does for the next."""
        beats: dict[tuple[str, str, bool], set[str]] = {}
        for link in self.graph.links:
            port = self.graph.engines[link.engine].specification.port(link.port)
            if link.memory != self.graph.external.name:
                beats.setdefault((link.engine, link.memory, not port.reads), set()).add(port.beat or port.name)
        return frozenset(key for key, names in beats.items() if len(names) > 1)

    def timings(self) -> dict[str, EngineTiming]:
        """Timing states of all engines, by name in the order of their index, before the first instruction."""
        return {name: engine_timing(self.graph, name) for name in self.graph.engines}

    def fetch(self) -> FetchTiming:
        """Timing state of the fetch unit before the first instruction."""
        return fetch_timing(self.graph)


@lru_cache(maxsize=64)
def machine_of(graph: Graph) -> Machine:
    """The machine of a graph, made once a graph."""
    return Machine(graph)
