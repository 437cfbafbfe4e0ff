"""The instruction set of a graph: field layout derived, never retyped; encode, decode, disassemble."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np

from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.kinds.spec import BOUND_BITS, COUNT_BITS, ORIGIN_BITS, STEP_BITS, Control, Counts, Stream
from acg.nodes import Engine, Graph

__all__ = ["ENGINE_BITS", "Field", "Format", "Instruction", "InstructionSet", "instruction_set"]

#: Width of the header's engine field: 1 + engine index.
ENGINE_BITS = 8
#: Width of the header's check halfword.
CHECK_BITS = 16
#: Width of a retire counter and of a wait count; waits compare modulo 2^16.
COUNTER_BITS = 16


@dataclass(frozen=True)
class Field:
    """A field: ``lsb`` within the instruction; the encoded number is the value minus ``bias``, two's complement when ``signed``,
    modulo 2^width when ``wraps``."""

    name: str
    width: int
    lsb: int
    signed: bool = False
    bias: int = 0
    wraps: bool = False

    @property
    def low(self) -> int:
        """Least value."""
        return self.bias - (1 << (self.width - 1)) if self.signed else self.bias

    @property
    def high(self) -> int:
        """Greatest value."""
        return self.low + (1 << self.width) - 1


@dataclass(frozen=True)
class Format:
    """Fields of one engine's instructions; the body is everything behind the header."""

    engine: str
    fields: tuple[Field, ...]
    body_lsb: int
    body_bits: int

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {item.name: item for item in self.fields}


@dataclass(frozen=True)
class Instruction:
    """One macro-instruction.

    Attributes
    ----------
    engine : str
        Name of the engine node.
    fields : Mapping[str, int]
        Body fields by name, true values (counts are not minus one). Fields left out are their least magnitude: 0, counts 1.
    waits : Mapping[str, int]
        Engine name to the retire count (modulo 2^16) that must have been reached before the start.
    """

    engine: str
    fields: Mapping[str, int]
    waits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def _bits(values: int) -> int:
    """Bits that number ``values`` things, at least 1."""
    return max(1, (values - 1).bit_length())


Row = tuple[str, int, bool, int, bool]  # name, width, signed, bias, wraps


def _counts(graph: Graph, engine: Engine, item: Counts) -> Iterator[Row]:
    for level, width in enumerate(item.widths):
        yield f"n_{level}", width, False, 1, False


