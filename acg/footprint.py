"""What an instruction touches: memories, banks, byte ranges. The compiler orders by it, loaders refuse by it.

Every access is a conservative interval: an instruction touches no byte outside the intervals named here, and holds the read or
write port of every bank from ``first_bank`` to ``last_bank`` from its start to its retire. One walker serves the streams of every kind.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from acg.isa import Instruction, instruction_set
from acg.kinds.spec import Axis, Control, Stream
from acg.nodes import Engine, Graph, Memory

__all__ = ["Access", "Footprints"]

#: Words of a stream that are told apart by bounds, one by one.
MOST_WALKED = 1 << 16
#: Instructions that are not alike, of which it is kept what they touch beyond their addresses.
MOST_KNOWN = 1 << 16

Fields = Mapping[str, int]
Span = tuple[int, int]


class Access(NamedTuple):
    """Bytes [lo_byte, hi_byte) of ``memory`` read or written over ``port``; ``self_ordered``: the engine itself keeps the order of
    this access against its own other instructions, so that it need not wait for itself; ``beat``: the port in whose cycles it happens, of one engine."""

    memory: str
    port: str
    write: bool
    lo_byte: int
    hi_byte: int
    first_bank: int
    last_bank: int
    self_ordered: bool = False
    beat: str = ""


def _span(counts_and_strides: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Least and greatest sum of index*stride over a loop nest."""
    low = high = 0
    for count, stride in counts_and_strides:
        if stride >= 0:
            high += (count - 1) * stride
        else:
            low += (count - 1) * stride
    return low, high


