"""The kind ``window``: one instruction slides a kernel over a box of the input, channel block by channel block: depthwise convolutions and pools.

    y[b, oy, ox] (+)= sum over ky, kx of a[b, oy * y_step + ky - top, ox * x_step + kx - left] * w[b, ky, kx]         or the largest a

A box is read word by word, each once, whatever the kernel; what the kernel sees beyond it is padding, worth the zero point. `y_lead` and `x_lead` say
where the first window's last row and column lie in the box, so top is n_5 - 1 - y_lead and left n_6 - 1 - x_lead.

Levels: 0 blocks, 1 and 2 the box (y, x), 3 and 4 positions (y, x), 5 and 6 the kernel (y, x).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from acg.kinds.rules import read_and_written, same, timed, words_apart
from acg.kinds.spec import COUNT_BITS, Control, Counts, EngineKind, Limit, Offer, Port, Size, Stream
from acg.timing.window import WindowTiming

if TYPE_CHECKING:
    from acg.footprint import Access
    from acg.nodes import Engine, Graph

__all__ = ["WINDOW"]

Fields = Mapping[str, int]

KERNEL_BITS = 8
STEP_BITS = 4


def _work(graph: Graph, engine: Engine, fields: Fields) -> int:
    """Lanes of the box, and of all rows that the windows pass over with each of their taps."""
    get = fields.get
    columns = get("n_2", 1)
    rows = max(get("n_1", 1), get("y_lead", 0) + get("n_3", 1) * get("y_step", 1))
    return get("n_0", 1) * rows * columns * get("n_5", 1) * get("n_6", 1) * engine.number("lanes")


def _order(graph: Graph, engine: Engine, fields: Fields, accesses: Sequence[Access]) -> tuple[str, str] | None:
    """What is added to has been read before it is written: each position of each block has a word of its own; and operands are not results."""
    port = read_and_written(accesses, ("activation", "weight"))
    if port is not None:
        return f"port {port}, which reads what the same instruction writes", "operands apart from the sums"
    if words_apart(fields, "c", (0, 3, 4)):
        return None
    return "accumulator words that several positions write", "another word for each position of each block"


WINDOW = EngineKind(
    name="window",
    doc="{taps} taps x {lanes} lanes, kernels of {kernel_rows} rows, steps to {steps}, rows of {row_words} words",
    sizes=(Size("taps"), Size("lanes"), Size("kernel_rows", 1, 16), Size("row_words", 1, 4096), Size("steps", 1, 15)),
    ports=(
        Port("activation", True, (1, "lanes"), elements=("i8",)),
        Port("weight", True, (1, "lanes"), elements=("i8",)),
        Port("accumulator", True, (1, "lanes"), elements=("i32",)),
        Port("result", False, (1, "lanes"), elements=("i32",)),
    ),
    body=(
        Counts((COUNT_BITS,) * 5 + (KERNEL_BITS,) * 2),
        Stream("a", ("activation",), (0, 1, 2), number=True),
        Control("multiply", codes=(("WINDOW_MAC", 1),)),
        Stream("w", ("weight",), run=((0, 5, 6), ""), enabled_by="multiply", number=True),
        Control("y_lead", KERNEL_BITS, usual=(0, 1, 2)),
        Control("x_lead", KERNEL_BITS, usual=(0, 1, 2)),
        Control("y_step", STEP_BITS, bias=1, usual=(1, 2)),
        Control("x_step", STEP_BITS, bias=1, usual=(1, 2)),
        Stream("c", ("accumulator", "result"), (0, 3, 4)),
        Control("maximum", codes=(("WINDOW_MAX", 1),), offered_by=("WINDOW_MAC", "WINDOW_MAX")),
        Control("accumulate"),
    ),
    offers=(
        Offer("WINDOW_MAC", (("l", "lanes"), ("t", "taps")), "c", ("a", "w"), "accumulate"),
        Offer("WINDOW_MAX", (("l", "lanes"), ("t", "taps")), "c", ("a",), "accumulate"),
    ),
    rules=(same("accumulator", "result"),),
    limits=(
        Limit(("n_5", "n_6"), ("taps",), "the taps of a pass"),
        Limit(("n_5",), ("kernel_rows",), "the rows of a kernel"),
        Limit(("n_2",), ("row_words",), "the words of a row"),
        Limit(("y_step",), ("steps",), "the longest step"),
        Limit(("x_step",), ("steps",), "the longest step"),
        Limit(("n_4", "x_step"), ("n_2", "y_step"), "what comes in from one row of positions to the next"),
    ),
    timing=timed(WindowTiming, ("taps",), ("activation", "weight", "accumulator")),
    work=_work,
    order=_order,
)
