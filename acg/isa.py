"""The instruction set of a graph: field layout derived, never retyped; encode, decode, disassemble."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np

from acg.capability import ESTIMATES
from acg.errors import InstructionError
from acg.fingerprint import fingerprint
from acg.graph import Engine, Graph

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


class _Layout:
    """Collects (name, width, signed, bias, wraps) rows."""

    def __init__(self):
        self.rows: list[tuple[str, int, bool, int, bool]] = []

    def add(self, name: str, width: int, *, signed: bool = False, bias: int = 0, wraps: bool = False) -> None:
        self.rows.append((name, width, signed, bias, wraps))

    def counts(self, number: int, widths: Iterable[int]) -> None:
        for level, width in zip(range(number), widths, strict=True):
            self.add(f"n_{level}", width, bias=1)

    def stream(self, prefix: str, words: int, levels: Iterable[int]) -> None:
        """A base in port words and a signed stride a level."""
        width = _bits(words)
        self.add(f"{prefix}_base", width, wraps=True)
        for level in levels:
            self.add(f"{prefix}_stride_{level}", width + 1, signed=True)

    def coordinate(self, axis: str, levels: Iterable[int]) -> None:
        """Virtual padding: origin, one step for each of two levels, and the bound."""
        self.add(f"{axis}_origin", ORIGIN_BITS, signed=True)
        for level in levels:
            self.add(f"{axis}_step_{level}", STEP_BITS)
        self.add(f"{axis}_bound", BOUND_BITS)

    def number(self, prefix: str) -> None:
        """Signedness and zero point of an 8-bit operand."""
        self.add(f"{prefix}_signed", 1)
        self.add(f"{prefix}_zero", 9, signed=True)


COUNT_BITS = 16
ROW_BYTES_BITS = 24
ORIGIN_BITS = 17
STEP_BITS = 12
BOUND_BITS = 16


def _port_words(graph: Graph, engine: Engine, port: str) -> int:
    return max(graph.memories[link.memory].size_bytes // link.port_bytes for link in graph.links_of(engine.name, port))


def _copy_layout(graph: Graph, engine: Engine, layout: _Layout) -> None:
    port = "destination" if engine.kind == "load" else "source"
    links = graph.links_of(engine.name, port)
    local_bytes = max(graph.memories[link.memory].size_bytes for link in links)
    layout.add("select", _bits(len(links)))
    layout.counts(4, (COUNT_BITS, COUNT_BITS, COUNT_BITS, ROW_BYTES_BITS))
    layout.add("ext_address", graph.external.address_bits)
    for level in range(3):
        layout.add(f"ext_stride_{level}", _bits(graph.external.size_bytes) + 1, signed=True)
    layout.add("local_address", _bits(local_bytes))
    for level in range(3):
        layout.add(f"local_stride_{level}", _bits(local_bytes) + 1, signed=True)


def _matrix_layout(graph: Graph, engine: Engine, layout: _Layout) -> None:
    layout.counts(6, [COUNT_BITS] * 6)
    layout.stream("a", _port_words(graph, engine, "activation"), range(6))
    layout.number("a")
    layout.coordinate("y", (1, 4))
    layout.coordinate("x", (2, 5))
    layout.stream("w", _port_words(graph, engine, "weight"), ())
    layout.number("w")
    layout.stream("c", _port_words(graph, engine, "accumulator"), (0, 4, 5))
    layout.add("accumulate", 1)


def _vector_layout(graph: Graph, engine: Engine, layout: _Layout) -> None:
    layout.counts(6, [COUNT_BITS] * 6)
    layout.add("a_select", _bits(len(graph.links_of(engine.name, "a"))))
    layout.stream("a", _port_words(graph, engine, "a"), range(6))
    layout.number("a")
    layout.coordinate("y", (2, 4))
    layout.coordinate("x", (3, 5))
    layout.add("b_enable", 1)
    layout.add("b_select", _bits(len(graph.links_of(engine.name, "b"))))
    layout.stream("b", _port_words(graph, engine, "b"), range(6))
    layout.number("b")
    layout.add("p_enable", 1)
    layout.stream("p", _port_words(graph, engine, "parameter"), (0, 1))
    layout.add("int_op", 1)
    layout.add("reduce", 2)
    layout.add("numeric", 1)
    if any(graph.memories[link.memory].element.bits == 32 for link in graph.links_of(engine.name, "y")):
        layout.add("a_float", 1)
        layout.add("b_float", 1)
    layout.add("binary", 3)
    if any(engine.can(operation) for operation in ESTIMATES):
        layout.add("estimate", 2)
    layout.add("scale_a", 32)
    layout.add("scale_b", 32)
    layout.add("scale_y", 32)
    layout.add("scale_y_low", 28)
    layout.add("y_zero", 9, signed=True)
    layout.add("y_low", 9, signed=True)
    layout.add("y_high", 9, signed=True)
    layout.add("table_enable", 1)
    layout.add("table_select", _bits(graph.memories[graph.link_of(engine.name, "table").memory].banks))
    layout.add("y_select", _bits(len(graph.links_of(engine.name, "y"))))
    layout.stream("y", _port_words(graph, engine, "y"), range(6))


_LAYOUTS = {"load": _copy_layout, "store": _copy_layout, "matrix": _matrix_layout, "vector": _vector_layout}


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
        self._header = {item.name: item for item in header}
        self.body_lsb = lsb
        self.formats: dict[str, Format] = {}
        widest = 0
        for engine in graph.engines.values():
            layout = _Layout()
            _LAYOUTS[engine.kind](graph, engine, layout)
            fields = []
            position = self.body_lsb
            for name, width, signed, bias, wraps in layout.rows:
                fields.append(Field(name, width, position, signed, bias, wraps))
                position += width
            self.formats[engine.name] = Format(engine.name, tuple(fields), self.body_lsb, position - self.body_lsb)
            widest = max(widest, position)
        self.instruction_bytes = max(1 << ((widest + 7) // 8 - 1).bit_length(), graph.external.bus_bytes)
        self.instruction_bits = 8 * self.instruction_bytes
        self._names = tuple(graph.engines)
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
        unknown = [name for name in instruction.fields if name not in layout.by_name]
        if unknown:
            raise InstructionError(f"instruction for {instruction.engine}: unknown field {unknown[0]!r}; expected one of {', '.join(layout.by_name)}")
        given = instruction.fields
        for name, bias, mask, wraps, low, high, lsb in self._rows[instruction.engine]:
            value = int(given.get(name, bias))
            if wraps:
                value &= mask
            if not low <= value <= high:
                raise InstructionError(f"instruction for {instruction.engine}: field {name} is {value}; expected {low} to {high}")
            word |= ((value - bias) & mask) << lsb
        for name, count in instruction.waits.items():
            if name not in self.graph.engines:
                raise InstructionError(f"instruction for {instruction.engine}: waits on {name!r}; expected one of {', '.join(self._names)}")
            index = self.graph.engines[name].index
            word |= 1 << self._header[f"wait_on_{index}"].lsb
            word |= (count & 0xFFFF) << self._header[f"wait_count_{index}"].lsb
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
        for number, name in enumerate(self._names):
            if (word >> self._header[f"wait_on_{number}"].lsb) & 1:
                waits[name] = (word >> self._header[f"wait_count_{number}"].lsb) & 0xFFFF
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
            if item.name in ("scale_a", "scale_b", "scale_y"):
                parts.append(f"{item.name}={float(np.uint32(value).view(np.float32))!r}")
            else:
                parts.append(f"{item.name}={value}")
        return " ".join(parts)


@lru_cache(maxsize=64)
def instruction_set(graph: Graph) -> InstructionSet:
    """Instruction set of a graph, made once a graph."""
    return InstructionSet(graph)
