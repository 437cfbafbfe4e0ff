"""One instruction, built from the specification of its engine's kind: no tiler spells the name of a field.

    before   n = Nest(graph, engine, {"oy": 4, "ox": 5}, {"oy": 7, "ox": 14})
             n.stream("a", buffer, 0, {"oy": 256, "ox": 16}, signed=True).stream("c", sums, 0, {"oy": 896, "ox": 64})
    after    n.fields   {n_4: 7, n_5: 14, a_base: Ref(..), a_stride_4: 16, a_stride_5: 1, a_signed: 1, c_base: ..}
             n.reads    [buffer]        n.writes    [sums]

A loop has a name, a level of the engine's loop nest and a number of iterations; an operand has a stream and says how many bytes each loop
moves it. Which link of a port that is, in which units it counts, what enables it and what pads it follows from the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from acg.graph import Engine, Graph, Memory
from acg.kinds.spec import Control, Stream
from compiler.partitions import Partition
from compiler.tiles import Buffer, Gap, Ref, stride

__all__ = ["Nest"]

_NO_STEPS: Mapping[str, int] = {}


class _Operand:
    """What is known of a stream of an engine before it meets a buffer."""

    def __init__(self, graph: Graph, engine: Engine, item: Stream) -> None:
        self.item = item
        links = graph.links_of(engine.name, item.ports[0])
        #: (memory, bytes an element) -> number of the link and bytes an access; by memory alone where the link is the only one on it.
        self.ways: dict[tuple[str, int], tuple[int, int]] = {}
        for select, link in enumerate(links):
            way = select, link.port_bytes
            self.ways[link.memory, link.port_bytes // link.lanes] = way
            self.ways.setdefault((link.memory, 0), way)
        self.elements = [link.port_bytes // link.lanes for link in links]
        self.strides = {level: f"{item.prefix}_stride_{level}" for level in item.levels}
        self.writes = any(not engine.specification.port(port).reads for port in item.ports)
        self.base = {"bank": "select", "byte": "address"}.get(item.unit, "base")


class _Body:
    """The streams of an engine by prefix, and the controls that each operation sets."""

    def __init__(self, graph: Graph, engine: Engine) -> None:
        self.operands = {stream.prefix: _Operand(graph, engine, stream) for stream in engine.streams}
        self.codes: dict[str, dict[str, int]] = {}
        for item in engine.body:
            if isinstance(item, Control):
                for operation, code in item.codes:
                    self.codes.setdefault(operation, {})[item.name] = code
        built = {item.name for item in engine.body if isinstance(item, Control)}
        #: Controls of the kind that serve only what this engine does not offer.
        self.absent = {item.name for item in engine.specification.body if isinstance(item, Control)} - built
        self.offers = engine.operations


@lru_cache(maxsize=256)
def _body(graph: Graph, engine: str) -> _Body:
    return _Body(graph, graph.engines[engine])


class Nest:
    """An instruction-to-be of ``engine``.

    Parameters
    ----------
    levels : Mapping[str, int]
        Level of the engine's loop nest for each loop by name.
    counts : Mapping[str, int]
        Iterations of each; a loop that has no level iterates once.
    """

    __slots__ = ("_body", "counts", "engine", "fields", "levels", "reads", "writes")

    def __init__(self, graph: Graph, engine: Engine, levels: Mapping[str, int], counts: Mapping[str, int]) -> None:
        self._body = _body(graph, engine.name)
        self.engine, self.levels, self.counts = engine.name, levels, counts
        self.reads: list[Buffer] = []
        self.writes: list[Buffer] = []
        self.fields: dict[str, int | Ref | Gap] = {}
        for name, count in counts.items():
            if count > 1:
                self.fields[f"n_{self._level(name)}"] = count

    def _level(self, loop: str) -> int:
        level = self.levels.get(loop)
        assert level is not None, f"{self.engine}: loop {loop} iterates {self.counts[loop]} times and has no level"
        return level

    def stream(
        self, prefix: str, buffer: Buffer, offset_bytes: int = 0, steps: Mapping[str, int] = _NO_STEPS, *,
        signed: bool = False, zero: int = 0, element_bytes: int = 0,
    ) -> Nest:
        """An operand: from byte ``offset_bytes`` of ``buffer``, moved by ``steps`` bytes an iteration of each loop; loops left out do not move it.

        ``signed`` and ``zero`` are those of the 8-bit number that stands there; ``element_bytes`` tells several links on one memory apart. Of an
        operand that runs, the loops of the run have no strides. An operation that makes it count elements is chosen before.
        """
        operand, fields = self._body.operands[prefix], self.fields
        item, memory = operand.item, buffer.memory
        name, size_bytes = (memory.within, memory.within_bytes) if isinstance(memory, Partition) else (memory.name, memory.size_bytes)
        select, unit = operand.ways[name, element_bytes]
        if item.unit == "byte":
            unit = 1
        elif item.unit == "bank":
            unit = memory.bank_bytes
        elif item.elements_by and fields.get(item.elements_by):
            unit = operand.elements[select]
        fields[f"{prefix}_{operand.base}"] = Ref(buffer, offset_bytes, unit)
        counts, words = self.counts, size_bytes // unit
        for loop, step in steps.items():
            if step and (count := counts.get(loop, 1)) > 1:
                level = self._level(loop)
                if level not in item.run[0]:
                    fields[operand.strides[level]] = step if item.unit == "byte" else stride(count, step, unit, words)
        if item.select:
            fields[item.select] = select
        if item.enabled_by:
            fields[item.enabled_by] = 1
        if item.number:
            fields[f"{prefix}_signed"], fields[f"{prefix}_zero"] = int(signed), zero
        for axis in item.axes:
            fields.setdefault(f"{axis.name}_bound", 1)
        (self.writes if operand.writes else self.reads).append(buffer)
        return self

    def window(self, prefix: str, number: int, origin: int, bound: int, steps: Mapping[str, int] = _NO_STEPS) -> Nest:
        """Virtual padding: this coordinate of an operand starts at ``origin`` and is moved by ``steps``; within [0, ``bound``) the operand is read.

        Raises IndexError where the operand has no such coordinate.
        """
        axis = self._body.operands[prefix].item.axes[number].name
        self.fields[f"{axis}_origin"], self.fields[f"{axis}_bound"] = origin, bound
        for loop, step in steps.items():
            if self.counts.get(loop, 1) > 1 and step:
                self.fields[f"{axis}_step_{self._level(loop)}"] = step
        return self

    def access_bytes(self, prefix: str, memory: Memory, element_bytes: int = 0) -> int:
        """Bytes that an operand's port sees of a memory in an access; its words may be longer."""
        return self._body.operands[prefix].ways[memory.within if isinstance(memory, Partition) else memory.name, element_bytes][1]

    def axes(self, prefix: str) -> int:
        """Padded coordinates that an operand has."""
        return len(self._body.operands[prefix].item.axes)

    def operation(self, *names: str) -> Nest:
        """The controls that choose these operations."""
        for name in names:
            assert name in self._body.offers, f"{self.engine}: {name} is not offered"
            self.fields |= self._body.codes.get(name, {})
        return self

    def control(self, **values: int) -> Nest:
        """Controls of the kind by name; one that the engine lacks serves an operation that it does not offer, and has nothing to say."""
        self.fields |= values
        for name in self._body.absent.intersection(values):
            del self.fields[name]
        return self
