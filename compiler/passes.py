"""The passes, as one readable list.

    IR -> lower_moves -> unfold_inputs -> instantiate_codelets -> merge_tables -> assign_engines -> insert_transfers -> tile -> allocate -> emit -> schedule
    -> Program

Where a network does not fit, the middle passes are repeated with less on chip (`ways.fit`). What they decide where several ways are open is the
first of these, unless others are given (`ways.decisions`); who looks for better ones is `ways.search`. Where an engine can round in the middle of a
chain, all from assign_engines on is done once more behind merge_additions, and the program of fewer predicted cycles is taken.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from math import prod

from acg.graph import Graph
from acg.machine import Machine, machine_of
from acg.predictor import predict
from compiler.codelets import Codelet
from compiler.errors import CompilerError, LengthError, PartsError
from compiler.graph_passes.lower_moves import lower_moves
from compiler.graph_passes.unfold_inputs import Unfold, unfold_inputs
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Tensor
from compiler.ir.rules import verify
from compiler.layout import ELEMENT_BYTES
from compiler.loader import check_program
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.merge_additions import merge_additions
from compiler.mapping.merge_tables import merge_tables
from compiler.ordering.emit import emit
from compiler.ordering.schedule import Ordered, Scheduled, ordered
from compiler.partitions import cuts
from compiler.placing.allocate import OutOfMemory
from compiler.program import DEPTHWISE, EdgeTensor, Layer, Placed, Program
from compiler.target import Target
from compiler.tiles import ceil_div, place_of
from compiler.tiling.tile import Memo, TileError
from compiler.ways.batch import join, split
from compiler.ways.decisions import Decisions
from compiler.ways.fit import ORDERS, Fitted, Stored, fit, place, place_outside

#: Instructions start at a multiple of the AXI boundary.
PROGRAM_ALIGN_BYTES = 4096
#: Of programs of more instructions the first way to cut the memories that finds room is taken.
MOST_TRIED = 20_000
#: Of programs of more instructions one way to merge functions into contractions is tried.
MOST_MERGED = 10_000
#: What compiling in one of several ways raises where there is no such way on the machine.
NO_WAY = TileError, OutOfMemory, LengthError, PartsError
#: Of programs of more instructions the order of layers tells which functions to merge; of shorter ones merged ways that lose in it have the other orders.
MOST_ORDERED = 1_000
#: Part of a program's cycles by which list scheduling, which knows all but the fetching of instructions, must have one sooner than another to be believed.
CLEAR = 0.001


@dataclass(frozen=True)
class Options:
    """Choices of a compilation: `reorder` False keeps the order of tiling, `resident` False keeps every tensor external, `unfold` False
    keeps the host from laying inputs out as windows; `choices`: of decisions by name the way to take (`compiler.ways.decisions`)."""

    reorder: bool = True
    resident: bool = True
    unfold: bool = True
    choices: Mapping[str, int] = field(default_factory=dict)


#: Of each node the codelets that compute it, the preferred one first.
Codelets = tuple[tuple[Codelet, ...], ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network on a machine before anything is decided: `ir` as it is compiled, `given` as it came (its edges are those), the codelets of each node,
    `windows` as which the host lays inputs out, and the ways to cut the machine's memories. `images`: of a batch the part that may go image by image, for one
    image, and the rest, each with its codelets. `order`: the only one to try, by its number from 1 on; 0 for all."""

    ir: Network
    given: Network
    codelets: Codelets
    windows: dict[str, tuple[str, Unfold]]
    machine: Machine
    targets: tuple[Target, ...]
    images: tuple[tuple[Network, Codelets], tuple[Network, Codelets] | None] | None = None
    order: int = 0


@dataclass(eq=False)
class Memos:
    """What compiling a network leaves to the next time, of the whole, and of both parts of a batch that goes image by image."""

    whole: Memo = field(default_factory=Memo)
    head: Memo = field(default_factory=Memo)
    tail: Memo = field(default_factory=Memo)


@dataclass(frozen=True, eq=False)
class Compiled:
    """What decisions come to: operations and their buffers, the program in its order, and the number of the order in which buffers got their places, from 1 on
    (0 of a batch whose images are apart); `cut`: of the memories, the number of the target. Waits and cycles are found where somebody asks for them."""

    fitted: Fitted
    ordered: Ordered
    machine: Machine
    order: int = 0
    cut: int = 0

    @cached_property
    def scheduled(self) -> Scheduled:
        """The program with its waits."""
        return self.ordered.scheduled(self.machine)

    @cached_property
    def cycles(self) -> int:
        """Predicted cycles."""
        return predict(self.machine.graph, self.scheduled.instructions).total_cycles

    def sooner(self, other: Compiled) -> bool:
        """Whether this takes fewer cycles: as list scheduling has it where it is clear, else as predicted."""
        own, others = self.ordered.end, other.ordered.end
        if own is not None and others is not None and abs(own - others) > CLEAR * others:
            return own < others
        return self.cycles < other.cycles


