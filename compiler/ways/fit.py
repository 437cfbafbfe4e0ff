"""Engines, places of tensors, tiles and addresses, again with less on chip until everything has a place.

    before   codelets
    after    operations on buffers that have addresses

What gives way, in this order: gaps between buffers, the division of a layer that has no tile, a resident tensor, the size of a layer's tiles, a node's
preferred codelet. A repetition tiles only the steps whose room or tensors are others than before (`compiler.tiling.tile.Memo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from acg.machine import machine_of
from compiler.codelets import Codelet
from compiler.errors import CompilerError
from compiler.ir.network import Network
from compiler.layout import Layout
from compiler.mapping.assign_engines import Assigned, assign_engines
from compiler.mapping.insert_transfers import Residency, insert_transfers
from compiler.ordering.follow import Spans, follow
from compiler.placing.allocate import LASTING, Allocation, OutOfMemory
from compiler.target import Target
from compiler.tiles import Buffer, TileOp
from compiler.tiling.tile import Memo, TileError, tile
from compiler.tiling.tile_context import TileContext
from compiler.ways.decisions import Decisions

__all__ = ["ORDERS", "Fitted", "Stored", "fit", "place", "place_outside"]

#: Orders in which buffers get their places: layer by layer; pools and sums beside the layers in front of them; depthwise layers too.
ORDERS = ("layers", "beside", "all beside")
#: Families whose layers may be beside the one in front of them.
BESIDE = ("depthwise", "window", "elementwise", "sliding")
#: Part of a memory that resident tensors may take together; the rest is for strips, and lost to gaps.
MOST_RESIDENT = 0.92
#: A layer's tiles are made smaller at most this often.
SMALLEST_SHRINK = 1 / 256


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor at the edge of the network as the host packs or unpacks it: its buffer in external memory, layout, and shape (N, C, H, W)."""

    buffer: Buffer
    layout: Layout
    shape: tuple[int, int, int, int]


