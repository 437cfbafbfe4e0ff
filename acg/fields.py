"""Fields of a kind's instructions, and where they lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from acg.kinds.spec import BOUND_BITS, COUNT_BITS, ORIGIN_BITS, STEP_BITS, Control, Counts, Stream
from acg.nodes import Engine, Graph

__all__ = ["COUNTER_BITS", "Field", "Format", "body_rows"]

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


def body_rows(graph: Graph, engine: Engine) -> Iterator[Row]:
    """Fields of an engine's instructions, in the order of its kind's body."""
    for item in engine.body:
        yield from _ROWS[type(item)](graph, engine, item)
