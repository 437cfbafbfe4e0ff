"""The kind ``vector``: one instruction is a chain over a loop nest, lane by lane: operands, reduction, float32 arithmetic, table, saturation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from acg.kinds.rules import needs_wide
from acg.kinds.spec import COUNT_BITS, Axis, Control, Counts, Depth, EngineKind, Offer, Port, Size, Stream
from acg.timing.vector import BINARY, FLOAT, MOST, NEEDED_BY, PRODUCTS, STAGES, VectorTiming, stages

if TYPE_CHECKING:
    from acg.footprint import Access
    from acg.nodes import Engine, Graph, Link

__all__ = ["ESTIMATES", "VECTOR"]

Fields = Mapping[str, int]

#: Operations with a second operand.
_SECOND = (*PRODUCTS, *BINARY)
#: Value of the field `estimate` for each operation that it can choose.
ESTIMATES: dict[str, int] = {"RECIPROCAL_ESTIMATE": 1, "RSQRT_ESTIMATE": 2}
_ALL = (0, 1, 2, 3, 4, 5)


#: What stands between the registers of the stages that can be cut.
_CUTS = {
    "operand": "words of the memories, operands", "multiply": "the product, what of it is used",
    "convert": "magnitude, two parts of its normalisation, float32",
    "scale": "partial products, their sum, its normalisation, float32", "binary": "of a sum: order, alignment, sum, two parts of its normalisation, float32",
    "rescale": "partial products, two products, their sum, its normalisation, float32", "integer": "alignment, integer", "saturate": "zero point, limits",
}


def _timing(graph: Graph, engine: Engine) -> VectorTiming:
    return VectorTiming(read_latency_cycles=graph.read_latency_cycles(engine.name, "a", "b", "parameter"), stages=stages(engine.operations, engine.registers),
                        address_cycles=engine.registers["address"])


def _work(graph: Graph, engine: Engine, fields: Fields) -> int:
    """Lanes of all iterations, those that give a result sixteen times."""
    iterations = prod(fields.get(f"n_{level}", 1) for level in range(6))
    results = prod(fields.get(f"n_{level}", 1) for level in range(4)) if fields.get("reduce", 0) else iterations
    return (iterations + 15 * results) * engine.number("lanes")


def _order(graph: Graph, engine: Engine, fields: Fields, accesses: Sequence[Access]) -> tuple[str, str] | None:
    """An iteration reads nothing that an earlier one of the same instruction has written; what a later one writes, or its own word, it may."""
    port = _early_read(graph, engine, fields, accesses)
    if port is None:
        return None
    return f"iterations whose port {port} reads what earlier ones have written", "reads of what the instruction found, or of the iteration's own word"


def _walk(fields: Fields, prefix: str, levels: Sequence[int], start: int) -> np.ndarray:
    """start + sum of stride times index, for each iteration of the whole loop nest in order: int64 [iterations]."""
    counts = [fields[f"n_{level}"] for level in range(6)]
    total = np.full((1,) * 6, start, np.int64)
    for level in levels:
        total = total + (np.arange(counts[level]) * fields[f"{prefix}_{level}"]).reshape([-1 if other == level else 1 for other in range(6)])
    return np.broadcast_to(total, counts).reshape(-1)


def _early_read(graph: Graph, engine: Engine, fields: Fields, accesses: Sequence[Access]) -> str | None:
    written = next(access for access in accesses if access.port == "y")
    ports = [access.port for access in accesses if access.memory == written.memory and access.port in _OPERANDS
             and access.lo_byte < written.hi_byte and written.lo_byte < access.hi_byte]
    if not ports:
        return None
    reduce = fields.get("reduce", 0)
    y = _words(graph, engine, fields, "y", "y", range(4) if reduce else range(6))
    number = np.arange(y.size)
    if reduce:
        inner = fields["n_4"] * fields["n_5"]
        y, number = y[inner - 1 :: inner], number[inner - 1 :: inner]
    for port in ports:
        reads = _words(graph, engine, fields, port, *_OPERANDS[port])
        # Words of both in units of the narrower.
        y_bytes, port_bytes = (_link(graph, engine, fields, name).port_bytes for name in ("y", port))
        parts = max(1, y_bytes // port_bytes), max(1, port_bytes // y_bytes)
        written_parts, read_parts = (np.add.outer(words * many, np.arange(many)) for words, many in zip((y, reads), parts, strict=True))
        words, first = np.unique(written_parts.reshape(-1), return_index=True)
        first = number[first // parts[0]]  # the iteration that writes each word first
        place = np.minimum(np.searchsorted(words, read_parts), len(words) - 1)
        early = ((words[place] == read_parts) & (first[place] < np.arange(reads.size)[:, None])).any(1)
        if port == "a":
            early &= _inside(fields)
        if early.any():
            return port
    return None


#: Prefix and levels of what reads scratchpads.
_OPERANDS: dict[str, tuple[str, Sequence[int]]] = {"a": ("a", range(6)), "b": ("b", range(6)), "parameter": ("p", (0, 1))}


def _link(graph: Graph, engine: Engine, fields: Fields, port: str) -> Link:
    return graph.links_of(engine.name, port)[fields.get(f"{port}_select", 0)]


def _words(graph: Graph, engine: Engine, fields: Fields, port: str, prefix: str, levels: Sequence[int]) -> np.ndarray:
    """Words of a port that each iteration names, in order."""
    words = _walk(fields, f"{prefix}_stride", levels, fields[f"{prefix}_base"])
    if port == "a" and fields.get("broadcast", 0):  # elements
        words = words >> (engine.number("lanes") - 1).bit_length()
    most = max(graph.memories[link.memory].size_bytes // link.port_bytes for link in graph.links_of(engine.name, port))
    return words & (1 << max(1, (most - 1).bit_length())) - 1  # a base wraps in its field


def _inside(fields: Fields) -> np.ndarray:
    """Whether each iteration's coordinates are within bounds: padding reads nothing."""
    y, x = (_walk(fields, f"{axis}_step", levels, fields[f"{axis}_origin"]) for axis, levels in (("y", (2, 4)), ("x", (3, 5))))
    return (y >= 0) & (y < fields["y_bound"]) & (x >= 0) & (x < fields["x_bound"])