@dataclass(frozen=True)
class Given:
    """What gave way so that all found a place: tensors that are `spilled`, layers that are `undivided`, and the part of the room that tiles of others take."""

    spilled: frozenset[str] = frozenset()
    undivided: frozenset[str] = frozenset()
    shrink: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Operations and their buffers, and what they are about.

    `buffers` is empty until all have a place; `steps`: of each layer its codelet, and how often it is done; `packed`: pairs of an input tensor and the tensor
    as which the host packs it; `seen`: of each output tensor that as which the host unpacks it; `stored`: those tensors, by name; `named`: buffers with names;
    `followers`: layers that each order has beside the one in front of them; `places`: addresses of the buffers; `given`: what gave way for them.
    """

    ops: list[TileOp]
    buffers: list[Buffer]
    steps: tuple[tuple[Codelet, int], ...]
    packed: tuple[tuple[str, str], ...]
    seen: dict[str, str]
    stored: dict[str, Stored]
    named: list[tuple[str, Buffer]]
    followers: dict[str, frozenset[int]] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    given: Given = Given()

    def placed(self, buffers: list[Buffer]) -> Fitted:
        """The same with these buffers, which have a place."""
        return replace(self, buffers=buffers, places=tuple(buffer.address for buffer in buffers))

    def restore(self) -> None:
        """Give all buffers the places that they had when this was made: those of another order, or way of a batch, have most of them in common."""
        for buffer, address in zip(self.buffers, self.places, strict=True):
            buffer.address = address


def _followers(steps: Sequence[Assigned], order: str) -> frozenset[int]:
    """Layers that go beside the one in front of them in an order."""
    if order == ORDERS[0]:
        return frozenset()
    return frozenset(number for number, step in enumerate(steps) if _able(step) and (order == ORDERS[2] or "w" not in step.codelet.operands))


def _able(step: Assigned) -> bool:
    """Whether a layer runs on other engines than the products in front of it do, is not shared with one of these, and begins before these end."""
    alone = step.matrix_or_none is None and step.core_or_none is None and step.alternative is None and step.vector_or_none is not None
    return alone and step.codelet.family in BESIDE and step.codelet.operands["y"].shape[2:] != (1, 1)


def _fitted(context: TileContext, ops: list[TileOp], buffers: list[Buffer], given: Given) -> Fitted:
    residency = context.residency
    packed = tuple(pair for pair in residency.packed if pair[1] in residency.layouts)
    stored = {}
    for name in (*(stored for _, stored in packed), *residency.seen.values()):
        root = residency.root(name)
        if root in context.external:
            stored[name] = Stored(context.external[root], residency.layouts[root], residency.ir.tensors[name].shape)
    named = [(name, buffer) for name, buffer in (*context.resident.items(), *context.external.items()) if buffer.address >= 0]
    followers = {order: _followers(residency.steps, order) for order in ORDERS}
    return Fitted(ops, buffers, tuple((step.codelet, 1) for step in residency.steps), packed, dict(residency.seen), stored, named, followers,
                  tuple(buffer.address for buffer in buffers), given)


def fit(
    ir: Network, choices: tuple[tuple[Codelet, ...], ...], target: Target, decisions: Decisions, *, resident: bool = True, memo: Memo | None = None,
    order: str = ORDERS[0], given: Given | None = None,
) -> Fitted:
    """Operations of a network, and their buffers in their places. `resident` False keeps every tensor external; `memo`: that of an earlier call on this target;
    `order`: one of `ORDERS`; `given`: what gave way in another order, and does so from the beginning.

    Raises CompilerError: TileError or OutOfMemory where the network does not fit the machine.
    """
    given = given or Given()
    spilled = given.spilled if resident else frozenset(ir.tensors)
    undivided, shrink = given.undivided, dict(given.shrink)
    memo, spans = Memo() if memo is None else memo, Spans()
    assigned = assign_engines(choices, target, decisions, memo.bound)
    first = insert_transfers(ir, assigned, target, spilled=spilled)
    gone = {name for name in first.resident if decisions.number(f"home {name}", 2)}
    spilled |= gone | _overfull(insert_transfers(ir, assigned, target, spilled=spilled | gone) if gone else first)
    while True:
        residency = insert_transfers(ir, assigned, target, spilled=spilled, undivided=undivided)
        failure: TileError | OutOfMemory | None = None
        try:
            context = tile(residency, target, shrink=shrink, memo=memo, decisions=decisions)
        except TileError as error:
            failure = error
        else:
            ops = context.ops
            if order != ORDERS[0]:
                ops = follow(ops, machine_of(target.graph), _followers(residency.steps, order), spans)
            try:
                return _fitted(context, ops, place(ops, [b for b in context.external.values() if b.pinned]), Given(spilled, undivided, shrink))
            except OutOfMemory as error:
                failure = error
        layer = failure.layer
        victim = _victim(residency, layer, failure)
        name = residency.steps[layer].codelet.name
        if residency.shares[layer][0] and (isinstance(failure, TileError) or victim is None):
            undivided |= {name}
        elif victim is not None:
            spilled |= {victim}
        elif isinstance(failure, OutOfMemory) and failure.buffer.memory.kind != "external" and shrink.get(layer, 1.0) > SMALLEST_SHRINK:
            shrink[layer] = shrink.get(layer, 1.0) / 2
        elif isinstance(failure, TileError) and any(len(c) > 1 and c[0].name == name for c in choices):
            choices = tuple(c[1:] if c[0].name == name else c for c in choices)
            assigned = assign_engines(choices, target, decisions, memo.bound)
            shrink.pop(layer, None)
        else:
            raise failure


def place(ops: list[TileOp], kept: Iterable[Buffer]) -> list[Buffer]:
    """Give all buffers, and those that are to be `kept`, a place; returns them. Raises OutOfMemory.

    Where gaps are too small again without them: first between the lasting buffers, then in each layer that finds no room.
    """
    allocation = Allocation(ops, kept)
    tight: dict[str, set[int]] = {}
    while True:
        try:
            return allocation.place()
        except OutOfMemory as failure:
            memory = failure.buffer.memory
            closed = tight.setdefault(memory.name, set())
            if memory.kind == "external" or failure.layer in closed:
                raise
            closed.add(failure.layer if LASTING in closed else LASTING)
        allocation.tighten(memory.name, closed)


def place_outside(ops: list[TileOp], kept: Iterable[Buffer]) -> list[Buffer]:
    """Give all buffers of external memory, and those that are to be `kept`, a place; returns all buffers. Those on chip have theirs. Raises OutOfMemory."""
    inside: dict[Buffer, None] = {}
    outside = []
    for op in ops:
        reads, writes = (tuple(buffer for buffer in side if buffer.memory.kind == "external") for side in (op.reads, op.writes))
        outside.append(TileOp(op.engine, op.fields, reads, writes, op.layer, op.tile))
        inside.update(dict.fromkeys(buffer for buffer in (*op.reads, *op.writes) if buffer.memory.kind != "external"))
    return [*place(outside, kept), *inside]


def _uses(residency: Residency) -> dict[str, list[int]]:
    """Steps that write or read each tensor."""
    uses: dict[str, list[int]] = {}
    for number, step in enumerate(residency.steps):
        for operand in step.codelet.operands.values():
            if operand.tensor:
                uses.setdefault(residency.root(operand.tensor), []).append(number)
    return uses


def _choose(residency: Residency, uses: dict[str, list[int]], alive: list[str], layer: int) -> str | None:
    """Tensor to spill: one that the layer does not use if there is such, the largest; None when none is alive."""
    return max(alive, key=lambda name: (layer not in uses[name], residency.layouts[name].size_bytes, name), default=None)


def _victim(residency: Residency, layer: int, failure: CompilerError) -> str | None:
    """Resident tensor to spill so that a layer finds room; None when none is alive there."""
    uses = _uses(residency)
    memory = failure.buffer.memory.name if isinstance(failure, OutOfMemory) else None
    alive = [
        name for name, home in residency.resident.items()
        if uses[name][0] <= layer <= uses[name][-1] and memory in (None, home.name)
    ]
    return _choose(residency, uses, alive, layer)


def _overfull(residency: Residency) -> set[str]:
    """Tensors to spill before anything is tiled: those beyond what fits a memory together."""
    uses = _uses(residency)
    gone: set[str] = set()
    for layer in range(len(residency.steps)):
        for memory in {home.name: home for home in residency.resident.values()}.values():
            while True:
                alive = [
                    name for name, home in residency.resident.items()
                    if name not in gone and home.name == memory.name and uses[name][0] <= layer <= uses[name][-1]
                ]
                victim = _choose(residency, uses, alive, layer)
                if victim is None or sum(residency.resident_bytes(name) for name in alive) <= MOST_RESIDENT * memory.size_bytes:
                    break
                gone.add(victim)
    return gone
