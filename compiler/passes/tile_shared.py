"""Tile one operator on two engines at once: rows of a depthwise convolution shared between the vector and the matrix unit.

    before   depthwise codelet on a vector unit, the same operator as a contraction on a matrix unit
    after    rows 0..7 on the vector unit, rows 8..13 on the matrix unit, and on the vector unit for their requantisation

Both read the input, and a bank has one read port: the input is asked to lie across the border of two banks (`Buffer.border_bytes`), so
that each unit reads one. Where it does not the result is the same, later.

The cut is where both end together. In cycles, with P positions a row and B blocks of lanes: the vector unit takes P * B * taps a row of
its own and P * B a row of the other's, the matrix unit passes * max(P, rows of the array).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

from compiler.errors import CompilerError
from compiler.passes.assign_engines import Assigned
from compiler.passes.price_contraction import ContractionPricer
from compiler.passes.tile_context import TileContext
from compiler.passes.tile_contraction import ContractionTiler
from compiler.passes.tile_lanes import LaneTiler
from compiler.tiles import ceil_div, spans

#: Strips that each unit's part is cut into at most.
STRIPS = 4
#: Sharing must save at least this part of the time, or it is not worth its weights.
WORTH = 0.15


def share(context: TileContext, step: Assigned) -> bool:
    """Emit a step on both its engines; False, and nothing emitted, where that does not pay or is not possible."""
    other = step.alternative
    n, c, oh, ow = step.codelet.operands["y"].shape
    if other is None or n > 1 or oh < 2:
        return False
    lanes = LaneTiler(context, step)
    if not (context.is_resident(lanes.x) and context.is_resident(lanes.y)):
        return False
    pricer = ContractionPricer(context, other)
    row = ow * ceil_div(c, lanes.lanes)
    weights = pricer.passes * pricer.shape.rows * pricer.shape.lanes_out / context.target.external.bus_bytes

    def cycles(cut: int) -> float:
        strip = ceil_div(oh - cut, STRIPS)
        streamed = (oh - cut) * pricer.passes * max(ow, pricer.shape.rows / strip)
        return max(cut * row * lanes.taps + (oh - cut) * row, streamed + row, weights)

    alone = oh * row * lanes.taps
    cut = min(range(1, oh), key=cycles)
    if cycles(cut) > (1 - WORTH) * alone:
        return False
    pricer.shape = replace(pricer.shape, out_rows=ceil_div(oh - cut, STRIPS))
    try:
        lane_choice, choice = lanes.best(), pricer.best()
    except CompilerError:
        return False
    choice = replace(choice, channels_outer=False, keep_weights=True)
    if not pricer.fits(choice, 1):
        return False
    border = context.whole(lanes.x).at(0, lanes.window.reach(0, cut, oh)[0], 0, 0)
    context.resident[context.plan.root(lanes.x.tensor)].border_bytes = border
    contraction = ContractionTiler(context, other, pricer.shape, choice)
    own = spans(cut, ceil_div(cut, STRIPS))
    given = [(cut + lo, cut + hi) for lo, hi in spans(oh - cut, ceil_div(oh - cut, STRIPS))]
    for helped, kept in zip_longest(given, own):
        if helped is not None:
            contraction.run([helped])
        if kept is not None:
            lanes.run(lane_choice, [kept])
    return True
