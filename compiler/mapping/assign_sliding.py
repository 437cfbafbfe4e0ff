"""Which engines slide a kernel: a window engine and a vector unit that reads its sums, where the two are sooner done than a vector unit alone."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.codelets import Codelet
from compiler.partitions import Partition
from compiler.target import Target, VectorUnit, WindowUnit, narrow
from compiler.tiles import ceil_div

#: What a vector unit would do in place of each operation of a window engine.
LANEWISE = {"WINDOW_MAC": "MAC", "WINDOW_MAX": "MAXIMUM"}


def sliding_units(codelet: Codelet, target: Target) -> Iterator[tuple[WindowUnit, VectorUnit, Partition]]:
    """Pairs of engines that are worth it, and the memory of their results."""
    reduction, *others = (operation.name for operation in codelet.operations)
    for window in target.window(reduction):
        for vector in target.vector:
            sink = narrow(vector.y, window.activation)
            if sink is None or all(memory.name != window.accumulator.name for memory in vector.a) or not all(vector.engine.can(name) for name in others):
                continue
            if not vector.engine.can(LANEWISE[reduction]) or _cycles(codelet, window, vector) < lanewise_cycles(codelet, vector):
                yield window, vector, sink


def _cycles(codelet: Codelet, window: WindowUnit, vector: VectorUnit) -> int:
    """About how many cycles the busier of the two works: a word of the input, or a result, a cycle."""
    n, c, oh, ow = codelet.operands["y"].shape
    _, _, h, w = codelet.operands["x"].shape
    passes = ceil_div(codelet.extent("ky") * codelet.extent("kx"), window.taps)
    return n * max(max(h * w, oh * ow) * ceil_div(c, window.lanes) * passes, oh * ow * ceil_div(c, vector.lanes))


def lanewise_cycles(codelet: Codelet, vector: VectorUnit) -> int:
    """Cycles of a vector unit that does all of it: a kernel position of a word a cycle."""
    n, c, oh, ow = codelet.operands["y"].shape
    return n * oh * ow * ceil_div(c, vector.lanes) * codelet.extent("ky") * codelet.extent("kx")
