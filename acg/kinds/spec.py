"""The vocabulary in which a kind of engine is described. Everything that is not the datapath, its timing or its meaning follows from it: the YAML
schema and its checks, instruction fields, footprints, port widths, the manual.

A kind's **body** is one ordered list: the order of its items is that of the bits in an instruction, and that of its streams the order of accesses.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acg.footprint import Access
    from acg.nodes import Engine, Graph

__all__ = ["BUS", "CHUNK", "Axis", "CodeFault", "Control", "Counts", "Depth", "Derived", "EngineKind", "Item", "Limit", "Offer",
           "Order", "Port", "Rule", "Size", "Stream", "Table", "Work"]

#: Widths of a port that are no size of the engine: bytes of a bus beat, and what a copy moves a cycle, the least of the bus and the words behind it.
BUS, CHUNK = "bus", "chunk"

COUNT_BITS = 16
ORIGIN_BITS = 17
STEP_BITS = 12
BOUND_BITS = 16


@dataclass(frozen=True)
class Size:
    """A number from ``low`` to ``high`` that a description gives an engine of the kind, or one of the words ``choices``."""

    name: str
    low: int = 1
    high: int = 64
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Derived:
    """A size that no description gives: ``size`` divided by ``divisor``. Capabilities may name it."""

    name: str
    size: str
    divisor: int


@dataclass(frozen=True)
class Depth:
    """Registers of a part of the datapath: ``usual`` unless a description says another number, up to ``most``.

    ``what`` stands between them, in order, or where they stand; ``offered_by``: the part is there only where the engine offers one of these operations; left
    out, always.
    """

    name: str
    usual: int
    most: int
    what: str
    offered_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A nested table that a description gives an engine of the kind: at most ``most`` entries by names of capital letters and digits, each a number as
    ``number`` says, or a list of the words ``words``."""

    name: str
    most: int
    number: Size | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """A port on memories.

    Attributes
    ----------
    name : str
    reads : bool
        Seen from the engine.
    lanes : tuple[int, str]
        Elements an access: a factor, and the size it multiplies ("" for none); or 1 and `BUS` or `CHUNK`, which are bytes.
    memories, elements : tuple[str, ...]
        Kinds of memory and element types that it may be on.
    least, most : int
        Links that it must and may have.
    access : str
        What stands in an access of a factor above 1, for messages, with the engine's sizes in braces.
    beat : str
        The port in whose cycle it is asked for the same iteration, "" for none: such ports of different instructions never meet, all others of
        an engine may, as one instruction begins before the one before it has ended.
    masked : bool
        A writer enables bytes; others write whole accesses.
    built_in : bool
        The memory stands within the unit (tables): no port of the unit at the top level.
    spans : str
        A size: an access is as many bytes, in consecutive words of the port from any of them on. "": an access is one word.
    shared : bool
        Several streams go to it, one in a cycle at most.
    """

    name: str
    reads: bool
    lanes: tuple[int, str]
    memories: tuple[str, ...] = ("scratchpad",)
    elements: tuple[str, ...] = ("i8", "i32")
    least: int = 1
    most: int = 1
    access: str = ""
    beat: str = ""
    masked: bool = False
    built_in: bool = False
    spans: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Counts:
    """Loop counts ``n_0``, ``n_1``..., outermost first, each at least 1 and encoded minus one."""

    widths: tuple[int, ...]


@dataclass(frozen=True)
class Control:
    """A field that chooses.

    Attributes
    ----------
    name : str
    bits : int
        Its width; 0 with ``links_of``, the port whose links it numbers, ``words_of``, the port all words of whose memory it can count, and ``part_of``,
        the port whose words of an access it can count, from 1 on.
    signed : bool
    codes : tuple[tuple[str, int], ...]
        Operations and the value that chooses each; 0 chooses none. Values of operations that are not offered do not exist.
    what : str
        What its values number, where values that choose nothing are illegal ("the reductions"); "" where every value is legal.
    meanings : tuple[str, ...]
        What each value chooses, from 0 on, as manuals say it; left out, the operations of ``codes`` by name.
    offered_by : tuple[str, ...]
        It is there only where the engine offers one of these operations; left out, those of ``codes``, and without any it always is. A control
        that selects or enables a stream is there where the stream is.
    wide : str
        It is there only where this port reaches 32-bit elements.
    shown_as : str
        "integer", or "float32" where the disassembler shows its bits as a float.
    usual : tuple[int, ...]
        Values that programs give it mostly, where any others would make their results say little: random instructions prefer them.
    bias : int
        Its least value; encoded less that.
    numbered : tuple[str, int]
        It is there only where the engine's size of this name is above this number; "" for always.
    """

    name: str
    bits: int = 1
    signed: bool = False
    links_of: str = ""
    words_of: str = ""
    part_of: str = ""
    codes: tuple[tuple[str, int], ...] = ()
    what: str = ""
    meanings: tuple[str, ...] = ()
    offered_by: tuple[str, ...] = ()
    wide: str = ""
    shown_as: str = "integer"
    usual: tuple[int, ...] = ()
    bias: int = 0
    numbered: tuple[str, int] = ("", 0)


