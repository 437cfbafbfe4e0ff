"""The passes, as one readable list.

    IR -> lower_moves -> unfold_inputs -> instantiate_codelets -> merge_tables -> assign_engines -> insert_transfers -> tile -> allocate -> emit -> schedule
    -> Program

Where a network does not fit, the middle passes are repeated with less on chip (`compiler.fit`). What they decide where several ways are open is the
first of these, unless others are given (`compiler.decisions`); who looks for better ones is `compiler.search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from acg.graph import Graph
from acg.machine import Machine, machine_of
from acg.predictor import predict
from compiler.codelets import Codelet
from compiler.decisions import Decisions
from compiler.errors import CompilerError
from compiler.fit import fit
from compiler.graph_passes.lower_moves import lower_moves
from compiler.graph_passes.unfold_inputs import Unfold, unfold_inputs
from compiler.ir.network import EdgeInput, EdgeOutput, Network, Tensor
from compiler.ir.rules import verify
from compiler.layout import ELEMENT_BYTES
from compiler.loader import check_program
from compiler.mapping.instantiate_codelets import instantiate_codelets
from compiler.mapping.merge_tables import merge_tables
from compiler.ordering.emit import emit
from compiler.ordering.schedule import Scheduled, schedule
from compiler.partitions import cuts
from compiler.placing.allocate import OutOfMemory
from compiler.program import DEPTHWISE, EdgeTensor, Layer, Placed, Program
from compiler.target import Target
from compiler.tiles import Buffer, ceil_div, place_of
from compiler.tiling.tile import Memo, TileError
from compiler.tiling.tile_context import TileContext

#: Instructions start at a multiple of the AXI boundary.
PROGRAM_ALIGN_BYTES = 4096
#: Of programs of more instructions the first way to cut the memories that finds room is taken.
MOST_TRIED = 20_000


@dataclass(frozen=True)
class Options:
    """Choices of a compilation: `reorder` False keeps the order of tiling, `resident` False keeps every tensor external, `unfold` False
    keeps the host from laying inputs out as windows; `choices`: of decisions by name the way to take (`compiler.decisions`)."""

    reorder: bool = True
    resident: bool = True
    unfold: bool = True
    choices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network on a machine before anything is decided: `ir` as it is compiled, `given` as it came (its edges are those), the codelets of each node,
    `windows` as which the host lays inputs out, and the ways to cut the machine's memories."""

    ir: Network
    given: Network
    codelets: tuple[tuple[Codelet, ...], ...]
    windows: dict[str, tuple[str, Unfold]]
    machine: Machine
    targets: tuple[Target, ...]


@dataclass(frozen=True, eq=False)
class Compiled:
    """What decisions come to: operations, their buffers, the program in its order, and its cycles (None where nobody needed them)."""

    context: TileContext
    buffers: list[Buffer]
    scheduled: Scheduled
    cycles: int | None = None


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
    prepared = prepare(ir, architecture, options)
    decisions = Decisions(options.choices)
    compiled = compile_prepared(prepared, decisions, options)
    decisions.require_read(ir.name)
    return link(prepared, compiled, options.choices)


def prepare(ir: Network, architecture: Graph, options: Options) -> Prepared:
    """Everything that comes before the first decision. Raises CompilerError for a tensor that alone is larger than external memory."""
    verify(ir)
    _require_room(ir, architecture)
    target = Target(architecture)
    given = ir = lower_moves(ir, target)
    ir, windows = unfold_inputs(ir, target) if options.unfold else (ir, {})
    others = cuts(architecture)[1:]
    targets = target, *(Target(architecture, cut) for cut in others)
    return Prepared(ir, given, merge_tables(instantiate_codelets(ir), ir), windows, machine_of(architecture), targets)


def compile_prepared(
    prepared: Prepared, decisions: Decisions, options: Options, *, memos: Sequence[Memo] | None = None, price: bool = False
) -> Compiled:
    """Place and schedule with each way to cut the memories; the one that takes the fewest cycles, of equal ones the first.

    `memos`: for each way what earlier calls left; the results of those are of no use any more. `price`: predict the cycles even of a single way.
    Raises what the first way raises, where none finds room.
    """
    machine, ir, ways = prepared.machine, prepared.ir, prepared.targets
    best: Compiled | None = None
    failure: CompilerError | None = None
    chosen = decisions.number("memories", 1 + len(ways) if len(ways) > 1 else 1)
    for number, target in enumerate(ways):
        if chosen and number != chosen - 1:
            continue
        memo = Memo() if memos is None else memos[number]
        try:
            context, buffers = fit(ir, prepared.codelets, target, decisions, resident=options.resident, memo=memo)
        except (TileError, OutOfMemory) as error:
            failure = failure or error
            continue
        scheduled = schedule(machine, emit(context.ops, machine), reorder=options.reorder)
        alone = len(ways) == 1 or bool(chosen)
        found = Compiled(context, buffers, scheduled, predict(machine.graph, scheduled.instructions).total_cycles if price or not alone else None)
        if best is None or (found.cycles or 0) < (best.cycles or 0):
            best = found  # buffers are shared between contexts of one target only: each way has its own
        if len(scheduled.instructions) > MOST_TRIED:
            break
    if best is None:
        assert failure is not None, "there is one way at least"
        raise failure
    return best


def link(prepared: Prepared, compiled: Compiled, choices: Mapping[str, int]) -> Program:
    """The program: code behind constants and tensors in external memory, and what the host needs to know. Raises CompilerError where that has no room."""
    machine, architecture, ir = prepared.machine, prepared.machine.graph, prepared.ir
    context, buffers, scheduled = compiled.context, compiled.buffers, compiled.scheduled
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
            _input(context, item, stored, prepared.given, prepared.windows)
            for item in ir.inputs for tensor, stored in residency.packed if tensor == item.tensor and stored in residency.layouts
        ),
        outputs=tuple(_edge(context, item, ir.tensors[item.tensor], residency.seen[item.tensor]) for item in ir.outputs),
        layers=tuple(_layer(step.codelet) for step in residency.steps),
        provenance=tuple((context.ops[p].layer, context.ops[p].tile) for p in scheduled.positions),
        external_bytes=program_address + len(code), memory_map=_map(context, buffers), choices={name: number for name, number in choices.items() if number},
    )
    check_program(program, architecture, where=f"program {ir.name}", accesses=scheduled.accesses)  # what is about to be handed out
    return program


def _layer(codelet: Codelet) -> Layer:
    family = DEPTHWISE if codelet.depthwise else codelet.family
    return Layer(codelet.name, codelet.op, codelet.origin, codelet.macs, family, codelet.operands["y"].shape[1])


def _require_room(ir: Network, architecture: Graph) -> None:
    """Refuse, before anything is laid out, a tensor that alone is larger than external memory. Raises CompilerError."""
    room = architecture.external.size_bytes
    for tensor in ir.tensors.values():
        size = prod(tensor.shape) * ELEMENT_BYTES[tensor.dtype]
        if size > room:
            raise CompilerError(f"memory {architecture.external.name}", found=f"tensor {tensor.name} of {size} bytes", expected=f"at most {room}",
                                do="use an architecture with a larger external memory")


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
