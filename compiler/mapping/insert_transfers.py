"""Pass: decide where each tensor lives, and with it which transfers there are.

    before   codelets on engines, tensors without a place
    after    each tensor resident in an on-chip memory, or in external memory, or both; a tensor that is external and read
             from a memory on chip gets a transfer (a `Fetch` of the whole, or boxes while its consumer is tiled)

A tensor can be resident when the engine that writes it and all that read it reach one memory; otherwise the path between them leads
through external memory. `spilled` names tensors that are to stay external although they could be resident: there was no room.
A Reshape or Move that moves nothing in memory makes its output an alias of its input; a Reshape at the edge of the network is done by the host, unless what
it reads was left there by an earlier part of the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.codelets import Codelet
from compiler.ir.move import keeps_places
from compiler.ir.network import Network, Tensor
from compiler.layout import Layout
from compiler.mapping.assign_engines import Assigned
from compiler.mapping.copies import Span, copies
from compiler.mapping.divide import Divider, Shares
from compiler.partitions import Partition
from compiler.target import Target
from compiler.window import Window


@dataclass(frozen=True, eq=False)
class Residency:
    """Where tensors live.

    `alias` leads from a tensor to the one whose bytes it shares; all other fields are keyed by such roots. `resident`: memory of a
    tensor on chip; `external`: tensors with bytes in external memory; `fetched`: graph inputs copied whole before the first use.
    `layouts`: layout of each root; `edge`: for tensors at the edge, the root whose bytes the host packs or unpacks; `packed`: pairs
    of an input tensor and the tensor as which the host packs it (itself, or a Reshape of it); `seen`: for tensors at the edge, the
    tensor as which the host unpacks those bytes. `shares`: of each step, how it is divided; `copies`: of a resident tensor that several engines
    read at the same time, the pixels that each has in a place of its own; `borders`: of another one, the byte that would best lie at the border of two banks.
    """

    ir: Network
    steps: tuple[Assigned, ...]
    alias: dict[str, str]
    layouts: dict[str, Layout]
    resident: dict[str, Partition]
    external: frozenset[str]
    fetched: tuple[str, ...]
    edge: dict[str, str] = field(default_factory=dict)
    packed: tuple[tuple[str, str], ...] = ()
    seen: dict[str, str] = field(default_factory=dict)
    shares: tuple[Shares, ...] = ()
    copies: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    borders: dict[str, int] = field(default_factory=dict)

    def resident_bytes(self, name: str) -> int:
        """Bytes on chip of a resident tensor, all of its copies."""
        layout = self.layouts[name]
        if name not in self.copies:
            return layout.size_bytes
        return sum((hi - lo) * layout.pixel_bytes for lo, hi in self.copies[name])

    def root(self, tensor: str) -> str:
        """Tensor whose bytes `tensor` shares."""
        return root_of(self.alias, tensor)


def same_bytes(x: Tensor, y: Tensor) -> bool:
    """Whether row-major reinterpretation leaves every element at its place in memory."""
    pixels = x.shape[2] * x.shape[3] == y.shape[2] * y.shape[3]
    return x.shape[1] == y.shape[1] and (pixels or x.shape[1] == 1)


def same_places(codelet: Codelet, must_copy: bool) -> bool:
    """Whether a movement leaves every element at its pixel, counted through all images, and at its channel; never where it `must_copy`."""
    x, y = codelet.operands["x"].shape, codelet.operands["y"].shape
    assert codelet.move is not None, f"{codelet.name} moves nothing"
    return not must_copy and len(codelet.operands) == 2 and keeps_places(codelet.move, x, y)


def root_of(alias: dict[str, str], tensor: str) -> str:
    """Tensor whose bytes `tensor` shares."""
    while tensor in alias:
        tensor = alias[tensor]
    return tensor


def insert_transfers(
    ir: Network, assigned: tuple[Assigned, ...], target: Target, *, spilled: frozenset[str] = frozenset(), undivided: frozenset[str] = frozenset()
) -> Residency:
    """Place every tensor; `spilled` tensors never reside on chip, and the layers of `undivided` codelets stay whole."""
    alias: dict[str, str] = {}
    edge: dict[str, str] = {tensor: tensor for tensor in [*(i.tensor for i in ir.inputs), *(o.tensor for o in ir.outputs)]}
    fed = {item.tensor for item in ir.inputs}
    views = {item.tensor for item in ir.inputs if not item.left}  # as which the host may pack an input
    leaving = {item.tensor for item in ir.outputs}
    packed = [(item.tensor, item.tensor) for item in ir.inputs]
    steps = []
    reordered: set[str] = set()  # aliases whose elements, in row-major order, are not those of the tensor whose bytes they share
    for step in assigned:
        codelet = step.codelet
        x, y = codelet.operands["x"].tensor, codelet.operands["y"].tensor
        if codelet.family == "move" and same_places(codelet, y in leaving and root_of(alias, x) in fed):
            alias[y] = x
            reordered.add(y)
            continue
        if codelet.family == "reshape":
            if same_bytes(ir.tensors[x], ir.tensors[y]):
                alias[y] = x
                reordered |= {y} if x in reordered else set()
                continue
            if root_of(alias, x) in views and x not in reordered:  # the host packs the input as this view of it
                fed.add(y)
                views.add(y)
                edge[y] = y
                packed.append((next(a for a, b in packed if b == root_of(alias, x)), y))
                continue
            if y in leaving and not ir.consumers(y):  # the host reads the source and reinterprets it
                edge[y] = x
                continue
        steps.append(step)
    residency = Residency(ir, tuple(steps), alias, {}, {}, frozenset(), ())

    def root(tensor: str) -> str:
        return residency.root(tensor)

    seen = dict(edge)
    edge = {tensor: root(source) for tensor, source in edge.items()}
    streamed: set[str] = set()
    writers: dict[str, Partition | None] = {}
    readers: dict[str, list[Partition | None]] = {}
    once: set[str] = set()  # of which no result reads a row that another row of results reads
    for step in steps:
        window = Window.of(step.codelet)
        if step.core_or_none is not None and window.kernel[0] <= window.step[0]:
            once.add(root(step.codelet.operands["x"].tensor))
        for role, operand in step.codelet.operands.items():
            turned = role[0] == "w" and step.core_or_none is not None  # a core reads them where activations are
            if (role[0] not in "wy" or turned) and operand.tensor:
                readers.setdefault(root(operand.tensor), []).append(step.source_or_none)
            elif role[0] == "w" and operand.tensor:  # weights that the network computes come from external memory
                streamed.add(root(operand.tensor))
                readers.setdefault(root(operand.tensor), [])
        writers[root(step.codelet.operands["y"].tensor)] = step.sink_or_none
    # A view of an input that nothing reads is not packed, unless it is the only one.
    useful = [pair for pair in packed if root(pair[1]) in readers or any(root(o.tensor) == root(pair[1]) for o in ir.outputs)]
    packed = useful + [(x, x) for x in dict.fromkeys(item.tensor for item in ir.inputs) if all(x != source for source, _ in useful)]
    needed = {root(stored) for _, stored in packed} | {edge[item.tensor] for item in ir.outputs}
    edge = {tensor: source for tensor, source in edge.items() if source in needed}
    used = set(writers) | set(readers) | set(edge.values())
    lanes = max([v.lanes for v in target.vector] + [m.lanes for m in _activation_memories(steps)] + [u.core.granule_bytes for u in target.cores] + [1])
    layouts = {name: Layout(ir.tensors[name].shape, ir.tensors[name].dtype, lanes, bool(target.cores)) for name in sorted(used)}
    resident: dict[str, Partition] = {}
    fetched = []
    roots_fed = {root(tensor) for tensor in fed}
    for name in layouts:
        wanted = list(readers.get(name, []))
        if name in spilled or not wanted:
            continue
        home = next((m for m in wanted if m is not None), writers.get(name))
        writer = home if name in roots_fed else writers.get(name)
        if home is None or writer is None or writer.name != home.name or any(m is not None and m.name != home.name for m in wanted):
            continue
        if any(m is None for m in wanted) and name in roots_fed:
            continue
        if name in roots_fed and len(wanted) == 1 and layouts[name].planes and (layouts[name].padded_channels > lanes or name in once):
            continue  # rows of several planes that come while others are read, or are read once: boxes of their own stand apart
        if layouts[name].size_bytes > home.size_bytes:
            continue
        resident[name] = home
        if name in roots_fed:
            fetched.append(name)
    at_edge = set(edge.values())
    external = frozenset(name for name in layouts if name not in resident or name in at_edge or name in streamed)
    divider = Divider(target)
    shares = tuple(divider.divide(step, undivided=step.codelet.name in undivided) for step in steps)
    residency = Residency(ir, tuple(steps), alias, layouts, resident, external, tuple(fetched), edge, tuple(packed), seen, shares)
    found, borders = copies(residency)
    residency.copies.update(found)
    residency.borders.update(borders)
    return residency


def _activation_memories(steps: list[Assigned]) -> list[Partition]:
    return [m for step in steps for m in (step.source_or_none, step.sink_or_none) if m is not None]
