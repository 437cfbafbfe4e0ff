"""A batch image by image: the program of one image as often as there are images, with shared constants, in front of what is better done for all at once.

    before   conv 8x16x32x32, pool 8x16x1x1, fully connected 8x10
    after    image 0: conv 1x16x32x32, pool 1x16x1x1; image 1: the same, elsewhere; ...; then fully connected 8x10, its weights loaded once

Tensors of all images together may not fit on chip where those of one do, so that a batch costs more an image than an image alone. `split` finds the part of a
network that goes image by image; `repeat` makes its operations for every image. Which way a batch takes is decided by the prediction (`compiler.passes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.errors import LengthError, PartsError
from compiler.ir.edit import rebuild
from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.expression import Expression
from compiler.ir.matmul import MatMul
from compiler.ir.move import Move
from compiler.ir.network import Conv, EdgeInput, EdgeOutput, Network, Node, Reshape
from compiler.tiles import Buffer, Gap, Ref, TileOp
from compiler.ways.fit import Fitted, Stored

__all__ = ["MOST_IMAGES", "join", "split"]

#: Of more images nobody wants a program each.
MOST_IMAGES = 64
#: Most operations of all images: 16 of ResNet-50.
MOST_REPEATED = 1 << 18


def split(ir: Network) -> tuple[Network, Network | None] | None:
    """The part of a network of several images that goes image by image, for one image, and the rest, for all; None where there is no such part.

    Tensors keep their names. What lies between the parts leaves the first and enters the second.
    """
    images = {ir.tensors[item.tensor].shape[0] for item in ir.inputs}
    if len(images) != 1 or not 1 < (n := images.pop()) <= MOST_IMAGES:
        return None
    first, rest = _parts(ir, n)
    reads = {name for node in rest for name in node.inputs}
    made = {name for node in first for name in node.outputs}
    if not any(isinstance(node.attrs, Conv) for node in first) or reads & {item.tensor for item in ir.inputs}:
        return None
    leaving = {item.tensor for item in ir.outputs}
    crossing = [name for name in made if name in reads]
    one = {name: replace(tensor, shape=(1, *tensor.shape[1:])) for name, tensor in ir.tensors.items() if tensor.shape[0] == n}
    edges = [EdgeOutput(name, ir.tensors[name].dtype, one[name].shape, name) for name in sorted({*crossing, *(leaving & made)})]
    head = rebuild(ir, nodes=first, tensors=one, outputs=edges)
    if not rest:
        return head, None
    inputs = [EdgeInput(name, ir.tensors[name].dtype, ir.tensors[name].shape, name, left=True) for name in sorted(crossing)]
    return head, rebuild(ir, nodes=rest, inputs=inputs, outputs=[item for item in ir.outputs if item.tensor not in made])


def _parts(ir: Network, n: int) -> tuple[list[Node], list[Node]]:
    """Nodes that go image by image, and the rest.

    A Reshape whose result the rest reads is the rest's: at the end of the first part it would be no step, but another view of what it reads.
    """
    late: set[str] = set()
    while True:
        apart = {item.tensor for item in ir.inputs}
        first: list[Node] = []
        rest: list[Node] = []
        for node in ir.nodes:
            if node.name not in late and apart.issuperset(node.inputs) and _image_by_image(node, ir, n):
                first.append(node)
                apart.update(node.outputs)
            else:
                rest.append(node)
        reads = {name for node in rest for name in node.inputs}
        views = {node.name for node in first if isinstance(node.attrs, Reshape) and reads.intersection(node.outputs)}
        if not views:
            return first, rest
        late |= views


def _image_by_image(node: Node, ir: Network, n: int) -> bool:
    """Whether each image of the result follows from that image of the operands, and doing it for all at once would save no weights."""
    attrs = node.attrs
    tensors = [ir.tensors[name] for name in (*node.inputs, *node.outputs)]
    if any(tensor.shape[0] != n for tensor in tensors) or isinstance(attrs, Expression | MatMul | Move):
        return False
    if isinstance(attrs, Reduction) and 0 in attrs.axes:
        return False
    if isinstance(attrs, Binary) and attrs.constant is not None and attrs.constant.shape[0] != 1:
        return False
    # A fully connected layer: one pixel an image, so that all images pass one load of its weights.
    return not (hasattr(attrs, "weight") and tensors[-1].shape[2:] == (1, 1))


def join(ir: Network, head: Fitted, tail: Fitted | None) -> Fitted:
    """Operations of all images one after the other, then those of the rest, on buffers that have no place yet.

    Raises LengthError; PartsError where the parts lay out a tensor between them in two ways.
    """
    n = ir.tensors[ir.inputs[0].tensor].shape[0]
    shared: dict[Buffer, Buffer] = {}
    stored: dict[str, Stored] = {} if tail is None else dict(tail.stored)
    for name, one in sorted(head.stored.items(), key=lambda item: item[0] not in stored):  # what the rest reads lies where the rest has it
        shape = (n, *one.shape[1:])
        layout = replace(one.layout, shape=(n * one.layout.shape[0], *one.layout.shape[1:]))
        buffer = one.buffer
        assert not layout.planes and layout.shape[0] == n, f"{name}: {layout} of one image"
        if name not in stored:
            all_images = shared.get(buffer) or Buffer(buffer.name, buffer.memory, layout.size_bytes, buffer.align_bytes, pinned=True)
            stored[name] = Stored(all_images, layout, shape)  # two names may be views of the same bytes
        else:
            assert buffer not in shared, f"{name}: the rest has another view of it"
            other = stored[name]
            assert other.shape == shape, f"{name}: {shape} of one part, {other.shape} of the other"
            if other.layout != layout:  # of engines of other widths in one part only
                raise PartsError(f"network {ir.name}, tensor {name}", found=f"{layout.lanes} lanes where images go apart, {other.layout.lanes} behind that",
                                 expected="the same lanes in both", do="compile the batch as a whole")
        shared[buffer] = stored[name].buffer
    steps = len(head.steps)
    if n * len(head.ops) > MOST_REPEATED:
        raise LengthError(f"network {ir.name}", found=f"{n * len(head.ops)} instructions for {n} images", expected=f"at most {MOST_REPEATED}",
                          do="make the batch smaller")
    ops: list[TileOp] = []
    named: list[tuple[str, Buffer]] = []
    for image in range(n):
        clones = _Clones(shared, image, n)
        ops += [clones.operation(op, f"image {image} {op.tile}") for op in head.ops]
        if not image:
            named += [(name, clones.buffer(buffer)) for name, buffer in head.named if buffer not in shared]
    edges = {id(one.buffer): one.buffer for one in stored.values()}
    named += [(buffer.name, buffer) for buffer in edges.values()]
    if tail is not None:
        ops += [TileOp(op.engine, op.fields, op.reads, op.writes, op.layer + steps, op.tile) for op in tail.ops]
        named += [(name, buffer) for name, buffer in tail.named if id(buffer) not in edges]
    leaving = {item.tensor for item in ir.outputs}
    seen = {name: source for part in (head, tail) if part is not None for name, source in part.seen.items() if name in leaving}
    every = (*((codelet, n * times) for codelet, times in head.steps), *(() if tail is None else tail.steps))
    return Fitted(ops, [], every, head.packed, seen, stored, named)


class _Clones:
    """Buffers of one image: constants are everybody's, of `shared` ones an image has its part, all others are its own."""

    def __init__(self, shared: dict[Buffer, Buffer], image: int, images: int) -> None:
        self.shared, self.image, self.images = shared, image, images
        self._own: dict[Buffer, Buffer] = {}

    def buffer(self, buffer: Buffer) -> Buffer:
        """What stands for a buffer of the part for one image."""
        if buffer.content is not None:
            return buffer
        if buffer in self.shared:
            return self.shared[buffer]
        if buffer not in self._own:
            self._own[buffer] = replace(buffer)
        return self._own[buffer]

    def _shift(self, buffer: Buffer) -> int:
        return self.image * self.shared[buffer].size_bytes // self.images if buffer in self.shared else 0

    def _field(self, value: int | Ref | Gap) -> int | Ref | Gap:
        if isinstance(value, Ref):
            return Ref(self.buffer(value.buffer), value.offset + self._shift(value.buffer), value.unit_bytes)
        if isinstance(value, Gap):
            return Gap(self.buffer(value.source), value.start + self._shift(value.source), self.buffer(value.target), value.end + self._shift(value.target),
                       value.unit_bytes)  # fmt: skip
        return value

    def operation(self, op: TileOp, tile: str) -> TileOp:
        """An operation on this image's buffers."""
        fields = {name: self._field(value) for name, value in op.fields.items()}
        return TileOp(op.engine, fields, self._all(op.reads), self._all(op.writes), op.layer, tile)

    def _all(self, buffers: Sequence[Buffer]) -> tuple[Buffer, ...]:
        return tuple(self.buffer(buffer) for buffer in buffers)