def compile_network(ir: Network, architecture: Graph, *, options: Options | None = None) -> Program:
    """Compile an IR graph for an architecture.

    Raises
    ------
    UnsupportedError
        No engines can compute some nodes; all are listed.
    CompilerError
        The network does not fit the machine, or a choice of the options is none of its.
    """
    options = options or Options()
    with _uncollected():
        prepared = prepare(ir, architecture, options)
        decisions = Decisions(options.choices)
        compiled = compile_prepared(prepared, decisions, options)
        decisions.require_read(ir.name)
        return link(prepared, compiled, options.choices)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: nearly all that a compilation makes lives to its end, and is walked for nothing (a fifth of ResNet-18's time)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def prepare(ir: Network, architecture: Graph, options: Options) -> Prepared:
    """Everything that comes before the first decision. Raises CompilerError for a tensor that alone is larger than external memory."""
    verify(ir)
    _require_room(ir, architecture)
    target = Target(architecture)
    given = ir = lower_moves(ir, target)
    ir, windows = unfold_inputs(ir, target) if options.unfold else (ir, {})
    others = cuts(architecture)[1:]
    targets = target, *(Target(architecture, cut) for cut in others)
    return Prepared(ir, given, _codelets(ir), windows, machine_of(architecture), targets, _images(ir, target))


def _codelets(ir: Network) -> Codelets:
    return merge_tables(instantiate_codelets(ir), ir)


def _images(ir: Network, target: Target) -> tuple[tuple[Network, Codelets], tuple[Network, Codelets] | None] | None:
    parts = split(ir) if not target.cores else None  # cores keep all images of a granule together
    if parts is None:
        return None
    head, tail = parts
    return (head, _codelets(head)), None if tail is None else (tail, _codelets(tail))


def compile_prepared(
    prepared: Prepared, decisions: Decisions, options: Options, *, memos: Sequence[Memos] | None = None
) -> Compiled:
    """Place and schedule in each way that there is; the one that takes the fewest cycles, of equal ones the first.

    Where an engine can round in the middle of a chain, functions of two tensors stay alone, or all go into the contractions before them, or, where that is
    sooner, those do whose tensor in between would have no place on chip; of a long program that is not tried. These are compared in the order of layers, and
    the other orders are tried of the best alone, unless the program is short. `memos`: as those of `_best`.

    Raises what the first way raises, where that finds no room.
    """
    merged = _merged(prepared, ())
    memos = [Memos() for _ in prepared.targets] if memos is None else memos
    if len(merged.codelets) == len(prepared.codelets):
        return _best(prepared, decisions, options, memos)
    chosen = decisions.number("sums", 4)  # 0: whichever is soonest
    staged = prepared.images is None and not prepared.order
    try:
        first = _best(replace(prepared, order=1) if staged else prepared, decisions, options, memos)
    except (TileError, OutOfMemory):
        if not staged:
            raise
        staged, first = False, _best(prepared, decisions, options, memos)
    ways = [(first, prepared, memos)]
    for number in (2, 3):
        if chosen not in (0, number):
            continue
        other = merged
        if number == 3:
            gained = len(ways) > 1 and ways[-1][0].sooner(first)  # merging some is seldom sooner where merging all is not
            if not chosen and not (gained and len(first.fitted.ops) <= MOST_MERGED):
                continue
            other = _merged(prepared, {name for name, buffer in first.fitted.named if buffer.memory.kind != "external"})
            if not len(merged.codelets) < len(other.codelets) < len(prepared.codelets):
                continue
        own = [Memos(kept.whole.fork()) if staged else Memos() for kept in memos]  # `staged`: who is best gets its places back at the end
        try:
            found = _best(replace(other, order=1) if staged else other, decisions, options, own)
        except NO_WAY:
            continue
        ways.append((found, other, own))
    if chosen > 1:
        ways = ways[-1:]
    best = _soonest(way[0] for way in ways)
    if not staged:
        return best
    short = len(best.fitted.ops) <= MOST_ORDERED
    best = _soonest(
        _in_orders(way.ir, way.codelets, way.targets[found.cut], decisions, options, own[found.cut].whole, way.machine, before=found)
        for found, way, own in ways if found is best or (short and best is first)
    )
    best.fitted.restore()
    return best


def _soonest(ways: Iterable[Compiled]) -> Compiled:
    """That of fewest cycles, of equal ones the first."""
    return reduce(lambda best, other: other if other.sooner(best) else best, ways)


def _merged(prepared: Prepared, resident: Collection[str]) -> Prepared:
    """With functions of two tensors in the contractions before them, but for those whose tensor in between is `resident`."""
    images = prepared.images and tuple(
        part and (part[0], merge_additions(part[1], part[0], prepared.targets[0], resident=resident)) for part in prepared.images)
    codelets = merge_additions(prepared.codelets, prepared.ir, prepared.targets[0], resident=resident)
    return replace(prepared, codelets=codelets, images=images)  # type: ignore[arg-type]


def _best(prepared: Prepared, decisions: Decisions, options: Options, memos: Sequence[Memos]) -> Compiled:
    """The best way of those codelets.

    Ways are those to cut the memories, and with each of them those of a batch (`BATCHES`). `memos`: for each cut what earlier calls left; the results
    of those are of no use any more. Raises what the first way raises, where none finds room.
    """
    targets = prepared.targets
    best: Compiled | None = None
    failure: CompilerError | None = None
    chosen = decisions.number("memories", 1 + len(targets) if len(targets) > 1 else 1)
    batches = BATCHES if prepared.images is not None else BATCHES[:1]
    wanted = decisions.number("batch", 1 + len(batches) if len(batches) > 1 else 1)
    ways = [
        (number, batch) for number in range(len(targets)) if chosen in (0, number + 1)
        for batch, _ in enumerate(batches) if wanted in (0, batch + 1)
    ]
    for number, batch in ways:
        if batch == 2 and not wanted and best is not None and len(best.fitted.ops) > MOST_TRIED:
            continue
        try:
            found = replace(batches[batch](prepared, targets[number], decisions, options, memos[number]), cut=number)
        except NO_WAY as error:
            failure = failure or error
            continue
        if best is None or found.sooner(best):
            best = found  # buffers are shared between contexts of one target and network only: each way has its own
        if len(found.fitted.ops) > MOST_TRIED and not prepared.images:
            break
    if best is None:
        assert failure is not None, "there is one way at least"
        raise failure
    best.fitted.restore()  # both ways of a batch image by image have the buffers of constants and of the rest in common
    return best


def _ordered(fitted: Fitted, machine: Machine, options: Options) -> Compiled:
    return Compiled(fitted, ordered(machine, emit(fitted.ops, machine), reorder=options.reorder), machine)


def _in_orders(
    ir: Network, codelets: Codelets, target: Target, decisions: Decisions, options: Options, memo: Memo, machine: Machine, *,
    order: int = 0, before: Compiled | None = None,
) -> Compiled:
    """A network whose buffers get their places in one order after the other, in those that differ: that of fewest cycles, of equal ones the first. `order`: try
    that one alone, by its number from 1 on, unless another is decided for; `before`: what the first that is tried has come to, with the same `memo`.

    Raises what the first order raises, where none finds room.
    """
    chosen = (decisions.number("order", 1 + len(ORDERS)) or order) if options.reorder else 1
    best = before
    failure: CompilerError | None = None
    tried: set[frozenset[int]] = set() if before is None else {before.fitted.followers[ORDERS[before.order - 1]]}
    for number, name in enumerate(ORDERS, 1):
        if chosen not in (0, number) or (best is not None and (best.fitted.followers[name] in tried or len(best.fitted.ops) > MOST_TRIED)):
            continue
        try:
            given = best.fitted.given if best is not None else None
            fitted = fit(ir, codelets, target, decisions, resident=options.resident, memo=memo, order=name, given=given)
        except (TileError, OutOfMemory) as error:
            failure = failure or error
            continue
        tried.add(fitted.followers[name])
        found = replace(_ordered(fitted, machine, options), order=number, cut=before.cut if before else 0)
        if best is None or found.sooner(best):
            best = found
    if best is None:
        assert failure is not None, "there is one order at least"
        raise failure
    best.fitted.restore()
    return best


def _together(prepared: Prepared, target: Target, decisions: Decisions, options: Options, memos: Memos) -> Compiled:
    return _in_orders(prepared.ir, prepared.codelets, target, decisions, options, memos.whole, prepared.machine, order=prepared.order)


def _same_places(prepared: Prepared, target: Target, decisions: Decisions, options: Options, memos: Memos) -> Compiled:
    """A batch image by image, as far as it goes so, each image where the first one is: as many cycles an image as an image alone, or fewer.

    Raises those of `NO_WAY`.
    """
    joined = _images_of(prepared, target, decisions, options, memos)
    joined = joined.placed(place_outside(joined.ops, [stored.buffer for stored in joined.stored.values()]))
    return _ordered(joined, prepared.machine, options)


def _apart(prepared: Prepared, target: Target, decisions: Decisions, options: Options, memos: Memos) -> Compiled:
    """The same, each image in places of its own. Raises those of `NO_WAY`."""
    joined = _images_of(prepared, target, decisions, options, memos)
    joined = joined.placed(place(joined.ops, [stored.buffer for stored in joined.stored.values()]))
    return _ordered(joined, prepared.machine, options)


def _images_of(prepared: Prepared, target: Target, decisions: Decisions, options: Options, memos: Memos) -> Fitted:
    assert prepared.images is not None
    (head, first), rest = prepared.images
    machine = prepared.machine
    one = _in_orders(head, first, target, decisions, options, memos.head, machine, order=prepared.order).fitted
    others = None if rest is None else _in_orders(*rest, target, decisions, options, memos.tail, machine, order=prepared.order).fitted
    return join(prepared.ir, one, others)


#: Ways of a batch: as a whole, and image by image.
BATCHES = (_together, _same_places, _apart)


def link(prepared: Prepared, compiled: Compiled, choices: Mapping[str, int]) -> Program:
    """The program: code behind constants and tensors in external memory, and what the host needs to know. Raises CompilerError where that has no room."""
    machine, architecture, ir = prepared.machine, prepared.machine.graph, prepared.ir
    fitted, scheduled = compiled.fitted, compiled.scheduled
    buffers = fitted.buffers
    used = max((b.address + b.size_bytes for b in buffers if b.memory.kind == "external"), default=0)
    program_address = ceil_div(used, PROGRAM_ALIGN_BYTES) * PROGRAM_ALIGN_BYTES
    code = machine.instruction_set.encode_program(scheduled.instructions)
    if program_address + len(code) > architecture.external.size_bytes:
        raise CompilerError(
            f"memory {architecture.external.name}", found=f"{program_address + len(code)} bytes of tensors, constants and instructions",
            expected=f"at most {architecture.external.size_bytes}", do="use an architecture with a larger external memory",
        )
    program = Program(
        name=ir.name, architecture=architecture.name, fingerprint=machine.instruction_set.fingerprint, description=architecture.description,
        instructions=tuple(scheduled.instructions), code=code, program_address=program_address,
        segments=tuple((b.address, b.content) for b in buffers if b.content is not None),
        inputs=tuple(
            _input(prepared, fitted, item, stored) for item in ir.inputs for tensor, stored in fitted.packed if tensor == item.tensor
        ),
        outputs=tuple(_edge(fitted.stored[fitted.seen[item.tensor]], item, ir.tensors[item.tensor]) for item in ir.outputs),
        layers=tuple(_layer(codelet, times) for codelet, times in fitted.steps),
        provenance=tuple((fitted.ops[p].layer, fitted.ops[p].tile) for p in scheduled.positions),
        external_bytes=program_address + len(code), memory_map=_map(fitted), choices={name: number for name, number in choices.items() if number},
    )
    check_program(program, architecture, where=f"program {ir.name}", accesses=scheduled.accesses)  # what is about to be handed out
    return program


def _layer(codelet: Codelet, times: int) -> Layer:
    family = DEPTHWISE if codelet.depthwise else codelet.family
    return Layer(codelet.name, codelet.op, codelet.origin, codelet.macs * times, family, codelet.operands["y"].shape[1])


def _require_room(ir: Network, architecture: Graph) -> None:
    """Refuse, before anything is laid out, a tensor that alone is larger than external memory. Raises CompilerError."""
    room = architecture.external.size_bytes
    for tensor in ir.tensors.values():
        size = prod(tensor.shape) * ELEMENT_BYTES[tensor.dtype]
        if size > room:
            raise CompilerError(f"memory {architecture.external.name}", found=f"tensor {tensor.name} of {size} bytes", expected=f"at most {room}",
                                do="use an architecture with a larger external memory")


def _input(prepared: Prepared, fitted: Fitted, item: EdgeInput, stored: str) -> EdgeTensor:
    if item.tensor not in prepared.windows:
        return _edge(fitted.stored[stored], item, prepared.ir.tensors[item.tensor])
    source, unfold = prepared.windows[item.tensor]
    return replace(_edge(fitted.stored[stored], item, prepared.given.tensors[source]), unfold=unfold.numbers())


def _edge(stored: Stored, item: EdgeInput | EdgeOutput, tensor: Tensor) -> EdgeTensor:
    layout = stored.layout
    return EdgeTensor(
        item.name, item.dtype, tuple(item.shape), tensor.dtype, tensor.shape, tensor.scale, tensor.zero_point, stored.shape, layout.lanes,
        stored.buffer.address, layout.size_bytes, function=item.function if isinstance(item, EdgeOutput) else (), planes=layout.planes,
    )


def _map(fitted: Fitted) -> tuple[Placed, ...]:
    """Tensors wherever they lie, and what else of external memory is written: a movement's bytes on their way."""
    named = [(name, b) for name, b in fitted.named if b.address >= 0]
    listed = {id(b) for _, b in named}
    named += [(b.name, b) for b in fitted.buffers if b.memory.kind == "external" and b.content is None and id(b) not in listed]
    return tuple(Placed(name, *place_of(b), b.size_bytes) for name, b in named)