def _control(graph: Graph, engine: Engine, item: Control) -> Iterator[Row]:
    if item.wide and all(link.element.bits != 32 for link in graph.links_of(engine.name, item.wide)):
        return
    bits = item.bits
    if item.links_of:
        bits = _bits(len(graph.links_of(engine.name, item.links_of)))
    elif item.words_of:
        bits = _bits(max(graph.memories[link.memory].size_bytes // link.port_bytes for link in graph.links_of(engine.name, item.words_of)) + 1)
    elif item.part_of:
        bits = _bits(max(link.words for link in graph.links_of(engine.name, item.part_of)))
    yield item.name, bits, item.signed, item.bias, False


def _has(graph: Graph, engine: Engine, control: str) -> bool:
    """Whether an engine's instructions have a control of its kind."""
    return any(isinstance(item, Control) and item.name == control and any(_control(graph, engine, item)) for item in engine.body)


def _stream(graph: Graph, engine: Engine, item: Stream) -> Iterator[Row]:
    links = graph.links_of(engine.name, item.ports[0])
    memories = [graph.memories[link.memory] for link in links]
    if item.unit == "bank":
        yield f"{item.prefix}_select", _bits(max(memory.banks for memory in memories)), False, 0, False
        return
    if item.unit == "byte":
        width = stride_width = _bits(max(memory.size_bytes for memory in memories))
        if memories[0].kind == "external":
            width = memories[0].address_bits
        yield f"{item.prefix}_address", width, False, 0, False
    else:
        width = stride_width = _bits(max(memory.size_bytes // link.port_bytes for memory, link in zip(memories, links, strict=True)))
        if item.elements_by and _has(graph, engine, item.elements_by):
            width = stride_width = width + (links[0].lanes - 1).bit_length()
        yield f"{item.prefix}_base", width, False, 0, True
    if item.own_counts:
        for level in item.levels:
            yield f"{item.prefix}_n_{level}", COUNT_BITS, False, 1, False
    for level in item.levels:
        yield f"{item.prefix}_stride_{level}", stride_width + 1, True, 0, False
    if item.number:
        yield f"{item.prefix}_signed", 1, False, 0, False
        yield f"{item.prefix}_zero", 9, True, 0, False
    for axis in item.axes:
        yield f"{axis.name}_origin", ORIGIN_BITS, True, 0, False
        for level in axis.levels:
            yield f"{axis.name}_step_{level}", STEP_BITS, False, 0, False
        if axis.words:
            yield f"{axis.name}_step_word", STEP_BITS, False, 0, False
        yield f"{axis.name}_bound", BOUND_BITS, False, 0, False


_ROWS: dict[type, Callable[..., Iterator[Row]]] = {Counts: _counts, Control: _control, Stream: _stream}


def _body(graph: Graph, engine: Engine) -> Iterator[Row]:
    """Fields of an engine's instructions, in the order of its kind's body."""
    for item in engine.body:
        yield from _ROWS[type(item)](graph, engine, item)


class InstructionSet:
    """Instruction set of a graph.

    Attributes
    ----------
    header : tuple[Field, ...]
        ``check`` (bits 0 to 15), ``engine`` and for each engine index e ``wait_on_<e>``, ``wait_count_<e>``.
    formats : dict[str, Format]
        By engine name.
    instruction_bits, instruction_bytes : int
        Width of every instruction: the widest header and body, rounded up to a power of two of bytes and at least one beat of
        the external bus. A power of two, so that an instruction never crosses an AXI 4 KiB boundary.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.fingerprint = fingerprint(graph)
        rows = [("check", CHECK_BITS), ("engine", ENGINE_BITS)]
        for index in range(len(graph.engines)):
            rows += [(f"wait_on_{index}", 1), (f"wait_count_{index}", COUNTER_BITS)]
        header = []
        lsb = 0
        for name, width in rows:
            header.append(Field(name, width, lsb))
            lsb += width
        self.header = tuple(header)
        places = {item.name: item.lsb for item in header}
        #: Of each engine that may be awaited: the bits of its wait and of its count.
        self._waits = {engine.name: (places[f"wait_on_{engine.index}"], places[f"wait_count_{engine.index}"]) for engine in graph.engines.values()}
        self.body_lsb = lsb
        self.formats: dict[str, Format] = {}
        widest = 0
        for engine in graph.engines.values():
            fields = []
            position = self.body_lsb
            for name, width, signed, bias, wraps in _body(graph, engine):
                fields.append(Field(name, width, position, signed, bias, wraps))
                position += width
            self.formats[engine.name] = Format(engine.name, tuple(fields), self.body_lsb, position - self.body_lsb)
            widest = max(widest, position)
        self.instruction_bytes = max(1 << ((widest + 7) // 8 - 1).bit_length(), graph.external.bus_bytes)
        self.instruction_bits = 8 * self.instruction_bytes
        self._names = tuple(graph.engines)
        self._floats = {
            name: {item.name for item in engine.specification.body if isinstance(item, Control) and item.shown_as == "float32"}
            for name, engine in graph.engines.items()
        }
        #: Of each engine's fields: name, bias, mask, wraps, low, high, lsb.
        self._rows = {
            engine: [(f.name, f.bias, (1 << f.width) - 1, f.wraps, f.low, f.high, f.lsb) for f in layout.fields]
            for engine, layout in self.formats.items()
        }

    def encode(self, instruction: Instruction) -> bytes:
        """Encode; raise InstructionError for an unknown engine or field, or a value that its field cannot hold."""
        if instruction.engine not in self.formats:
            raise InstructionError(f"instruction: engine {instruction.engine!r} does not exist; expected one of {', '.join(self._names)}")
        layout = self.formats[instruction.engine]
        word = (self.graph.engines[instruction.engine].index + 1) << CHECK_BITS
        given = instruction.fields
        if not given.keys() <= layout.by_name.keys():
            unknown = next(name for name in given if name not in layout.by_name)
            raise InstructionError(f"instruction for {instruction.engine}: unknown field {unknown!r}; expected one of {', '.join(layout.by_name)}")
        for name, bias, mask, wraps, low, high, lsb in self._rows[instruction.engine]:
            value = given.get(name, bias)
            if value == bias:  # is 0 in the word
                continue
            value = int(value)
            if wraps:
                value &= mask
            if not low <= value <= high:
                raise InstructionError(f"instruction for {instruction.engine}: field {name} is {value}; expected {low} to {high}")
            word |= ((value - bias) & mask) << lsb
        for name, count in instruction.waits.items():
            if name not in self._waits:
                raise InstructionError(f"instruction for {instruction.engine}: waits on {name!r}; expected one of {', '.join(self._names)}")
            on, counts = self._waits[name]
            word |= 1 << on | (count & 0xFFFF) << counts
        word |= self.halfword_xor(word) ^ (self.fingerprint & 0xFFFF)
        return word.to_bytes(self.instruction_bytes, "little")

    @staticmethod
    def halfword_xor(word: int) -> int:
        """Exclusive or of all 16-bit halfwords of an encoded instruction."""
        bits = 16
        while bits < word.bit_length():
            bits *= 2
        while bits > 16:  # fold one half onto the other
            bits //= 2
            word = (word >> bits) ^ (word & ((1 << bits) - 1))
        return word

    def check_holds(self, word: int) -> bool:
        """Whether an encoded instruction carries the right check halfword for this graph."""
        return self.halfword_xor(word) == self.fingerprint & 0xFFFF

    def decode(self, data: bytes) -> Instruction:
        """Decode one instruction; raise InstructionError for a wrong length, check or engine."""
        if len(data) != self.instruction_bytes:
            raise InstructionError(f"instruction: {len(data)} bytes; expected {self.instruction_bytes}")
        word = int.from_bytes(data, "little")
        if not self.check_holds(word):
            raise InstructionError(
                f"instruction: check is {self.halfword_xor(word):#06x}; expected {self.fingerprint & 0xFFFF:#06x}, "
                "the program is damaged or made for another graph"
            )
        index = (word >> CHECK_BITS & ((1 << ENGINE_BITS) - 1)) - 1
        if not 0 <= index < len(self._names):
            raise InstructionError(f"instruction: engine field is {index + 1}; expected 1 to {len(self._names)}")
        layout = self.formats[self._names[index]]
        fields = {}
        for item in layout.fields:
            raw = (word >> item.lsb) & ((1 << item.width) - 1)
            if item.signed and raw >> (item.width - 1):
                raw -= 1 << item.width
            fields[item.name] = raw + item.bias
        waits = {}
        for name in self._names:
            on, counts = self._waits[name]
            if (word >> on) & 1:
                waits[name] = (word >> counts) & 0xFFFF
        return Instruction(self._names[index], fields, waits)

    def decode_program(self, data: bytes) -> list[Instruction]:
        """Decode a whole program; errors name the instruction's number."""
        size = self.instruction_bytes
        if len(data) % size:
            raise InstructionError(f"program: {len(data)} bytes; expected a multiple of {size}, the program is truncated")
        result = []
        for number in range(len(data) // size):
            try:
                result.append(self.decode(data[number * size : (number + 1) * size]))
            except InstructionError as error:
                raise InstructionError(f"program, instruction {number}: {str(error).removeprefix('instruction: ')}") from None
        return result

    def encode_program(self, instructions: Iterable[Instruction]) -> bytes:
        """Encode a whole program."""
        return b"".join(self.encode(instruction) for instruction in instructions)

    def disassemble(self, instruction: Instruction) -> str:
        """One line: engine, waits, then every field that is not its least magnitude. Floats are shown as such."""
        layout = self.formats[instruction.engine]
        parts = [instruction.engine]
        parts += [f"wait({name}>={count})" for name, count in instruction.waits.items()]
        for item in layout.fields:
            value = instruction.fields.get(item.name, item.bias)
            if value == item.bias:
                continue
            if item.name in self._floats[instruction.engine]:
                parts.append(f"{item.name}={float(np.uint32(value).view(np.float32))!r}")
            else:
                parts.append(f"{item.name}={value}")
        return " ".join(parts)


@lru_cache(maxsize=64)
def instruction_set(graph: Graph) -> InstructionSet:
    """Instruction set of a graph, made once a graph."""
    return InstructionSet(graph)