@dataclass(frozen=True)
class Axis:
    """Virtual padding: a coordinate that starts at an origin and that levels, outer ones first, move by a step each; beyond 0 to its bound no
    access happens and the operand is its zero point. ``words``: so does each further word of an access, by a step of its own."""

    name: str
    levels: tuple[int, ...]
    words: bool = False


@dataclass(frozen=True)
class Stream:
    """The address generator of an operand.

    Attributes
    ----------
    prefix : str
        Of its fields.
    ports : tuple[str, ...]
        Where it goes, in the order of the accesses; all at the same address.
    levels : tuple[int, ...]
        Loop levels that move it, each with a stride.
    unit : str
        What it counts: "word" of the port, wrapping; "byte" of the memory; "bank", without levels.
    select, enabled_by : str
        Controls: which of the port's links, and whether it is there at all.
    folded : tuple[str, tuple[int, ...]]
        A control, and the levels that do not move it while that is not 0.
    run : tuple[tuple[int, ...], str]
        No strides: it reads the product of the counts of these levels times this size words ("": times 1), one after the other; without
        levels it is no run.
    row : int
        A level that counts the bytes of a contiguous row; -1 for none.
    elements_by : str
        A control: while it is not 0 the stream counts elements of its port's words in place of words. Where the engine has that control, base
        and strides are as much wider, and what lies above the bits of a word address counts for nothing while it is 0.
    number : bool
        Its operand is an 8-bit number with a sign and a zero point.
    axes : tuple[Axis, ...]
    self_ordered : bool
        The engine itself keeps the order of these accesses between instructions that walk the same words in the same order, and where the later one
        begins new sums.
    offered_by : tuple[str, ...]
        It is there, and its ports with it, only where the engine offers one of these operations; always, if left out.
    own_counts : bool
        Its levels count for themselves (fields ``<prefix>_n_<level>``), whenever the engine uses it.
    bounded_by : str
        A control: while it is 0 axes count for nothing; always there, if left out.
    moves : str
        A control: words that an access moves, where its port spans several; all of them, if left out.
    sum_of : tuple[str, ...]
        No strides: it reads as many words as these controls add up to, one after the other.
    numbered : tuple[str, int]
        It is there only where the engine's size of this name is above this number; "" for always.
    """

    prefix: str
    ports: tuple[str, ...]
    levels: tuple[int, ...] = ()
    unit: str = "word"
    select: str = ""
    enabled_by: str = ""
    folded: tuple[str, tuple[int, ...]] = ("", ())
    run: tuple[tuple[int, ...], str] = ((), "")
    row: int = -1
    elements_by: str = ""
    number: bool = False
    axes: tuple[Axis, ...] = ()
    self_ordered: bool = False
    offered_by: tuple[str, ...] = ()
    own_counts: bool = False
    bounded_by: str = ""
    moves: str = ""
    sum_of: tuple[str, ...] = ()
    numbered: tuple[str, int] = ("", 0)

    @property
    def walk(self) -> tuple[str, ...]:
        """Fields that say which words a word stream without axes visits, in which order."""
        return (f"{self.prefix}_base", *(f"{self.prefix}_stride_{level}" for level in self.levels), *(f"n_{level}" for level in self.levels))


Item = Counts | Control | Stream


@dataclass(frozen=True)
class Offer:
    """An operation that engines of the kind may offer.

    Attributes
    ----------
    operation : str
        A name of `acg.operations`.
    dimensions : tuple[tuple[str, str], ...]
        The engine's size for each dimension of the operation, or a number in digits. Without any, all numbers are accepted: they say nothing that links
        do not.
    result, operands : str, tuple[str, ...]
        Prefixes of the streams that carry the result and each operand of the operation, in the order of its formula, where nothing else in the
        instruction makes or takes them.
    accumulate : str
        A control that adds the result to what stands where it goes; "" where none does.
    """

    operation: str
    dimensions: tuple[tuple[str, str], ...] = ()
    result: str = ""
    operands: tuple[str, ...] = ()
    accumulate: str = ""


@dataclass(frozen=True)
class Limit:
    """A bound on what a unit takes: the product of ``fields`` is at most the product of ``most``, sizes of the engine or other fields. The machine
    answers an instruction beyond it with ILLEGAL and the product.

    A dimension of an operation that is *walked* is bounded so: the taps of a window are the product of the counts of its two levels.
    """

    fields: tuple[str, ...]
    most: tuple[str, ...]
    what: str


