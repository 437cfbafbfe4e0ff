"""The kind ``core``: a programmable engine. One instruction runs a kernel of packets, which stands in code memory, over its streams.

    prologue_count x prologue
    tiles x { head, body_count x body }
    head, body, body, ..., drain_packets of them

A packet issues an operation a slot, one packet a cycle, without interlock; docs/core.md is the reference. An instruction says how often each part
runs, where its streams begin and how far they step, and the numbers of requantisation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from acg.kinds.core.check import kernel_fault
from acg.kinds.core.manual import packets_manual
from acg.kinds.core.operations import OUTER, SLOT_OPERATIONS
from acg.kinds.core.rules import RULES
from acg.kinds.spec import COUNT_BITS, Axis, Control, Counts, Derived, EngineKind, Item, Offer, Port, Size, Stream, Table
from acg.timing.core import CoreTiming
from acg.timing.core import packets as issued_packets

if TYPE_CHECKING:
    from acg.nodes import Engine, Graph

__all__ = ["CORE", "MOST_IN_STREAMS", "MOST_OUT_STREAMS", "MOST_SETS"]

MOST_IN_STREAMS, MOST_OUT_STREAMS, MOST_SETS = 6, 3, 4
#: Iterations of an instruction: that many bits.
ITERATION_BITS = 32
_LEVELS = (0, 1, 2, 3, 4, 5)


def _timing(graph: Graph, engine: Engine) -> CoreTiming:
    latencies = [int(str(value)) for value in engine.tables["latency_cycles"].values()]
    return CoreTiming(code_latency_cycles=graph.read_latency_cycles(engine.name, "code"), latency_cycles=max(latencies))


def _issues(engine: Engine, operation: str) -> int:
    """Slots that can do an outer operation."""
    return sum(bool(set(OUTER[operation]) & set(_words(operations))) for operations in engine.tables["slots"].values())


def _words(operations: int | tuple[str, ...]) -> tuple[str, ...]:
    assert not isinstance(operations, int)
    return operations


def _work(graph: Graph, engine: Engine, fields: Mapping[str, int]) -> int:
    """Bytes of a vector, a packet."""
    return issued_packets(fields) * engine.number("vector_bytes")


def _stream(prefix: str, port: str, numbered: tuple[str, int], *, bounds: bool) -> Iterator[Item]:
    """An address generator: whether it is there, on which link, how much it moves; with coordinates where it has bounds."""
    axes = (Axis(f"{prefix}_y", _LEVELS), Axis(f"{prefix}_x", _LEVELS, words=True)) if bounds else ()
    yield Control(f"{prefix}_enable", numbered=numbered)
    yield Control(f"{prefix}_select", links_of=port, numbered=numbered)
    if bounds:
        yield Control(f"{prefix}_bounded")
    yield Control(f"{prefix}_granules", part_of=port, bias=1, numbered=numbered)
    yield Stream(prefix, (port,), _LEVELS, select=f"{prefix}_select", enabled_by=f"{prefix}_enable", axes=axes, own_counts=True,
                 bounded_by=f"{prefix}_bounded" if bounds else "", moves=f"{prefix}_granules", numbered=numbered)


def _set(number: int) -> Iterator[Item]:
    """Numbers of requantisation, as those of the vector unit."""
    numbered, prefix, table = ("parameter_sets", number), f"q{number}", ("TABLE",)
    yield Control(f"{prefix}_scale_a", 32, shown_as="float32", numbered=numbered)
    yield Control(f"{prefix}_scale_b", 32, shown_as="float32", numbered=numbered)
    yield Control(f"{prefix}_scale_y", 32, shown_as="float32", numbered=numbered)
    yield Control(f"{prefix}_scale_y_low", 28, usual=(0,), numbered=numbered)
    yield Control(f"{prefix}_zero", 9, signed=True, numbered=numbered)
    yield Control(f"{prefix}_low", 9, signed=True, usual=(-128, 0), numbered=numbered)
    yield Control(f"{prefix}_high", 9, signed=True, usual=(127, 255), numbered=numbered)
    yield Control(f"{prefix}_table_enable", offered_by=table, numbered=numbered)
    yield Stream(f"{prefix}_table", ("table",), unit="bank", enabled_by=f"{prefix}_table_enable", offered_by=table, numbered=numbered)


def _lanes(*operations: str, operands: tuple[str, ...]) -> tuple[Offer, ...]:
    return tuple(Offer(operation, (("l", "lanes"),), "out0", operands) for operation in operations)


CORE = EngineKind(
    name="core",
    doc="{vector_bytes}-byte vectors from any {granule_bytes} bytes on, {registers} registers, packets of {packet_bytes} bytes",
    sizes=(
        Size("vector_bytes", 16, 256), Size("granule_bytes", 4, 64), Size("registers", 8, 64), Size("in_streams", 1, MOST_IN_STREAMS),
        Size("out_streams", 1, MOST_OUT_STREAMS), Size("parameter_sets", 1, MOST_SETS), Size("packet_bytes", 4, 64),
    ),
    derived=(Derived("lanes", "vector_bytes", 4),),
    tables=(Table("slots", 8, words=tuple(SLOT_OPERATIONS)), Table("latency_cycles", 8, number=Size("latency_cycles", 1, 63))),
    ports=(
        Port("code", True, (1, "packet_bytes"), elements=("i8",)),
        Port("load", True, (1, "granule_bytes"), elements=("i8",), most=8, spans="vector_bytes", shared=True),
        Port("table", True, (1, ""), memories=("table",), elements=("i8",), built_in=True, shared=True),
        Port("store", False, (1, "granule_bytes"), elements=("i8",), most=8, spans="vector_bytes", shared=True),
    ),
    body=(
        Counts(()),
        Control("prologue_packets", words_of="code"),
        Control("prologue_count", COUNT_BITS, bias=1),
        Control("head_packets", words_of="code"),
        Control("body_packets", words_of="code", bias=1),
        Control("body_count", COUNT_BITS, bias=1),
        Control("tiles", COUNT_BITS, bias=1),
        Control("drain_packets", COUNT_BITS),
        Control("iterations", ITERATION_BITS),
        Stream("code", ("code",), sum_of=("prologue_packets", "head_packets", "body_packets")),
        Control("a_signed"),
        Control("a_zero", 9, signed=True),
        Control("w_signed"),
        Control("w_zero", 9, signed=True),
        *(item for number in range(MOST_SETS) for item in _set(number)),
        *(item for number in range(MOST_IN_STREAMS) for item in _stream(f"in{number}", "load", ("in_streams", number), bounds=number == 0)),
        *(item for number in range(MOST_OUT_STREAMS) for item in _stream(f"out{number}", "store", ("out_streams", number), bounds=number == 0)),
    ),
    offers=(
        Offer("DOT", (("l", "lanes"), ("q", "4")), "out0", ("in0", "in1")),
        Offer("WINDOW_MAC", (("l", "lanes"), ("t", "4")), "out0", ("in0", "in1")),
        *_lanes("MAC", operands=("in0", "in1")),
        *_lanes("SUM", "MAXIMUM", operands=("in0",)),
        *_lanes("ADD", "MUL", "MIN", "MAX", operands=("in0", "in1")),
        *_lanes("REQUANTIZE", operands=("in0", "in1")),
        *_lanes("TABLE", "RECIPROCAL_ESTIMATE", "RSQRT_ESTIMATE", operands=("in0",)),
    ),
    rules=RULES,
    timing=_timing,
    work=_work,
    steps=issued_packets,
    issues=_issues,
    code_fault=kernel_fault,
    code_manual=packets_manual,
)
