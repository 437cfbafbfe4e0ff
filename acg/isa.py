"""The instruction set of a graph: field layout derived, never retyped; encode, decode, disassemble."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from acg.errors import InstructionError
from acg.fields import COUNTER_BITS, Field, Format, body_rows
from acg.fingerprint import fingerprint
from acg.kinds.spec import Control
from acg.nodes import Graph

__all__ = ["ENGINE_BITS", "Instruction", "InstructionSet", "instruction_set"]

#: Width of the header's engine field: 1 + engine index.
ENGINE_BITS = 8
#: Width of the header's check halfword.
CHECK_BITS = 16


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
            for name, width, signed, bias, wraps in body_rows(graph, engine):
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
