"""Tile one operator on two engines at once: rows of a depthwise convolution shared between the vector and the matrix unit.

    before   depthwise codelet on a vector unit, the same operator as a contraction on a matrix unit
    after    rows 0..7 on the vector unit, rows 8..13 on the matrix unit, and on the vector unit for their requantisation

Both read the input, and a bank has one read port. An input on chip is asked to lie across the border of two banks
(`Buffer.border_bytes`), so that each unit reads one; where it does not the result is the same, later. Strips of an external input are
loaded into places of their own, and alternate.

The cut is where both end together. In cycles, with P positions a row and B blocks of lanes: the vector unit takes P * B * taps a row of
its own and P * B a row of the other's, the matrix unit passes * max(P, rows of the array).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from compiler.errors import CompilerError
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import ceil_div, spans
from compiler.tiling.contraction.contraction import ContractionTiler
from compiler.tiling.contraction.price import ContractionPricer
from compiler.tiling.lanes.lanes import LaneChoice, LaneTiler
from compiler.tiling.tile_context import TileContext

#: Strips that each unit's part is cut into at most.
STRIPS = 4
#: Cycles a matrix instruction costs beyond its work. Each block of channels is one, with inputs of its own.
MATRIX_INSTRUCTION_CYCLES = 80
#: Sharing must save at least this part of the time, or it is not worth its weights.
WORTH = 0.15
#: Other numbers of strips and other cuts, in rows from the one that is priced best, that may be decided for.
OTHER_STRIPS, OTHER_CUTS = (STRIPS, 2, 3, 6, 8, 1), (-1, 1, -2, 2, -3, 3)


def share(context: TileContext, step: Assigned, part: Share | None = None) -> Iterator[None] | None:
    """Operations of a step, or of one member's share of it, on both its engines, tile by tile; None where that does not pay or is not possible."""
    n, _, oh, _ = step.codelet.operands["y"].shape
    y0, y1 = (0, oh) if part is None else part.box[2:4]
    if step.alternative is None or n > 1 or y1 - y0 < 2:
        return None
    lanes, pricer = LaneTiler(context, step, part), ContractionPricer(context, step.alternative, part)
    try:
        return _border(context, lanes, pricer) if context.is_resident(lanes.x) else _strips(context, lanes, pricer)
    except CompilerError:  # no tiles fit beside each other
        return None


def _border(context: TileContext, lanes: LaneTiler, pricer: ContractionPricer) -> Iterator[None] | None:
    """Share an input on chip: upper rows to one unit, lower rows to the other."""
    _, c, oh, ow = lanes.sizes
    first, name = lanes.box[2], lanes.codelet.name
    row = ow * ceil_div(c, lanes.lanes)
    parts = context.decisions.decide(f"strips {name}", OTHER_STRIPS)
    weights = pricer.passes * pricer.sizes.rows * pricer.sizes.lanes_out * lanes.members / context.target.external.bus_bytes

    def cycles(cut: int) -> float:
        strip = ceil_div(oh - cut, parts)
        streamed = (oh - cut) * pricer.passes * max(ow, pricer.sizes.rows / strip)
        streamed += MATRIX_INSTRUCTION_CYCLES * pricer.sizes.blocks * ceil_div(oh - cut, strip)
        return max(cut * row * lanes.taps + (oh - cut) * row, streamed + row, weights)

    cut = min(range(1, oh), key=cycles)
    worth = cycles(cut) <= (1 - WORTH) * oh * row * lanes.taps
    way = context.decisions.number(f"share {name}", 2 + len(OTHER_CUTS))
    if way > 1:
        cut, worth = min(max(cut + OTHER_CUTS[way - 2], 1), oh - 1), True
    if worth == (way == 1):
        return None
    contraction = _contraction(context, lanes, pricer, ceil_div(oh - cut, parts))
    lane_choice = lanes.best()
    if contraction is None:
        return None
    view = context.whole(lanes.x, member=lanes.member)
    context.wish_border(view.buffer, view.at(0, lanes.window.reach(0, first + cut, first + oh)[0], 0, 0))
    own = [(first + lo, first + hi) for lo, hi in spans(cut, ceil_div(cut, parts))]
    given = [(first + cut + lo, first + cut + hi) for lo, hi in spans(oh - cut, ceil_div(oh - cut, parts))]
    return _alternating(lanes, lane_choice, contraction, [item for pair in zip_longest(given, own) for item in zip(pair, (True, False), strict=True)])


def _alternating(
    lanes: LaneTiler, choice: LaneChoice, contraction: ContractionTiler, strips: list[tuple[tuple[int, int] | None, bool]]
) -> Iterator[None]:
    """Emit strips of rows one after the other, each on the matrix unit or not; None is no strip."""
    for strip, helped in strips:
        if strip is not None:
            yield from contraction.tiles([strip]) if helped else lanes.tiles(choice, [strip])


def _strips(context: TileContext, lanes: LaneTiler, pricer: ContractionPricer) -> Iterator[None] | None:
    """Share an external input: each strip is loaded into a place of its own, and goes to the unit that ends it first."""
    _, c, oh, ow = lanes.sizes
    first, name = lanes.box[2], lanes.codelet.name
    row = ow * ceil_div(c, lanes.lanes)
    parts, alone_is_decided = context.decisions.decide(f"strips {name}", OTHER_STRIPS), context.decisions.number(f"share {name}", 2) == 1
    layout = context.residency.layouts[context.residency.root(lanes.x.tensor)]
    if alone_is_decided or layout.size_bytes / context.target.external.bus_bytes > (1 - WORTH) * oh * row * lanes.taps:
        return None
    budget = context.budget_bytes
    context.budget_bytes = {name: size // 2 for name, size in budget.items()}
    try:
        lane_choice = lanes.best()
        high = min(lane_choice.rows, ceil_div(oh, 2 * parts))
        contraction = _contraction(context, lanes, pricer, high)
    finally:
        context.budget_bytes = budget
    if contraction is None or lane_choice.channels < c:
        return None
    vector_time = matrix_time = 0.0
    strips: list[tuple[tuple[int, int] | None, bool]] = []
    for lo, hi in spans(oh, high):
        alone = vector_time + (hi - lo) * row * lanes.taps
        streamed = matrix_time + pricer.passes * max((hi - lo) * ow, pricer.sizes.rows) + MATRIX_INSTRUCTION_CYCLES * pricer.sizes.blocks
        helped = max(streamed, vector_time + (hi - lo) * row)
        strips.append(((first + lo, first + hi), helped < alone))
        vector_time, matrix_time = (vector_time + (hi - lo) * row, streamed) if helped < alone else (alone, matrix_time)
    if max(vector_time, matrix_time) > (1 - WORTH) * oh * row * lanes.taps:
        return None
    return _alternating(lanes, lane_choice, contraction, strips)


def _contraction(context: TileContext, lanes: LaneTiler, pricer: ContractionPricer, rows: int) -> ContractionTiler | None:
    """Tiler for strips of so many rows, whose weights stay; None where they cannot."""
    pricer.sizes = replace(pricer.sizes, out_rows=rows)
    choice = replace(pricer.best("help"), channels_outer=False, keep_weights=True)
    if not pricer.fits(choice, 1):
        return None
    return ContractionTiler(context, pricer.step, pricer.sizes, choice, lanes.share)