def _padded_span(fields: Fields, axis: str, prefix: str, outer: int, inner: int) -> Span | None:
    """Least and greatest address part of one axis over coordinates within bounds; None when none is.

    ``outer`` and ``inner`` are the two levels that move the coordinate.
    """
    get = fields.get
    origin, bound = get(f"{axis}_origin", 0), get(f"{axis}_bound", 0)
    step_o, step_i = get(f"{axis}_step_{outer}", 0), get(f"{axis}_step_{inner}", 0)
    stride_o, stride_i = get(f"{prefix}_stride_{outer}", 0), get(f"{prefix}_stride_{inner}", 0)
    count_o, count_i = get(f"n_{outer}", 1), get(f"n_{inner}", 1)
    if origin >= 0 and origin + (count_o - 1) * step_o + (count_i - 1) * step_i < bound:
        return _span(((count_o, stride_o), (count_i, stride_i)))
    if count_o > count_i:  # walk the shorter loop
        step_o, step_i, stride_o, stride_i, count_o, count_i = step_i, step_o, stride_i, stride_o, count_i, count_o
    low: int | None = None
    high = 0
    for index in range(count_o):
        start = origin + index * step_o
        if step_i == 0:
            if not 0 <= start < bound:
                continue
            first, last = 0, count_i - 1
        else:
            first = max(0, -(start // step_i))
            last = min(count_i - 1, (bound - 1 - start) // step_i)
            if first > last:
                continue
        ends = (index * stride_o + first * stride_i, index * stride_o + last * stride_i)
        low = min(ends) if low is None else min(low, *ends)
        high = max(high, *ends) if low is not None else max(ends)
    return None if low is None else (low, high)


class _Reach(NamedTuple):
    """An access of instructions that are alike but for their addresses: from word (or byte) `first` beyond `base` to the one `words` further, each of
    `unit_bytes` and modulo `modulus` (0: bytes, no modulus) once elements are divided by 2^`bits`."""

    base: str
    first: int
    words: int
    bits: int
    modulus: int
    unit_bytes: int
    row: int
    memory: Memory
    port: str
    write: bool
    self_ordered: bool
    beat: str

    def access(self, fields: Fields) -> Access:
        """That of an instruction."""
        memory = self.memory
        low = fields.get(self.base, 0) + self.first
        high = low + self.words
        if self.bits:
            low, high = low >> self.bits, high >> self.bits
        if self.modulus:
            high -= low - 1
            low = low % self.modulus * self.unit_bytes
            high = low + high * self.unit_bytes
        else:
            high += self.row
        return _access(memory, self.port, self.write, low, high, self.self_ordered, self.beat)


class Footprints:
    """Footprints of the instructions of one graph."""

    def __init__(self, graph: Graph):
        self._walks = {name: [_walk(graph, engine, stream) for stream in engine.streams] for name, engine in graph.engines.items()}
        #: By engine, how many fields an instruction has, and the function that gives those that are no addresses.
        self._alike: dict[str, tuple[int, Callable[[Fields], tuple]]] = {}
        for name, engine in graph.engines.items():
            bases = {_base(stream) for stream in engine.streams}
            fields = instruction_set(graph).formats[name].by_name
            others = [field for field in fields if field not in bases]
            if len(others) > 1:
                self._alike[name] = len(fields), itemgetter(*others)
        self._known: dict[tuple[str, tuple], list[_Reach]] = {}

    def __call__(self, instruction: Instruction) -> list[Access]:
        """Accesses of one instruction. An access outside its memory is returned as such: ``hi_byte`` is then beyond the memory's size."""
        engine, fields = instruction.engine, instruction.fields
        size, others = self._alike.get(engine, (-1, None))
        if others is None or len(fields) != size:
            return [reach.access(fields) for reach in self._reaches(engine, fields)]
        key = engine, others(fields)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._reaches(engine, fields)
        return [reach.access(fields) for reach in found]

    def _reaches(self, engine: str, fields: Fields) -> list[_Reach]:
        return [reach for walk in self._walks[engine] for reach in walk(fields)]


def _reach(engine: Engine, stream: Stream) -> Callable[[Fields], Span | None]:
    """The function that gives the least and the greatest part of a stream's address beyond its base; None where no access happens."""
    prefix = stream.prefix
    if stream.sum_of:
        return lambda fields: (0, total - 1) if (total := sum(fields.get(name, least) for name, least in _least(engine, stream.sum_of))) else None
    if stream.own_counts:
        return _own_reach(engine, stream)
    if stream.run[0]:
        counts, size = tuple(f"n_{level}" for level in stream.run[0]), engine.number(stream.run[1]) if stream.run[1] else 1
        return lambda fields: (0, prod(fields.get(count, 1) for count in counts) * size - 1)
    bounded = {level for axis in stream.axes for level in axis.levels}
    control, folded = stream.folded
    loops = tuple((f"n_{level}", f"{prefix}_stride_{level}", level in folded) for level in stream.levels if level not in bounded)
    axes = tuple((axis.name, axis.levels[0], axis.levels[1]) for axis in stream.axes)

    def reach(fields: Fields) -> Span | None:
        get = fields.get
        low = high = 0
        fold = bool(control) and get(control, 0)
        for count, stride, folds in loops:
            steps = get(count, 1) - 1
            if steps and not (folds and fold):
                way = steps * get(stride, 0)
                if way >= 0:
                    high += way
                else:
                    low += way
        for axis, outer, inner in axes:
            span = _padded_span(fields, axis, prefix, outer, inner)
            if span is None:
                return None
            low += span[0]
            high += span[1]
        return low, high

    return reach


def _least(engine: Engine, controls: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Controls with their least values, which they have where they are left out."""
    biases = {item.name: item.bias for item in engine.body if isinstance(item, Control)}
    return tuple((name, biases[name]) for name in controls)


def _own_reach(engine: Engine, stream: Stream) -> Callable[[Fields], Span | None]:
    """`_reach` of a stream whose levels count for themselves and whose accesses move several words, from the first to the last word moved."""
    prefix = stream.prefix

    def reach(fields: Fields) -> Span | None:
        get = fields.get
        counts = {level: get(f"{prefix}_n_{level}", 1) for level in stream.levels}
        moved = get(stream.moves, 1)
        if not stream.axes or (stream.bounded_by and not get(stream.bounded_by, 0)):
            low, high = _span((counts[level], get(f"{prefix}_stride_{level}", 0)) for level in stream.levels)
            return low, high + moved - 1
        return _bounded_span(fields, stream, counts, moved)

    return reach


def _bounded_span(fields: Fields, stream: Stream, counts: Mapping[int, int], moved: int) -> Span | None:
    """Least and greatest word among those within bounds; None where none is within. Coordinates that one level moves together are walked together;
    where that are too many, bounds count for each level alone."""
    moving = {axis: {level for level in axis.levels if counts[level] > 1 and fields.get(f"{axis.name}_step_{level}", 0)} for axis in stream.axes}
    free = set(stream.levels).difference(*moving.values())
    counts = dict(counts)
    for axis, levels in moving.items():
        for level in levels:  # no step turns back: what a level alone moves beyond the bound stays there
            room = fields.get(f"{axis.name}_bound", 0) - fields.get(f"{axis.name}_origin", 0)
            counts[level] = max(1, min(counts[level], -(-room // fields[f"{axis.name}_step_{level}"])))
    low, high = _span((counts[level], fields.get(f"{stream.prefix}_stride_{level}", 0)) for level in free)
    groups: list[set[Axis]] = []
    for axis, levels in moving.items():
        joined = [group for group in groups if any(levels & moving[other] for other in group)]
        groups = [group for group in groups if group not in joined] + [{axis}.union(*joined)]
    for group in groups:
        words = moved if any(axis.words for axis in group) else 1
        together = sorted(set().union(*(moving[axis] for axis in group)))
        if words * prod(counts[level] for level in together) > MOST_WALKED:
            span = _span((counts[level], fields.get(f"{stream.prefix}_stride_{level}", 0)) for level in together)
            low, high = low + span[0], high + span[1] + words - 1
            continue
        places, inside = _inside(fields, stream, group, together, counts, words)
        if not inside.any():
            return None
        low, high = low + int(places[inside].min()), high + int(places[inside].max())
    return low, high + (0 if any(axis.words for axis in stream.axes) else moved - 1)


def _inside(fields: Fields, stream: Stream, axes: Iterable[Axis], levels: Iterable[int], counts: Mapping[int, int],
            moved: int) -> tuple[np.ndarray, np.ndarray]:
    """Words that these levels and the words of an access name beyond the base, and which of them are within the bounds of these axes: [places]."""
    places, coordinates = np.arange(moved), {axis: fields.get(f"{axis.name}_origin", 0) + np.arange(moved) * (
        fields.get(f"{axis.name}_step_word", 0) if axis.words else 0) for axis in axes}
    for level in levels:
        index = np.arange(counts[level])[:, None]
        places = (places + index * fields.get(f"{stream.prefix}_stride_{level}", 0)).reshape(-1)
        coordinates = {axis: (value + index * fields.get(f"{axis.name}_step_{level}", 0)).reshape(-1) for axis, value in coordinates.items()}
    inside = np.ones(places.shape, bool)
    for axis, value in coordinates.items():
        inside &= (value >= 0) & (value < fields.get(f"{axis.name}_bound", 0))
    return places, inside


def _base(stream: Stream) -> str:
    """The field of a stream's address, in words or bytes; of whole banks none counts as one."""
    return {"word": f"{stream.prefix}_base", "byte": f"{stream.prefix}_address"}.get(stream.unit, "")


def _walk(graph: Graph, engine: Engine, stream: Stream) -> Callable[[Fields], Iterable[_Reach]]:
    """The function that gives the accesses of one stream of one engine."""
    ports = [(port, _beat(engine, port), not engine.specification.port(port).reads, graph.links_of(engine.name, port)) for port in stream.ports]
    enabled, select, ordered, row = stream.enabled_by, stream.select, stream.self_ordered, f"n_{stream.row}"
    reach = _reach(engine, stream)
    if stream.unit == "bank":
        return _walk_banks(graph, stream, ports[0])
    words = stream.unit == "word"
    base = f"{stream.prefix}_base" if words else f"{stream.prefix}_address"
    known = instruction_set(graph).formats[engine.name].by_name
    fine = stream.elements_by if stream.elements_by in known else ""
    bits = (ports[0][3][0].lanes - 1).bit_length() if fine else 0  # of an element's place in its word
    modulus = 1 << known[base].width - bits

    def walk(fields: Fields) -> Iterator[_Reach]:
        if enabled and not fields.get(enabled, 0):
            return
        span = reach(fields)
        if span is None:
            return
        chosen = fields.get(select, 0) if select else 0
        shift = bits if fine and fields.get(fine, 0) else 0
        for port, beat, write, links in ports:
            if chosen < len(links):
                link = links[chosen]
                unit = (modulus, link.port_bytes, 0) if words else (0, 1, fields.get(row, 1))
                yield _Reach(base, span[0], span[1] - span[0], shift, *unit, graph.memories[link.memory], port, write, ordered, beat)

    return walk


def _walk_banks(graph: Graph, stream: Stream, port: tuple) -> Callable[[Fields], Iterable[_Reach]]:
    name, beat, write, links = port
    memory = graph.memories[links[0].memory]

    def walk(fields: Fields) -> Iterator[_Reach]:
        if not stream.enabled_by or fields.get(stream.enabled_by, 0):
            first = fields.get(f"{stream.prefix}_select", 0) * memory.bank_bytes
            yield _Reach("", first, 0, 0, 0, 1, memory.bank_bytes, memory, name, write, stream.self_ordered, beat)

    return walk


def _beat(engine: Engine, port: str) -> str:
    return engine.specification.port(port).beat or port


def _access(memory: Memory, port: str, write: bool, low: int, high: int, self_ordered: bool, beat: str) -> Access:
    if memory.kind == "external":
        return Access(memory.name, port, write, low, high, 0, 0, self_ordered, beat)
    bank = memory.bank_bytes
    return Access(memory.name, port, write, low, high, low // bank, (high - 1) // bank, self_ordered, beat)