#: (graph, engine, fields) -> elements that an instruction goes over.
Work = Callable[["Graph", "Engine", Mapping[str, int]], int]
#: (graph, engine, every field, footprint) -> what of an instruction depends on the unit's latency and what was expected instead, or None.
Order = Callable[["Graph", "Engine", Mapping[str, int], Sequence["Access"]], tuple[str, str] | None]
#: (engine, every field, code) -> what is wrong with the code and what was expected instead, or None.
CodeFault = Callable[["Engine", Mapping[str, int], bytes], tuple[str, str] | None]
#: Yields (path below the description, message) for whatever does not fit.
Rule = Callable[["Graph", "Engine"], Iterator[tuple[tuple[str, ...], str]]]


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine.

    Attributes
    ----------
    name, doc : str
        ``doc``: one sentence, for manuals; the engine's sizes stand in braces.
    sizes : tuple[Size, ...]
    ports : tuple[Port, ...]
    body : tuple[Counts | Control | Stream, ...]
    offers : tuple[Offer, ...]
    rules : tuple[Rule, ...]
        What sizes and memories must satisfy beyond what ports say.
    limits : tuple[Limit, ...]
        What fields must satisfy together.
    timing : callable
        (graph, engine) -> a fresh timing state (`acg.timing.EngineTiming`).
    steps : callable or None
        Steps of an instruction by its fields, one a cycle at best; None where they are the iterations of `Counts`.
    work : Work
        How much an instruction asks for.
    order : Order or None
        What in an instruction must not depend on how far the unit's pipeline has got; None for a unit whose parts cannot.
    derived : tuple[Derived, ...]
    tables : tuple[Table, ...]
    depths : tuple[Depth, ...]
        How deep its pipeline may be, part by part: what its timing and its unit both read (`acg.nodes.Engine.registers`).
    issues : callable or None
        (engine, operation) -> how many of an operation it begins a cycle; one, if left out.
    code_fault : CodeFault or None
        What is wrong with the code that an instruction runs; None for engines that run none. The stream with ``sum_of`` reads it.
    code_manual : callable or None
        (engine) -> tables of a manual about that code, a head and rows each.
    """

    name: str
    doc: str
    sizes: tuple[Size, ...]
    ports: tuple[Port, ...]
    body: tuple[Item, ...]
    offers: tuple[Offer, ...]
    timing: Callable[["Graph", "Engine"], Any]
    work: Work
    steps: Callable[[Mapping[str, int]], int] | None = None
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    order: Order | None = None
    derived: tuple[Derived, ...] = ()
    tables: tuple[Table, ...] = ()
    depths: tuple[Depth, ...] = ()
    issues: Callable[["Engine", str], int] | None = None
    code_fault: CodeFault | None = None
    code_manual: Callable[["Engine"], Sequence[tuple[tuple[str, ...], Sequence[tuple[object, ...]]]]] | None = None

    @property
    def copies(self) -> bool:
        """Whether it moves data between external and on-chip memory: it has a port on the bus."""
        return any("external" in port.memories for port in self.ports)

    def port(self, name: str) -> Port:
        """The port of this name."""
        return next(port for port in self.ports if port.name == name)

    def stream(self, prefix: str) -> Stream:
        """The stream whose fields have this prefix."""
        return next(stream for stream in self.streams if stream.prefix == prefix)

    def offer(self, operation: str) -> Offer:
        """How it offers an operation. Raises KeyError where it does not."""
        for offer in self.offers:
            if offer.operation == operation:
                return offer
        raise KeyError(operation)

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """Its address generators, in the order of the body."""
        return tuple(item for item in self.body if isinstance(item, Stream))

    def needs(self, item: Item) -> tuple[str, ...]:
        """Operations of which an engine offers one where it has this item of the body; none where every engine of the kind has it."""
        if isinstance(item, Counts):
            return ()
        if isinstance(item, Control):
            for stream in self.streams:
                if item.name in (stream.select, stream.enabled_by, stream.bounded_by, stream.moves):
                    return stream.offered_by
            return item.offered_by or tuple(operation for operation, _ in item.codes)
        return item.offered_by

    def port_needs(self, port: str) -> tuple[str, ...]:
        """`needs` of the stream that goes over a port."""
        return next((self.needs(stream) for stream in self.streams if port in stream.ports), ())

    def built(self, operations: Collection[str]) -> tuple[Item, ...]:
        """What of the body an engine has that offers these operations: what serves others only is not built."""
        return tuple(item for item in self.body if not (needs := self.needs(item)) or any(name in operations for name in needs))

    def built_ports(self, operations: Collection[str]) -> tuple[Port, ...]:
        """Ports of an engine that offers these operations."""
        there = {port for item in self.built(operations) if isinstance(item, Stream) for port in item.ports}
        absent = {port for stream in self.streams for port in stream.ports} - there
        return tuple(port for port in self.ports if port.name not in absent)

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of what it may offer."""
        return tuple(offer.operation for offer in self.offers)
