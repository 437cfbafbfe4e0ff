"""Random legal instructions of any engine, below the compiler: fields that no compiler would choose, footprints within the memories.

All of it follows from the specification of the engine's kind (`acg.kinds.spec`). Legal is what ports and streams ask for:

- every access lies within its memory, and one port of a bank serves one operand;
- no stream writes what another one reads, unless both walk the same words, each once (an update in place), and the kind's own rule allows it;
- nothing of an instruction depends on how far its unit has got (`acg.rules.order_fault`), what its codes choose exists, and its fields are within their limits.
"""

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from acg.footprint import Access, Footprints
from acg.graph import Engine, Graph, Link
from acg.isa import Instruction, instruction_set
from acg.kinds.spec import Control, Counts, Stream
from acg.rules import absent, exceeded, order_fault
from acg.timing import engine_timing

__all__ = ["InstructionDraw"]

#: Most iterations of an instruction, bytes of a copy, and cycles that an instruction takes on an idle machine.
MOST_ITERATIONS, MOST_BYTES, MOST_CYCLES = 400, 6000, (1 << 16) + 4000

Fields = dict[str, int]


class InstructionDraw:
    """Draws instructions of ``graph``; external memory is touched within its first ``window_bytes``.

    ``reach``: greatest stride in words and about the greatest count; 1 gives instructions of next to nothing.
    """

    def __init__(self, graph: Graph, rng: np.random.Generator, *, window_bytes: int, reach: int = 24):
        self.graph = graph
        self.rng = rng
        self.window_bytes = window_bytes
        self.reach = reach
        self._kept: dict[tuple[str, str], Fields] = {}  # by engine and stream: the latest walk over words whose order the engine keeps itself
        self._footprints = Footprints(graph)
        self._formats = instruction_set(graph).formats

    def __call__(self, engine_name: str) -> Instruction:
        """An instruction of one engine, without waits. Raises RuntimeError where none is found, which no valid graph should cause."""
        engine = self.graph.engines[engine_name]
        for attempt in range(400):
            fields = self._attempt(engine, max(1, self.reach >> attempt // 12))
            if fields is not None:
                for stream in _streams(engine):
                    if stream.self_ordered:
                        self._kept[engine_name, stream.prefix] = {name: fields[name] for name in stream.walk}
                return Instruction(engine_name, fields | self._idle_strides(engine, fields))
        raise RuntimeError(f"no legal instruction found for {engine_name} of {self.graph.name}; expected one within 400 draws")

    # ---- what a draw consists of

    def _attempt(self, engine: Engine, reach: int) -> Fields | None:
        """Fields drawn once; None where they are not legal."""
        streams, fields = _streams(engine), self._counts(engine, reach)
        wide, plain = self._chance(0.25), self._chance(0.35)
        for item in engine.body:
            if isinstance(item, Control) and item.name in self._formats[engine.name].by_name:
                fields |= self._control(engine, item, wide, plain)
        for _ in engine.specification.limits:
            fields |= self._within(engine, fields)
        for stream in streams:
            fields |= self._stream(engine, stream, fields, reach)
        if self._chance(0.004) and not any(stream.row >= 0 for stream in streams):
            fields |= self._longest(engine, fields)
        for stream in streams:
            if stream.self_ordered and self._chance(0.4):  # go on with the same words: no wait is needed
                fields |= self._kept.get((engine.name, stream.prefix), {})
        pair = self._pair(engine, fields) if self._chance(0.3) else None
        if pair is not None:
            fields |= self._aligned(*pair, fields)
        return fields if self._place(engine, fields, pair) and self._legal(engine, fields, pair) else None

    def _counts(self, engine: Engine, reach: int) -> Fields:
        """Loop counts, drawn in a random order of levels, whose product is bounded; a level of bytes is a row."""
        (item,) = (item for item in engine.body if isinstance(item, Counts))
        rows = {stream.row for stream in _streams(engine)} - {-1}
        most, counts = MOST_ITERATIONS, dict.fromkeys(range(len(item.widths)), 1)
        for level in self.rng.permutation(len(counts)).tolist():
            if level not in rows and not self._chance(0.35):
                counts[level] = min(self._integer(1, self._pick(3, 5, max(2, min(reach, 12)))), most)
                most //= counts[level]
        for level in rows:
            counts[level] = max(1, min(self._integer(1, self._pick(4, 40, 40, 300, MOST_BYTES)), 16 * reach * reach, MOST_BYTES // prod(counts.values())))
        return {f"n_{level}": count for level, count in counts.items()}

    def _control(self, engine: Engine, item: Control, wide: bool, plain: bool) -> Fields:
        """A control: a link, a code of what the engine offers, a float of moderate magnitude, or any number; 0 more often in a ``plain`` instruction."""
        field = self._formats[engine.name].by_name[item.name]
        if item.links_of:
            links = self.graph.links_of(engine.name, item.links_of)
            widest = [number for number, link in enumerate(links) if _bits(link) == max(map(_bits, links))]
            return {item.name: self._pick(*widest) if wide else self._integer(0, len(links) - 1)}
        if item.codes:
            legal = sorted({code for operation, code in item.codes if engine.can(operation)})
            return {item.name: 0 if not legal or self._chance(0.8 if plain else 0.4) else self._pick(*legal)}
        if item.shown_as == "float32":
            return {item.name: self._float()}
        if item.usual and self._chance(0.7):
            return {item.name: self._pick(*item.usual)}
        if field.width == 1 and plain and self._chance(0.5):
            return {item.name: 0}
        return {item.name: self._integer(field.low, field.high)}

    def _within(self, engine: Engine, fields: Mapping[str, int]) -> Fields:
        """A field of the first limit that they are beyond, made as small as it takes."""
        excess = exceeded(self.graph, Instruction(engine.name, fields))
        if excess is None:
            return {}
        name = self._pick(*excess.bound.fields)
        return {name: max(self._formats[engine.name].by_name[name].low, fields[name] * excess.most // excess.value)}

    def _stream(self, engine: Engine, stream: Stream, fields: Mapping[str, int], reach: int) -> Fields:
        """Strides, number and padding of a stream, its base 0."""
        known, prefix = self._formats[engine.name].by_name, stream.prefix
        if stream.unit == "bank":
            link = self.graph.link_of(engine.name, stream.ports[0])
            return {f"{prefix}_select": self._integer(0, self.graph.memories[link.memory].banks - 1)}
        drawn = {f"{prefix}_base" if stream.unit == "word" else f"{prefix}_address": 0}
        for level in stream.levels:
            item = known[f"{prefix}_stride_{level}"]
            drawn[item.name] = min(max(self._stride(engine, stream, fields, reach), item.low), item.high)
        if stream.number:
            drawn |= {f"{prefix}_signed": self._integer(0, 1),
                      f"{prefix}_zero": self._integer(-256, 255) if self._chance(0.2) else self._integer(-128, 127)}
        for axis in stream.axes:
            steps = [f"{axis.name}_step_{level}" for level in axis.levels]
            padded = self._chance(0.5)
            drawn |= {f"{axis.name}_origin": self._integer(-3, 2) if padded else 0,
                      f"{axis.name}_bound": self._integer(0 if self._chance(0.05) else 1, 9) if padded else 1,
                      **{name: self._integer(0, 3) if padded else 0 for name in steps}}
        return drawn

    def _stride(self, engine: Engine, stream: Stream, fields: Mapping[str, int], reach: int) -> int:
        if stream.unit == "byte":
            row, room = fields.get(f"n_{stream.row}", 1), self._room(self._link(engine, stream, fields).memory)
            far = min(room // 4, self._pick(row + 3, 2 * row, 5000))
            return self._pick(min(row, room - 1), self._integer(-far, far), self._integer(0, far))
        return 0 if self._chance(0.1) else self._integer(-reach, reach) if self._chance(0.6) else self._integer(0, 3)

    def _longest(self, engine: Engine, fields: Mapping[str, int]) -> Fields:
        """The greatest count, with nothing to move it."""
        counts = [name for name in fields if name.startswith("n_")]
        level = self._integer(0, len(counts) - 1)
        still = {name: 0 for name in fields if name.endswith((f"_stride_{level}", f"_step_{level}"))}
        return dict.fromkeys(counts, 1) | {f"n_{level}": self._formats[engine.name].by_name[f"n_{level}"].high} | still

    def _idle_strides(self, engine: Engine, fields: Mapping[str, int]) -> Fields:
        """Extreme strides of levels with one iteration, now and then: they must move nothing."""
        idle = [item for item in self._formats[engine.name].fields
                if "_stride_" in item.name and fields.get(f"n_{item.name[-1]}", 1) == 1 and self._chance(0.05)]
        return {item.name: self._pick(item.low, item.high) for item in idle}

    # ---- what is written where it is read

    def _pair(self, engine: Engine, fields: Mapping[str, int]) -> tuple[Stream, Stream] | None:
        """A word stream that reads and one that writes, on one memory in words of one size: the instruction may work in place."""
        if engine.specification.order is None:
            return None  # nothing says what such an instruction may read
        ends = [(stream, self._link(engine, stream, fields), engine.specification.port(stream.ports[0]).reads)
                for stream in _streams(engine)
                if stream.unit == "word" and len(stream.ports) == 1 and not stream.run[0] and not _counts_elements(stream, fields)]
        able = [(one, two) for one, a, reads in ends for two, b, also in ends
                if reads and not also and (a.memory, a.port_bytes) == (b.memory, b.port_bytes) and one.levels == two.levels]
        return self._pick(*able) if able else None

    @staticmethod
    def _aligned(read: Stream, written: Stream, fields: Mapping[str, int]) -> Fields:
        """The writer walks as the reader does, and nothing of the reader is padding."""
        aligned = {f"{written.prefix}_stride_{level}": fields[f"{read.prefix}_stride_{level}"] for level in written.levels}
        for axis in read.axes:
            aligned |= {f"{axis.name}_origin": 0, f"{axis.name}_bound": 65535}
        if written.folded[0] in fields:
            aligned[written.folded[0]] = 0
        if read.enabled_by in fields:
            aligned[read.enabled_by] = 1
        return aligned

    # ---- bases, and whether the whole is legal

    def _place(self, engine: Engine, fields: Fields, pair: tuple[Stream, Stream] | None) -> bool:
        """Choose the bases, given 0, so that every access fits; False if one cannot."""
        streams = {port: stream for stream in _streams(engine) for port in stream.ports}
        placed: set[str] = set()
        for access in self._footprints(Instruction(engine.name, fields)):
            stream = streams[access.port]
            if stream.unit == "bank" or stream.prefix in placed:
                continue
            placed.add(stream.prefix)
            words = stream.unit == "word"
            name, unit = (f"{stream.prefix}_base", self._link(engine, stream, fields).port_bytes) if words else (f"{stream.prefix}_address", 1)
            if fields[name]:
                continue  # a walk that is gone on with
            room = self._room(access.memory) // unit
            low, length = access.lo_byte // unit, (access.hi_byte - access.lo_byte) // unit
            if length > room:
                return False
            first = self._pick(0, room - length) if self._chance(0.1) else self._integer(0, room - length)
            start = first - low
            if _counts_elements(stream, fields):  # from any element of the first word on; what that pushes out of the memory is not legal
                lanes = self._link(engine, stream, fields).lanes
                start = start * lanes + self._integer(0, lanes - 1)
            fields[name] = start % (1 << self._formats[engine.name].by_name[name].width) if words else start
        if pair is not None:
            fields[f"{pair[1].prefix}_base"] = fields[f"{pair[0].prefix}_base"]
        return True

    def _room(self, memory: str) -> int:
        return self.window_bytes if memory == self.graph.external.name else self.graph.memories[memory].size_bytes

    def _legal(self, engine: Engine, fields: Mapping[str, int], pair: tuple[Stream, Stream] | None) -> bool:
        instruction = Instruction(engine.name, fields)
        accesses = self._footprints(instruction)
        if any(access.lo_byte < 0 or access.hi_byte > self._room(access.memory) for access in accesses):
            return False
        if absent(self.graph, instruction) or exceeded(self.graph, instruction):
            return False
        streams = {port: stream for stream in _streams(engine) for port in stream.ports}
        for one, two in _pairs(accesses):
            if one.memory != two.memory or one.memory == self.graph.external.name:
                continue
            if one.write == two.write and one.first_bank <= two.last_bank and two.first_bank <= one.last_bank:
                return False
            overlaps = one.lo_byte < two.hi_byte and two.lo_byte < one.hi_byte
            meet = overlaps and one.write != two.write and streams[one.port] != streams[two.port]
            if meet and (pair is None or {streams[one.port], streams[two.port]} != set(pair)):
                return False
        everything = {item.name: item.bias for item in self._formats[engine.name].fields} | dict(fields)
        return order_fault(self.graph, engine.name, everything, accesses) is None and engine_timing(self.graph, engine.name).start(0, everything) <= MOST_CYCLES

    def _link(self, engine: Engine, stream: Stream, fields: Mapping[str, int]) -> Link:
        return self.graph.links_of(engine.name, stream.ports[0])[fields.get(stream.select, 0) if stream.select else 0]

    # ---- numbers

    def _integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def _chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _pick(self, *values):
        return values[int(self.rng.integers(len(values)))]

    def _float(self) -> int:
        """Float32 pattern: mostly of a moderate magnitude, now and then anything."""
        if self._chance(0.08):
            return self._integer(0, (1 << 32) - 1)
        return int(np.float32(self.rng.choice([-1, 1], p=[0.1, 0.9]) * 2.0 ** self.rng.uniform(-14, 3)).view(np.uint32))


def _streams(engine: Engine) -> tuple[Stream, ...]:
    return engine.streams


def _counts_elements(stream: Stream, fields: Mapping[str, int]) -> bool:
    return bool(stream.elements_by and fields.get(stream.elements_by, 0))


def _bits(link: Link) -> int:
    """Of an element."""
    return 8 * link.port_bytes // link.lanes


def _pairs(accesses: list[Access]) -> Iterator[tuple[Access, Access]]:
    for position, one in enumerate(accesses):
        for two in accesses[position + 1:]:
            yield one, two


