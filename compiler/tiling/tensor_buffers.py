"""Where tensors stand: their buffers on chip and in external memory, and views of these."""

from __future__ import annotations

from acg.graph import Memory
from compiler.codelets import Operand
from compiler.mapping.copies import boxed
from compiler.mapping.insert_transfers import Residency
from compiler.target import Target
from compiler.tiles import Buffer, View

Box = tuple[int, int, int, int, int, int, int, int]
Box6 = tuple[int, int, int, int, int, int]


def _shared(buffer: Buffer, other: Buffer | None) -> Buffer:
    """`other` where it is the same buffer as a new one, with what its users wished of it forgotten."""
    if other is None or (other.memory.name, other.size_bytes, other.pinned) != (buffer.memory.name, buffer.size_bytes, buffer.pinned):
        return buffer
    other.border_bytes = 0
    return other


class TensorBuffers:
    """Buffers of the tensors of a network under one residency."""

    def __init__(self, target: Target, residency: Residency, before: TensorBuffers | None = None) -> None:
        """`before`: the buffers of another residency of the same network, which this one shares where they are alike."""
        self.target = target
        self.residency = residency
        self.resident: dict[str, Buffer] = {}
        self.external: dict[str, Buffer] = {}
        #: Of tensors that have copies the buffer of each, in the place of an empty one that of the first.
        self.copies: dict[str, tuple[Buffer, ...]] = {}
        for name, memory in residency.resident.items():
            if name in residency.copies:
                self._copy_of(name, memory, before)
                continue
            buffer = Buffer(name, memory, residency.layouts[name].size_bytes, memory.word_bytes, lasting=True)
            self.resident[name] = buffer if before is None else _shared(buffer, before.resident.get(name))
            self.resident[name].border_bytes = residency.borders.get(name, 0)
        for name in sorted(residency.external):
            layout = residency.layouts[name]
            pinned = name in residency.edge.values()
            buffer = Buffer(name, target.external, layout.size_bytes, max(64, target.external.bus_bytes), pinned=pinned)
            self.external[name] = buffer if before is None else _shared(buffer, before.external.get(name))

    def _copy_of(self, name: str, memory: Memory, before: TensorBuffers | None) -> None:
        """Buffers of the copies of a tensor."""
        earlier = () if before is None else before.copies.get(name, ())
        made: dict[int, Buffer] = {}
        for number, (lo, hi) in enumerate(self.residency.copies[name]):
            if lo < hi:
                buffer = Buffer(name, memory, (hi - lo) * self.residency.layouts[name].pixel_bytes, memory.word_bytes, lasting=True)
                made[number] = _shared(buffer, earlier[number] if number < len(earlier) else None)
        first = next(iter(made.values()))
        self.copies[name] = tuple(made.get(number, first) for number in range(len(self.residency.copies[name])))
        self.resident[name] = self.copies[name][0]

    def strides(self, operand: Operand) -> tuple[int, int, int, int]:
        """Bytes (image, row, pixel, element) of an operand's tensor as the codelet's shape sees it."""
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        row = operand.shape[3] * layout.pixel_bytes
        return operand.shape[2] * row, row, layout.pixel_bytes, layout.element_bytes

    def is_resident(self, operand: Operand) -> bool:
        """Whether the operand's tensor lives on chip."""
        return self.residency.root(operand.tensor) in self.resident

    def whole(self, operand: Operand, *, outside: bool = False, member: int = 0) -> View:
        """View of the whole tensor, on chip or in external memory; or of the copy that a member of a team reads."""
        root = self.residency.root(operand.tensor)
        steps = self.strides(operand)
        if outside or root not in self.copies:
            layout = self.residency.layouts[root]
            granules = (layout.lanes, layout.granule_bytes) if layout.planes else (1, 0)
            return View((self.external if outside else self.resident)[root], 0, *steps, operand.shape[2], operand.shape[3], 0, 0, 0, 0, *granules)
        box = boxed(operand.shape, self.residency.copies[root][member])
        if box is None:  # part of an image: only whole tensors are seen so
            box = (0, operand.shape[0], 0, operand.shape[2], 0, operand.shape[3])
        n0, _, y0, y1, x0, x1 = box
        image = steps[0] if (y0, y1) == (0, operand.shape[2]) else (y1 - y0) * steps[1]
        return View(self.copies[root][member], 0, image, *steps[1:], y1 - y0, x1 - x0, n0, y0, x0)

    def places(self, operand: Operand, box: Box6) -> list[tuple[View, Box6]]:
        """Where a box (n0, n1, y0, y1, x0, x1) of a resident tensor stands: views, and what of the box each has."""
        root = self.residency.root(operand.tensor)
        if root not in self.copies:
            return [(self.whole(operand), box)]
        found = []
        for member, span in enumerate(self.residency.copies[root]):
            own = boxed(operand.shape, span)
            if span[0] < span[1] and own is not None:
                a = tuple(min(max(value, own[at // 2 * 2]), own[at // 2 * 2 + 1]) for at, value in enumerate(box))
                if a[0] < a[1] and a[2] < a[3] and a[4] < a[5]:
                    found.append((self.whole(operand, member=member), a))
        return found  # type: ignore[return-value]

    def _box_strides(self, operand: Operand, box: Box) -> tuple[tuple[int, int, int], int]:
        n0, n1, y0, y1, x0, x1, c0, c1 = box
        pixel, element = self.strides(operand)[2:]
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        granules = -(-(c1 - c0) // layout.lanes)
        if not layout.planes and (c0 > 0 or c1 < operand.shape[1]):
            pixel = granules * layout.lanes * element
        row = (x1 - x0) * pixel
        image = (y1 - y0) * row
        return (image, row, pixel), (n1 - n0) * image * (granules if layout.planes else 1)

    def buffer(self, name: str, memory: Memory, size_bytes: int, align_bytes: int | None = None) -> Buffer:
        """Return a new buffer, whole words of its memory."""
        words = -(-size_bytes // memory.word_bytes)
        return Buffer(name, memory, words * memory.word_bytes, align_bytes or memory.word_bytes)

    def view_box(self, operand: Operand, box: Box, memory: Memory, name: str, *, least_bytes: int = 1) -> View:
        """New buffer for a box (n0, n1, y0, y1, x0, x1, c0, c1) of a tensor, of so many bytes at least, and the view of it."""
        n0, _, y0, y1, x0, x1, c0, _ = box
        strides, size = self._box_strides(operand, box)
        element = self.strides(operand)[3]
        place = self.buffer(name, memory, max(size, least_bytes))
        layout = self.residency.layouts[self.residency.root(operand.tensor)]
        granules = (layout.lanes, (box[1] - n0) * strides[0]) if layout.planes else (1, 0)
        return View(place, 0, *strides, element, y1 - y0, x1 - x0, n0, y0, x0, c0, *granules)


__all__ = ["Box", "Box6", "TensorBuffers"]
