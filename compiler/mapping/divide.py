"""Pass: divide a layer between all engines that are able to do it.

    before   codelet c0 on a team: (matrix 0, vector 0), (matrix 1, vector 1)
    after    output rows 0..15 for the one, 16..31 for the other

The part of each member is as large as makes all end together, by what they cost (`compiler.mapping.price`) and by when each is predicted to be free. What
is cut is the axis for which that is soonest: rows, images, columns, or channels of the result. A layer that gains nothing runs whole on the member
that ends it first, so that layers beside each other run on different engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from compiler.codelets import Codelet
from compiler.mapping.assigned import Assigned
from compiler.mapping.price import Occupancy, contraction_packets, finishing_packets, lane_packets
from compiler.planes import planes
from compiler.target import Target
from compiler.tiles import ceil_div
from compiler.window import Window

Box = tuple[int, int, int, int, int, int]

#: Cycles that a divided layer costs beyond its work: another set of instructions, and waits at the border.
DIVIDING_CYCLES = 100
#: Cycles from the start of a step of a row program until its result can be read; and what part of its time dividing one must save.
STEP_CYCLES, ROWS_WORTH = 24, 0.25
#: Part of the work of two layers behind each other that overlaps where other engines do them: the last tiles of one and the first of the next.
OVERLAP = 0.125
#: Families whose layers can be divided, and those on lanes alone.
CONTRACTIONS = ("contraction", "expression", "product", "blockwise")
LANES = ("depthwise", "window", "elementwise")


@dataclass(frozen=True)
class Share:
    """What one member of a team makes of a layer: outputs `box` (n0, n1, y0, y1, x0, x1) and `channels` (from, to). `index`: its number in the team;
    `members`: how many there are, that memories are shared with."""

    index: int
    box: Box
    channels: tuple[int, int]
    members: int = 1

    def whole(self, codelet: Codelet) -> bool:
        """Whether it is all of the layer."""
        n, c, h, w = codelet.operands["y"].shape
        return (self.box, self.channels) == ((0, n, 0, h, 0, w), (0, c))


#: For each step its shares, none where the layer is not divided; then the number of the member that does all of it.
Shares = tuple[tuple[Share, ...], int]


class Divider:
    """Divides layers one after the other, and keeps account of when each engine will be free."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.occupancy = Occupancy(target.graph)
        self.bus = target.external.bus_bytes
        #: Whether there is one engine of each kind, and nothing to divide.
        self.single = len(target.matrix) < 2 and len(target.vector) < 2 and not (target.matrix and target.cores)
        self.free: dict[str, float] = {}
        self.ready: dict[str, float] = {}
        #: The engine that is busiest with making a tensor, and for how long.
        self.made: dict[str, tuple[str, float]] = {}

    def divide(self, step: Assigned, *, undivided: bool = False) -> Shares:
        """The shares of a step's team; none where it has no team or gains nothing."""
        if self.single:
            return (), 0
        team = step.team or (step,)
        codelet = step.codelet
        n, c, h, w = codelet.operands["y"].shape
        box, start = (0, n, 0, h, 0, w), max([self.ready.get(o.tensor, 0.0) for role, o in codelet.operands.items() if role != "y"] or [0.0])
        ends = [self._end(member, start, box, (0, c)) - self._ahead(member, box, (0, c)) for member in team]
        best, chosen = min(ends), ends.index(min(ends))
        shares: tuple[Share, ...] = ()
        whole = undivided or not step.team or not divisible(codelet) or any(member.core_or_none is not None for member in team)
        for found in () if whole else self._cuts(step, start):
            end = max(self._end(step.team[s.index], start, s.box, s.channels, len(found)) for s in found) + DIVIDING_CYCLES
            if found[0].channels != (0, c):  # each member reads all of the input, from a copy of its own
                end += codelet.operands["x"].shape[0] * prod(codelet.operands["x"].shape[1:]) / step.team[0].matrix.rows
            if end < best:
                best, shares = end, found
        for share in shares or (Share(chosen, box, (0, c)),):
            self._occupy(team[share.index], start, share)
        work = self._work(team[chosen], box, (0, c))
        if work:
            self.made[codelet.operands["y"].tensor] = max(work.items(), key=lambda item: item[1])
        self.ready[codelet.operands["y"].tensor] = best
        return shares, chosen

    def _cuts(self, step: Assigned, start: float) -> Iterator[tuple[Share, ...]]:
        """Ways to cut the layer: each axis in the proportion in which the members end together."""
        codelet = step.codelet
        n, c, h, w = codelet.operands["y"].shape
        axes = [(0, n)] if n > 1 else [(2, h), (4, w)] if h > 1 else [(4, w)]
        for at, extent in axes:
            bounds = self._bounds(step, start, extent)
            yield tuple(
                Share(i, (*(0, n, 0, h, 0, w)[:at], lo, hi, *(0, n, 0, h, 0, w)[at + 2 :]), (0, c), len(step.team))  # type: ignore[arg-type]
                for i, (lo, hi) in enumerate(pairwise(bounds)) if lo < hi
            )
        unit = max([m.matrix.columns for m in step.team if m.matrix_or_none] + [m.vector.lanes for m in step.team if m.vector_or_none])
        unit = max(unit, *(m.lanes for m in (step.source_or_none, step.sink_or_none) if m is not None))
        if codelet.family == "contraction" and codelet.group == 1 and c > unit:
            bounds = self._bounds(step, start, ceil_div(c, unit))
            yield tuple(Share(i, (0, n, 0, h, 0, w), (lo * unit, min(hi * unit, c)), len(step.team)) for i, (lo, hi) in enumerate(pairwise(bounds)) if lo < hi)

    def _bounds(self, step: Assigned, start: float, extent: int) -> list[int]:
        """Where to cut `extent`, so that all members end at the same time."""
        codelet = step.codelet
        n, c, h, w = codelet.operands["y"].shape
        whole = [max(self._work(member, (0, n, 0, h, 0, w), (0, c)).values(), default=1) for member in step.team]
        begin = [max([start, *(self.free.get(engine, 0.0) for engine in self._main(member))]) for member in step.team]
        # All end at t: the sum of (t - begin) / whole is 1.
        t = (1 + sum(b / w for b, w in zip(begin, whole, strict=True))) / sum(1 / w for w in whole)
        parts = [max(0.0, (t - b) / w) for b, w in zip(begin, whole, strict=True)]
        total, bounds, sofar = sum(parts), [0], 0.0
        for part in parts:
            sofar += part
            bounds.append(round(extent * sofar / total))
        return [min(b, extent) for b in bounds[:-1]] + [extent]

    @staticmethod
    def _main(member: Assigned) -> list[str]:
        """The engine that decides when a member is free: the matrix unit where it has one."""
        unit = member.matrix_or_none or member.vector_or_none or member.core_or_none
        return [unit.engine.name] if unit is not None else []

    def _work(self, member: Assigned, box: Box, channels: tuple[int, int]) -> dict[str, float]:
        """Cycles of each engine of a member on a part of the result."""
        codelet = member.codelet
        n0, n1, y0, y1, x0, x1 = box
        positions = (n1 - n0) * (y1 - y0) * (x1 - x0)
        work: dict[str, float] = {}
        c = channels[1] - channels[0]
        if positions <= 0 or c <= 0:
            return {}
        if codelet.family in CONTRACTIONS and member.matrix_or_none is not None:
            matrix, vectors = member.matrix, 1
            for head in codelet.heads or (codelet,):
                blocks, passes = passes_of(head, matrix.rows, matrix.columns, c)
                once = max(1, positions // (n1 - n0) if head.family == "product" else positions)
                times = n1 - n0 if head.family == "product" else 1
                name = matrix.engine.name
                work[name] = work.get(name, 0) + times * self.occupancy.cycles(name, blocks, passes, 1, 1, min(once, 1 << 15), ceil_div(once, 1 << 15))
            if codelet.program is not None:
                vectors = len(codelet.program.steps)
            if member.vector_or_none is not None:
                work[member.vector.engine.name] = positions * ceil_div(c, member.vector.lanes) * vectors
            if member.core_or_none is not None:
                core = member.core.core
                work[member.core.engine.name] = positions * ceil_div(c, core.granule_bytes) * finishing_packets(core)
        elif member.core_or_none is not None:
            packets = contraction_packets if codelet.family == "contraction" else lane_packets
            work[member.core.engine.name] = packets(codelet, member.core.core, positions, c)
        elif member.vector_or_none is not None:
            taps = prod(loop.extent for loop in codelet.loops if loop.reduction) if codelet.family in LANES else 1
            steps = len(codelet.program.steps) if codelet.program is not None else 1
            work[member.vector.engine.name] = positions * ceil_div(c, member.vector.lanes) * taps * steps
        return work

    def _end(self, member: Assigned, start: float, box: Box, channels: tuple[int, int], members: int = 1) -> float:
        """When a member ends a part: its engines one behind the other's first results, or constants that come no faster."""
        work = self._work(member, box, channels)
        codelet = member.codelet
        loaded = 0.0
        if codelet.family == "contraction" and member.matrix_or_none is not None:
            matrix = member.matrix
            blocks, passes = passes_of(codelet, matrix.rows, matrix.columns, channels[1] - channels[0])
            loaded = blocks * passes * matrix.rows * matrix.columns / self.bus * members
        ends = [start, *(max(start, self.free.get(name, 0.0)) + cycles for name, cycles in work.items()), start + loaded]
        if rows_alone(codelet) and codelet.program is not None:  # two strips by turns, each waiting for its own results
            cycles = max(work.values(), default=0.0)
            ends.append(start + (cycles / 2 + STEP_CYCLES * len(codelet.program.steps)) * (1 if members == 1 else 1 + ROWS_WORTH))
        return max(ends)

    def _ahead(self, member: Assigned, box: Box, channels: tuple[int, int]) -> float:
        """Cycles by which a member ends sooner as it begins while another engine still makes its operand, where a programmable engine may be either."""
        if not self.target.cores:
            return 0.0
        main = self._main(member)
        makers = [self.made[o.tensor] for role, o in member.codelet.operands.items() if role != "y" and o.tensor in self.made]
        if not makers or any(name in main for name, _ in makers):
            return 0.0
        own = max(self._work(member, box, channels).values(), default=0.0)
        return OVERLAP * min([own, *(cycles for _, cycles in makers)])

    def _occupy(self, member: Assigned, start: float, share: Share) -> None:
        for name, cycles in self._work(member, share.box, share.channels).items():
            self.free[name] = max(start, self.free.get(name, 0.0)) + cycles


def rows_alone(codelet: Codelet) -> bool:
    """Whether a codelet is a micro-program on rows of pixels."""
    return codelet.program is not None and not codelet.heads


def divisible(codelet: Codelet) -> bool:
    """Whether a part of the result can be made alone: not what moves data, nor what sums up images."""
    if codelet.program is not None and not codelet.heads:
        return not codelet.program.of_images
    return codelet.family in (*CONTRACTIONS, *LANES)


def passes_of(codelet: Codelet, rows: int, columns: int, channels: int) -> tuple[int, int]:
    """Blocks of output channels of a contraction, and passes of the matrix unit for each."""
    w = codelet.operands.get("w")
    loops = {loop.name: loop.extent for loop in codelet.loops if loop.reduction}
    kernel = loops.get("ky", 1) * loops.get("kx", 1)
    reduced = codelet.operands["x"].shape[1]
    if codelet.group > 1:
        per_out, per_in = codelet.operands["y"].shape[1] // codelet.group, reduced // codelet.group
        reduced = min(reduced, ceil_div(columns, per_out) * per_in)
    several = len(planes(w)) if w is not None and not w.tensor else 1
    return ceil_div(channels, columns), kernel * ceil_div(reduced, rows) * several


def reach(step: Assigned, share: Share, role: str) -> Box | None:
    """What of an operand a share reads, as its codelet sees it (n0, n1, y0, y1, x0, x1); None where that is not known."""
    codelet = step.codelet
    operand, (n0, n1, y0, y1, x0, x1) = codelet.operands[role], share.box
    if codelet.family == "product" or (codelet.heads and role == "x"):
        return None
    if role == "x" and codelet.family in ("contraction", "blockwise", "depthwise", "window"):
        window = Window.of(codelet)
        return (n0, n1, *window.reach(0, y0, y1), *window.reach(1, x0, x1))
    if operand.shape[0] != codelet.operands["y"].shape[0] or operand.shape[2:] != codelet.operands["y"].shape[2:]:
        return None
    return share.box

