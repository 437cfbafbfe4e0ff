"""Pass: codelets with engines and places -> operations of one instruction each, on buffers.

    before   codelet c0 on a matrix and a vector engine, x resident, y external
    after    load .., matrix .., vector .., store ..        one TileOp an instruction, addresses still open

The size of each tile is a search, priced by the closed forms of `price_contraction` and `tile_lanes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from compiler.errors import CompilerError, LengthError
from compiler.mapping.assign_engines import Assigned, Bound
from compiler.mapping.divide import Share, Shares
from compiler.mapping.insert_transfers import Residency
from compiler.target import Target
from compiler.tiling.contraction.blockwise import BlockwisePricer, BlockwiseTiler
from compiler.tiling.contraction.contraction import ContractionTiler
from compiler.tiling.contraction.expression import ExpressionTiler
from compiler.tiling.contraction.expression_price import Choices, ExpressionPricer
from compiler.tiling.contraction.price import Choice, ContractionPricer, ContractionSizes
from compiler.tiling.contraction.product import ProductPricer, ProductTiler
from compiler.tiling.kernels.finishing import FinishedTiler
from compiler.tiling.kernels.tilers import tiler_of
from compiler.tiling.lanes.lanes import LaneTiler
from compiler.tiling.moves.move import move
from compiler.tiling.own import OwnTiler
from compiler.tiling.rows.imagewise import ImagewiseTiler
from compiler.tiling.rows.rowwise import RowwiseTiler
from compiler.tiling.sliding.price import SlidingPricer
from compiler.tiling.sliding.sliding import SlidingTiler
from compiler.tiling.team import together
from compiler.tiling.tile_context import Done, TileContext
from compiler.tiling.tile_shared import share
from compiler.ways.decisions import Decisions


class TileError(CompilerError):
    """A codelet has no tile that fits beside the resident tensors; `layer` is its number."""

    def __init__(self, layer: int, cause: CompilerError) -> None:
        self.layer = layer
        super().__init__(cause.where, found=cause.found, expected=cause.expected, do=cause.do)


#: Families of codelets on the matrix unit: who prices and who tiles them.
CONTRACTIONS: dict[str, tuple[Any, Any]] = {
    "blockwise": (BlockwisePricer, BlockwiseTiler), "contraction": (ContractionPricer, ContractionTiler), "expression": (ExpressionPricer, ExpressionTiler),
    "product": (ProductPricer, ProductTiler),
}
#: Part of a memory that tiles may fill; the rest is lost to whole banks and fragments.
USABLE = 0.9


@dataclass(eq=False)
class Memo:
    """What one call of `tile` leaves to the next, on another residency of the same network.

    `choices` by everything that a choice depends on; `done`: for each step, by its codelet's name and length, under which state it was tiled, and what
    that made;
    `context`: the last one; `bound`: the steps of each node, so that they are the same objects as long as their engines are.
    """

    choices: dict[tuple, Choice | Choices] = field(default_factory=dict)
    done: dict[tuple[str, int], tuple[Assigned, tuple, Done]] = field(default_factory=dict)
    context: TileContext | None = None
    bound: Bound = field(default_factory=dict)

    def fork(self) -> Memo:
        """One that begins with all this and goes its own way, for other steps of the same network: buffers of the contexts of both are the same."""
        return Memo(self.choices, dict(self.done), self.context, self.bound)


def tile(
    residency: Residency, target: Target, *, shrink: dict[int, float] | None = None, memo: Memo | None = None, decisions: Decisions | None = None
) -> TileContext:
    """Tile every codelet. `shrink`: part of the usual room that a layer's tiles may take, for layers that did not fit before.

    `memo` is kept from one call to the next. The steps of both plans are the same objects as long as their engines are the same: only
    those whose room or tensors are others are tiled again. The contexts of earlier calls are of no use any more.
    """
    memo = Memo() if memo is None else memo
    context = memo.context = TileContext(target, residency, memo.context, decisions)
    last_use: dict[str, int] = {}
    first_use: dict[str, int] = {}
    for number, step in enumerate(residency.steps):
        for role, operand in step.codelet.operands.items():
            if operand.tensor:
                root = residency.root(operand.tensor)
                last_use[root] = number
                if role != "y" or root not in residency.fetched:
                    first_use.setdefault(root, number)
    for number, step in enumerate(residency.steps):
        context.budget_bytes = _room(residency, target, number, first_use, last_use, (shrink or {}).get(number, 1.0))
        tensors = [operand.tensor for operand in step.codelet.operands.values() if operand.tensor]
        state = residency.shares[number], context.state(tensors), context.decisions.of(step.codelet.name)
        name = step.codelet.name, len(step.codelet.operations)
        before = memo.done.get(name)
        if before is not None and before[0] is step and before[1] == state:
            context.repeat(before[2], number)
            continue
        first = len(context.ops)
        context.begin(number, step.codelet)
        try:
            _tile_step(context, step, residency.shares[number], memo.choices)
        except LengthError:
            raise
        except CompilerError as error:
            raise TileError(number, error) from None
        context.require_rest(step.codelet)
        memo.done[name] = step, state, context.done(first, tensors)
    return context


def _tile_step(context: TileContext, step: Assigned, shares: Shares, memo: dict[tuple, Choice | Choices]) -> None:
    parts, member = shares
    if not parts:
        step = step.team[member] if step.team else step
    if step.codelet.move is not None:
        move(context, step, memo)
    elif step.core_or_none is not None and step.matrix_or_none is None:
        tiler_of(step.codelet)(context, step).run()
    elif step.own_or_none is not None:
        OwnTiler(context, step).run()
    elif parts:
        together(context, [_tiles(context, step.team[part.index], part, memo) for part in parts])
    else:
        for _ in _tiles(context, step, None, memo):
            pass


def _tiles(context: TileContext, step: Assigned, part: Share | None, memo: dict[tuple, Choice | Choices]) -> Iterator[None]:
    """Emit a step, or one member's share of it, tile by tile."""
    if step.window_or_none is not None:
        sliding = SlidingPricer(context, step)
        return SlidingTiler(context, step, sliding, sliding.best()).tiles()
    if step.codelet.program is not None and not step.codelet.heads:
        return (ImagewiseTiler if step.codelet.program.of_images else RowwiseTiler)(context, step, part).tiles()
    if step.codelet.family in CONTRACTIONS:
        pricing, tiling = CONTRACTIONS[step.codelet.family]
        pricer = pricing(context, step, part)
        stored = pricer.y_stored
        key = (step.codelet.name, len(step.codelet.operations), step.codelet.family, part, pricer.making, pricer.resident_x, pricer.resident_y, stored,
               pricer.second, pricer.second_loaded, *sorted(context.budget_bytes.items()), *context.decisions.of(step.codelet.name))
        if key not in memo:
            memo[key] = pricer.best()
        if step.core_or_none is not None:
            tiling = FinishedTiler
        return tiling(context, step, ContractionSizes.of(step), memo[key], part).tiles()
    both = share(context, step, part)
    if both is not None:
        return both
    tiler = LaneTiler(context, step, part)
    return tiler.tiles(tiler.best())


def _room(residency: Residency, target: Target, number: int, first: dict[str, int], last: dict[str, int], shrink: float) -> dict[str, int]:
    """Bytes of each memory that no tensor resident at this step takes."""
    room = {name: memory.size_bytes for name, memory in target.partitions.items()}
    for name, memory in residency.resident.items():
        if first.get(name, number + 1) <= number <= last.get(name, -1):
            room[memory.name] -= residency.resident_bytes(name)
    return {name: int(max(size, 0) * USABLE * shrink) for name, size in room.items()}
