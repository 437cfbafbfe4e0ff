"""The specification of the kind ``bitserial``.

    MATMUL     y[c] += a[r] * w[r,c]        c: width, r: depth

A pass holds a block of weights, ``depth`` words of ``width`` bytes, and goes over positions. At each position a word of ``depth`` activations is shifted
out of registers, the highest of its 9 bits first, and the weights whose bit is set are added up: no multiplier, 9 cycles a position.
Levels: 0 output blocks, 1 to 3 the reduction (kernel y, kernel x, input blocks), 4 and 5 positions.
"""

from math import prod

from acg.kinds.rules import block, same
from acg.kinds.spec import COUNT_BITS, Axis, Control, Counts, EngineKind, Offer, Port, Size, Stream
from covenant_bitserial.timing import BitserialTiming

__all__ = ["KIND"]


def _timing(graph, engine):
    return BitserialTiming(depth=engine.number("depth"), weight_latency_cycles=graph.read_latency_cycles(engine.name, "block"),
                           operand_latency_cycles=graph.read_latency_cycles(engine.name, "serial", "sums_in"))


def _work(graph, engine, fields):
    """Elements that an instruction goes over: activations of all passes and positions."""
    return prod(fields.get(f"n_{level}", 1) for level in range(6)) * engine.number("depth")


KIND = EngineKind(
    name="bitserial",
    doc="{depth} x {width}, a bit of the activations a cycle",
    sizes=(Size("depth"), Size("width")),
    ports=(
        Port("serial", True, (1, "depth"), elements=("i8",)),
        Port("block", True, (1, "width"), elements=("i8",)),
        Port("sums_in", True, (1, "width"), elements=("i32",)),
        Port("sums_out", False, (1, "width"), elements=("i32",)),
    ),
    body=(
        Control("add"),
        Counts((COUNT_BITS,) * 6),
        Stream("t", ("sums_in", "sums_out"), (0, 4, 5), self_ordered=True),
        Stream("k", ("block",), run=((0, 1, 2, 3), "depth"), number=True),
        Stream("s", ("serial",), (0, 1, 2, 3, 4, 5), number=True, axes=(Axis("y", (1, 4)), Axis("x", (2, 5)))),
    ),
    offers=(Offer("MATMUL", (("c", "width"), ("r", "depth")), result="t", operands=("s", "k"), accumulate="add"),),
    rules=(same("sums_in", "sums_out"), block("block", "depth", "width", what="block of weights")),
    timing=_timing,
    work=_work,
)
