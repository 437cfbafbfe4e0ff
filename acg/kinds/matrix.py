"""The kind ``matrix``: one instruction is a tile of a contraction, passes over blocks of weights times the positions of each pass.

Levels: 0 output blocks, 1 to 3 the reduction (kernel y, kernel x, input blocks), 4 and 5 positions (y, x).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from acg.kinds.rules import block, read_and_written, same, timed, words_apart
from acg.kinds.spec import COUNT_BITS, Axis, Control, Counts, Depth, EngineKind, Offer, Port, Size, Stream
from acg.timing.matrix import MatrixTiming

if TYPE_CHECKING:
    from acg.footprint import Access
    from acg.nodes import Engine, Graph

__all__ = ["MATRIX"]

Fields = Mapping[str, int]


def _work(graph: Graph, engine: Engine, fields: Fields) -> int:
    """Rows times positions of all passes, a pass no less than its weights."""
    counts = [fields.get(f"n_{level}", 1) for level in range(6)]
    rows = engine.number("rows")
    return prod(counts[:4]) * max(counts[4] * counts[5], rows) * rows


def _order(graph: Graph, engine: Engine, fields: Fields, accesses: Sequence[Access]) -> tuple[str, str] | None:
    """It adds to each accumulator word once a pass: its positions are different words, those of its blocks too unless all blocks have the same; and its
    operands are not its sums."""
    port = read_and_written(accesses, ("activation", "weight"))
    if port is not None:
        return f"port {port}, which reads what the same instruction writes", "operands apart from the sums"
    if words_apart(fields, "c", (4, 5) if fields["c_stride_0"] == 0 else (0, 4, 5)):
        return None
    return "accumulator words that several positions of a pass add to", "another word for each position"


MATRIX = EngineKind(
    name="matrix",
    doc="{organisation}, {rows} x {columns}",
    sizes=(Size("organisation", choices=("systolic", "dot")), Size("rows"), Size("columns")),
    depths=(Depth("address", 0, 1, "between the loop counter and the address generators"), Depth("multiply", 0, 2, "behind each product of the array")),
    ports=(
        Port("activation", True, (1, "rows"), elements=("i8",)),
        Port("weight", True, (1, "columns"), elements=("i8",)),
        Port("accumulator", True, (1, "columns"), elements=("i32",)),
        Port("result", False, (1, "columns"), elements=("i32",)),
    ),
    body=(
        Counts((COUNT_BITS,) * 6),
        Stream("a", ("activation",), (0, 1, 2, 3, 4, 5), number=True, axes=(Axis("y", (1, 4)), Axis("x", (2, 5)))),
        Stream("w", ("weight",), run=((0, 1, 2, 3), "rows"), number=True),
        Stream("c", ("accumulator", "result"), (0, 4, 5), self_ordered=True),
        Control("accumulate"),
    ),
    offers=(Offer("MATMUL", (("c", "columns"), ("r", "rows")), "c", ("a", "w"), accumulate="accumulate"),),
    rules=(
        same("accumulator", "result"),
        block("weight", "rows", "columns", what="block of weights"),
    ),
    timing=timed(MatrixTiming, ("rows", "columns", "organisation"), ("activation", "weight", "accumulator")),
    work=_work,
    order=_order,
)
