"""The passes, as one readable list.

    IR -> lower_moves -> unfold_inputs -> instantiate_codelets -> merge_tables -> assign_engines -> insert_transfers -> tile -> allocate -> emit -> schedule
    -> Program

Where a network does not fit, the three middle passes are repeated with less on chip: first without gaps, then with a tensor spilled to
external memory, or, where nothing resident is in the way, with smaller tiles. A repetition tiles only the steps whose room or tensors
are others than before (`compiler.tiling.tile.Memo`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from acg.graph import Graph
from acg.machine import Machine, machine_of
from acg.predictor import predict
from compiler.codelets import Codelet
from compiler.errors import CompilerError
from compiler.graph_passes.lower_moves import lower_moves
from compiler.graph_passes.unfold_inputs import Unfold, unfold_inputs
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Tensor
from compiler.ir.rules import verify
from compiler.layout import ELEMENT_BYTES
from compiler.loader import check_program
from compiler.mapping.assign_engines import assign_engines
from compiler.mapping.insert_transfers import Residency, insert_transfers
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.merge_tables import merge_tables
from compiler.ordering.emit import emit
from compiler.ordering.schedule import Scheduled, schedule
from compiler.partitions import cuts
from compiler.placing.allocate import LASTING, Allocation, OutOfMemory
from compiler.program import DEPTHWISE, EdgeTensor, Layer, Placed, Program
from compiler.target import Target
from compiler.tiles import Buffer, ceil_div, place_of
from compiler.tiling.tile import Memo, TileError, tile
from compiler.tiling.tile_context import TileContext

#: Instructions start at a multiple of the AXI boundary.
PROGRAM_ALIGN_BYTES = 4096
#: Part of a memory that resident tensors may take together; the rest is for strips, and lost to gaps.
MOST_RESIDENT = 0.92
#: Of programs of more instructions the first way to cut the memories that finds room is taken.
MOST_TRIED = 20_000
#: A layer's tiles are made smaller at most this often.
SMALLEST_SHRINK = 1 / 256


@dataclass(frozen=True)
class Options:
    """Choices of a compilation: `reorder` False keeps the order of tiling, `resident` False keeps every tensor external, `unfold` False
    keeps the host from laying inputs out as windows."""

    reorder: bool = True
    resident: bool = True
    unfold: bool = True


def compile_network(ir: Network, architecture: Graph, *, options: Options | None = None) -> Program:
    """Compile an IR graph for an architecture.

    Raises
    ------
    UnsupportedError
        No engines can compute some nodes; all are listed.
    CompilerError
        The network does not fit the machine.
    """
    options = options or Options()
    verify(ir)
    _require_room(ir, architecture)
    machine, target = machine_of(architecture), Target(architecture)
    given = ir = lower_moves(ir, target)
    ir, windows = unfold_inputs(ir, target) if options.unfold else (ir, {})
    context, buffers, scheduled = _best_cut(ir, merge_tables(instantiate_codelets(ir), ir), machine, target, options)
    used = max((b.address + b.size_bytes for b in buffers if b.memory.kind == "external"), default=0)
    program_address = ceil_div(used, PROGRAM_ALIGN_BYTES) * PROGRAM_ALIGN_BYTES
    code = machine.instruction_set.encode_program(scheduled.instructions)
    if program_address + len(code) > architecture.external.size_bytes:
        raise CompilerError(
            f"memory {architecture.external.name}", found=f"{program_address + len(code)} bytes of tensors, constants and instructions",
            expected=f"at most {architecture.external.size_bytes}", do="use an architecture with a larger external memory",
        )
    residency = context.residency
    program = Program(
        name=ir.name, architecture=architecture.name, fingerprint=machine.instruction_set.fingerprint, description=architecture.description,
        instructions=tuple(scheduled.instructions), code=code, program_address=program_address,
        segments=tuple((b.address, b.content) for b in buffers if b.content is not None),
        inputs=tuple(
            _input(context, item, stored, given, windows)
            for item in ir.inputs for tensor, stored in residency.packed if tensor == item.tensor and stored in residency.layouts
        ),
        outputs=tuple(_edge(context, item, ir.tensors[item.tensor], residency.seen[item.tensor]) for item in ir.outputs),
        layers=tuple(_layer(step.codelet) for step in residency.steps),
        provenance=tuple((context.ops[p].layer, context.ops[p].tile) for p in scheduled.positions),
        external_bytes=program_address + len(code), memory_map=_map(context, buffers),
    )
    check_program(program, architecture, where=f"program {ir.name}", accesses=scheduled.accesses)  # what is about to be handed out
    return program


def _layer(codelet: Codelet) -> Layer:
    family = DEPTHWISE if codelet.depthwise else codelet.family
    return Layer(codelet.name, codelet.op, codelet.origin, codelet.macs, family, codelet.operands["y"].shape[1])


#: What a way to cut the memories comes to: operations, their buffers, and the program in its order.
Compiled = tuple[TileContext, list[Buffer], Scheduled]


def _best_cut(ir: Network, choices: tuple[tuple[Codelet, ...], ...], machine: Machine, target: Target, options: Options) -> Compiled:
    """Place and schedule with each way to cut the memories; the one that takes the fewest cycles, of equal ones the first.

    `target`: the machine with its memories cut in the first way. Raises what that way raises, where none finds room.
    """
    architecture = machine.graph
    best: tuple[int, Compiled] | None = None
    failure: CompilerError | None = None
    ways = cuts(architecture)
    for cut in ways:
        try:
            context, buffers = place(ir, choices, target if cut == ways[0] else Target(architecture, cut), options)
        except (TileError, OutOfMemory) as error:
            failure = failure or error
            continue
        scheduled = schedule(machine, emit(context.ops, machine), reorder=options.reorder)
        if len(ways) == 1:
            return context, buffers, scheduled
        cycles = predict(architecture, scheduled.instructions).total_cycles
        if best is None or cycles < best[0]:
            # Buffers are shared between contexts of one residency only: each way has its own.
            best = cycles, (context, buffers, scheduled)
        if len(scheduled.instructions) > MOST_TRIED:
            break
    if best is None:
        assert failure is not None, "there is one way at least"
        raise failure
    return best[1]


def _require_room(ir: Network, architecture: Graph) -> None:
    """Refuse, before anything is laid out, a tensor that alone is larger than external memory. Raises CompilerError."""
    room = architecture.external.size_bytes
    for tensor in ir.tensors.values():
        size = prod(tensor.shape) * ELEMENT_BYTES[tensor.dtype]
        if size > room:
            raise CompilerError(f"memory {architecture.external.name}", found=f"tensor {tensor.name} of {size} bytes", expected=f"at most {room}",
                                do="use an architecture with a larger external memory")


def place(ir: Network, choices: tuple[tuple[Codelet, ...], ...], target: Target, options: Options) -> tuple[TileContext, list[Buffer]]:
    """Assign engines, insert transfers, tile and allocate; again with less on chip until everything has a place.

    What gives way, in this order: gaps between buffers, the division of a layer that has no tile, a resident tensor, the size of a layer's tiles, a node's
    preferred codelet.
    """
    spilled: frozenset[str] = frozenset() if options.resident else frozenset(ir.tensors)
    undivided: frozenset[str] = frozenset()
    shrink: dict[int, float] = {}
    memo = Memo()
    assigned = assign_engines(choices, target)
    spilled |= _overfull(insert_transfers(ir, assigned, target, spilled=spilled))
    while True:
        residency = insert_transfers(ir, assigned, target, spilled=spilled, undivided=undivided)
        failure: TileError | OutOfMemory | None = None
        try:
            context = tile(residency, target, shrink=shrink, memo=memo)
        except TileError as error:
            failure = error
        else:
            try:
                return context, _allocate(context)
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
            assigned = assign_engines(choices, target)
            shrink.pop(layer, None)
        else:
            raise failure


def _allocate(context: TileContext) -> list[Buffer]:
    """Allocate; where gaps are too small again without them: first between the lasting buffers, then in each layer that finds no room."""
    allocation = Allocation(context.ops, [b for b in context.external.values() if b.pinned])
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


def _input(context: TileContext, item: EdgeInput, stored: str, given: Network, windows: dict[str, tuple[str, Unfold]]) -> EdgeTensor:
    if item.tensor not in windows:
        return _edge(context, item, context.residency.ir.tensors[item.tensor], stored)
    source, unfold = windows[item.tensor]
    return replace(_edge(context, item, given.tensors[source], stored), unfold=unfold.numbers())


def _edge(context: TileContext, item: EdgeInput | EdgeOutput, tensor: Tensor, stored: str) -> EdgeTensor:
    root = context.residency.root(stored)
    layout, buffer, shape = context.residency.layouts[root], context.external[root], context.residency.ir.tensors[stored].shape
    return EdgeTensor(
        item.name, item.dtype, tuple(item.shape), tensor.dtype, tensor.shape, tensor.scale, tensor.zero_point, shape, layout.lanes,
        buffer.address, layout.size_bytes, function=item.function if isinstance(item, EdgeOutput) else (), planes=layout.planes,
    )


def _map(context: TileContext, buffers: list[Buffer]) -> tuple[Placed, ...]:
    """Tensors wherever they lie, and what else of external memory is written: a movement's bytes on their way."""
    named = [(name, b) for table in (context.resident, context.external) for name, b in table.items() if b.address >= 0]
    listed = {id(b) for _, b in named}
    named += [(b.name, b) for b in buffers if b.memory.kind == "external" and b.content is None and id(b) not in listed]
    return tuple(Placed(name, *place_of(b), b.size_bytes) for name, b in named)
