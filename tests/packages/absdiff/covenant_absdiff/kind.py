"""The specification of the kind ``absdiff``, and the formula of its operation.

    ABSDIFF    y[] += |a[r] - b[r]|         reduced r: lanes

Levels: 0 and 1 positions (y, x), 2 words of channels. A position's result is written once, behind its last word.
"""

from math import prod

from acg.kinds.spec import COUNT_BITS, Control, Counts, EngineKind, Offer, Port, Size, Stream
from acg.operations import Formula, Typed
from covenant_absdiff.timing import AbsdiffTiming

__all__ = ["KIND", "OPERATIONS"]

OPERATIONS = {"ABSDIFF": Formula(Typed("i32", ()), (Typed("i9", ("r",)), Typed("i9", ("r",))))}


def _timing(graph, engine):
    return AbsdiffTiming(latency_cycles=graph.read_latency_cycles(engine.name, "a", "b"))


def _work(graph, engine, fields):
    """Elements that an instruction goes over."""
    return prod(fields.get(f"n_{level}", 1) for level in range(3)) * engine.number("lanes")


KIND = EngineKind(
    name="absdiff",
    doc="{lanes} lanes",
    sizes=(Size("lanes"),),
    ports=(
        Port("a", True, (1, "lanes"), elements=("i8",)),
        Port("b", True, (1, "lanes"), elements=("i8",)),
        Port("y", False, (1, ""), elements=("i32",)),
    ),
    body=(
        Counts((COUNT_BITS,) * 3),
        Control("channels", COUNT_BITS, usual=(1, 5, 16)),
        Stream("a", ("a",), (0, 1, 2), number=True),
        Stream("b", ("b",), (0, 1, 2), number=True),
        Stream("y", ("y",), (0, 1)),
    ),
    offers=(Offer("ABSDIFF", (("r", "lanes"),), result="y", operands=("a", "b")),),
    timing=_timing,
    work=_work,
)