def _offers(*operations: str, operands: tuple[str, ...]) -> tuple[Offer, ...]:
    return tuple(Offer(operation, (("l", "lanes"),), "y", operands) for operation in operations)


VECTOR = EngineKind(
    name="vector",
    doc="{lanes} lanes",
    sizes=(Size("lanes"),),
    depths=(
        Depth("address", 0, 1, "between the loop counter and the address generators"),
        *(Depth(name, cycles, MOST[name], what, NEEDED_BY.get(name, ())) for name, cycles in STAGES if (what := _CUTS.get(name))),
    ),
    ports=(
        Port("a", True, (1, "lanes"), most=8),
        Port("b", True, (1, "lanes"), most=8, beat="a"),
        Port("parameter", True, (2, "lanes"), elements=("i32",), access="a bias and a scale for each of {lanes} vector lanes"),
        Port("table", True, (1, ""), memories=("table",), elements=("i8",), built_in=True),
        Port("y", False, (1, "lanes"), most=8),
    ),
    body=(
        Counts((COUNT_BITS,) * 6),
        Control("broadcast", codes=(("BROADCAST_MAC", 1),)),
        Control("a_select", links_of="a"),
        Stream("a", ("a",), _ALL, select="a_select", elements_by="broadcast", number=True, axes=(Axis("y", (2, 4)), Axis("x", (3, 5)))),
        Control("b_enable"),
        Control("b_select", links_of="b"),
        Stream("b", ("b",), _ALL, select="b_select", enabled_by="b_enable", number=True, offered_by=_SECOND),
        Control("p_enable"),
        Stream("p", ("parameter",), (0, 1), enabled_by="p_enable", offered_by=FLOAT),
        Control("int_op", codes=(("MAC", 1), ("BROADCAST_MAC", 1))),
        Control("reduce", 2, codes=(("MAC", 1), ("BROADCAST_MAC", 1), ("SUM", 1), ("MAXIMUM", 2)), what="the reductions", meanings=("none", "sum", "maximum")),
        Control("numeric", codes=(("REQUANTIZE", 1),), offered_by=FLOAT),
        Control("a_float", wide="y", offered_by=FLOAT),
        Control("b_float", wide="y", offered_by=BINARY),
        Control("binary", 3, codes=(("ADD", 1), ("MUL", 2), ("MIN", 3), ("MAX", 4)), what="the operations on two values",
                meanings=("none", "add", "multiply", "minimum", "maximum")),
        Control("estimate", 2, codes=tuple(ESTIMATES.items()), what="the estimates"),
        Control("scale_a", 32, shown_as="float32", offered_by=FLOAT),
        Control("quantize", codes=(("FAKE_QUANTIZE", 1),)),
        Control("q_low", 9, signed=True, usual=(-128, 0), offered_by=("FAKE_QUANTIZE",)),
        Control("q_high", 9, signed=True, usual=(127, 255), offered_by=("FAKE_QUANTIZE",)),
        Control("q_scale", 32, shown_as="float32", offered_by=("FAKE_QUANTIZE",)),
        Control("scale_b", 32, shown_as="float32", offered_by=BINARY),
        Control("scale_y", 32, shown_as="float32", offered_by=("REQUANTIZE",)),
        Control("scale_y_low", 28, usual=(0,), offered_by=("REQUANTIZE",)),
        Control("y_zero", 9, signed=True),
        Control("y_low", 9, signed=True, usual=(-128, 0)),
        Control("y_high", 9, signed=True, usual=(127, 255)),
        Control("table_enable", codes=(("TABLE", 1),)),
        Stream("table", ("table",), unit="bank", enabled_by="table_enable", offered_by=("TABLE",)),
        Control("y_select", links_of="y"),
        Stream("y", ("y",), _ALL, select="y_select", folded=("reduce", (4, 5))),
    ),
    offers=(
        *_offers("MAC", "BROADCAST_MAC", operands=("a", "b")),
        *_offers("SUM", "MAXIMUM", operands=("a",)),
        *_offers("ADD", "MUL", "MIN", "MAX", operands=("a", "b")),
        *_offers("REQUANTIZE", operands=("a", "p")),
        *_offers("TABLE", "FAKE_QUANTIZE", *ESTIMATES, operands=("a",)),
    ),
    rules=(needs_wide("y", *ESTIMATES, what="float32 results"),),
    timing=_timing,
    work=_work,
    order=_order,
)
