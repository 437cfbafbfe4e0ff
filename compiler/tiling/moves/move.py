"""Tile data movement: each part the cheapest way that its places allow.

    before   codelet: y[i] = COPY((x, x1, ..)[index[i]])
    after    x and y on chip     words that keep their lanes: vector copies; constant words: vector instructions that read nothing;
                                 the rest: stores into external memory at the places of y, and loads back
             x outside           loads straight to the places of y, or through a staging memory where y is outside too
             y outside           stores straight to the places of y

Copies are merged into strided ones (`compiler.tiling.strided`).
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from acg.graph import Memory
from compiler.codelets import Operand
from compiler.errors import CompilerError
from compiler.layout import Layout
from compiler.mapping.assign_engines import Assigned
from compiler.target import CopyPath
from compiler.tiles import Buffer, Ref
from compiler.tiling.chain import LOOPS
from compiler.tiling.moves.parts import Part, chunks, parts_of
from compiler.tiling.moves.split_copies import split_copies
from compiler.tiling.moves.staged import Chunk, staged_chunks
from compiler.tiling.strided import Piece, fewest
from compiler.tiling.tile_context import TileContext

#: Loop levels of a vector instruction, and of a copy around its rows.
VECTOR_LOOPS, COPY_LOOPS = len(LOOPS), 3
#: Most bytes that stand for a constant: longer rows of it are several copies.
CONSTANT_BYTES = 256


class MoveTiler:
    """Emits the operations of one codelet that moves data."""

    def __init__(self, context: TileContext, step: Assigned, memo: dict) -> None:
        self.context, self.step, self.codelet = context, step, step.codelet
        self.y = step.codelet.operands["y"]
        assert step.codelet.move is not None, f"{step.codelet.name} moves nothing"
        self.move = step.codelet.move
        self.layout = self._layout(self.y)
        self.unit = self.layout.element_bytes
        root = context.residency.root(self.y.tensor)
        self.inside = context.resident.get(root)
        self.outside = context.external.get(root)
        self.vector = step.vector_or_none
        self.memo = memo
        #: Words of y that a vector copy has written: one with lanes of two parts that both keep them is the first one's.
        self._taken = np.zeros(0, np.int64)

    def _layout(self, operand: Operand) -> Layout:
        return self.context.residency.layouts[self.context.residency.root(operand.tensor)]

    def run(self) -> None:
        """Emit everything; what passes through a staging memory in one, the rest chunk by chunk."""
        residency, layout = self.context.residency, self.layout
        inputs = [(operand, self._layout(operand)) for role, operand in self.codelet.operands.items() if role != "y"]
        whole = parts_of(self.move, inputs, self.y.shape, layout)
        passing = self.inside is None and any(p.operand is not None and residency.root(p.operand.tensor) not in residency.resident for p in whole)
        pixel, row, _ = self._borders(None)
        staged = self._through_staging(whole, row)
        for chunk in staged:
            self._staged(chunk)
        if staged:
            return
        for parts in [whole] if passing else chunks(whole, layout.size_bytes, row, pixel):
            if self.inside is None:
                for part in parts:
                    self._outward(part)
                continue
            for part in [self._words(part) for part in parts]:
                if part.to.size:
                    self._inward(part)
        if self.inside is not None and self.outside is not None:  # at the edge of the network too
            everything = np.arange(0, layout.size_bytes, self.unit)
            self._store(self.inside, self.outside, everything, everything, None)

    def _through_staging(self, whole: list[Part], row_bytes: int) -> list[Chunk]:
        """The chunks by which words pass a memory on chip on their way out; none where they need not or cannot."""
        vector, memory = self.vector, self.step.sink_or_none
        if self.inside is not None or vector is None or memory is None or self.unit != 1 or row_bytes % vector.lanes:
            return []
        if not _among(vector.a, memory) or not _among(vector.y, memory):
            return []
        residency = self.context.residency
        roots = {residency.root(p.operand.tensor) for p in whole if p.operand is not None}
        if any(root in residency.resident and not _among(vector.a, residency.resident[root]) for root in roots):
            return []
        return staged_chunks(
            self.context, whole, self.layout.size_bytes, row_bytes, vector, memory,
            lambda part: part.operand is not None and residency.root(part.operand.tensor) in residency.resident,
        )

    def _staged(self, chunk: Chunk) -> None:
        """One chunk of y, put together on chip."""
        assert self.outside is not None, "y lives outside"
        memory, lanes = self.step.sink, self._lanes
        place = self.context.buffer(f"{self.codelet.name}.y", memory, chunk.size)
        for source in chunk.sources:
            operand = source.part.operand
            if operand is None:
                values = self.move.constants[source.of]
                for constant in np.unique(values):
                    self._fill(source.to[values == constant], int(constant), place)
                continue
            root = self.context.residency.root(operand.tensor)
            start, buffer = 0, self.context.resident.get(root)
            if buffer is None:
                start, buffer = source.first, self.context.buffer(f"{self.codelet.name}.x", memory, source.size)
                bytes_ = np.arange(source.size)
                self._load(self.context.external[root], buffer, bytes_ + start, bytes_, operand)
            for piece in self._fewest(source.to, source.of - start // lanes, None, operand, lanes=lanes):
                self._vector(piece, buffer, place)
        bytes_ = np.arange(chunk.size)
        self._store(place, self.outside, bytes_, bytes_ + chunk.start, None)

    def _fewest(self, outside: np.ndarray, inside: np.ndarray, outer: Operand | None, inner: Operand | None, *, lanes: int = 0) -> list[Piece]:
        """`fewest` of bytes, or of words of `lanes`, remembered: a network is tiled again and again until it fits."""
        borders = self._borders(outer, lanes or 1), self._borders(inner, lanes or 1)
        digest = blake2b(outside.tobytes())
        digest.update(inside.tobytes())
        key = ("move", digest.hexdigest(), lanes, *borders)
        if key not in self.memo:
            unit, loops = (1, VECTOR_LOOPS) if lanes else (self.unit, COPY_LOOPS)
            self.memo[key] = fewest(outside, inside, unit, outer=borders[0], inner=borders[1], loops=loops, rows=not lanes)
        return self.memo[key]

    # ---- on chip

    @property
    def _lanes(self) -> int:
        assert self.vector is not None, "words are copied by a vector unit"
        return self.vector.lanes

    def _words(self, part: Part) -> Part:
        """Copy the words that keep their lanes with the vector unit; returns what is left."""
        source = None if part.operand is None else self.context.resident.get(self.context.residency.root(part.operand.tensor))
        vector, inside = self.vector, self.inside
        assert inside is not None, "only tensors on chip have words"
        if vector is None or self.unit != 1 or not _among(vector.y, inside.memory) or (part.operand is not None and source is None):
            return part
        if source is not None and not _among(vector.a, source.memory):
            return part
        lanes = vector.lanes
        word, first, position = np.unique(part.to // lanes, return_index=True, return_inverse=True)
        position = position.reshape(-1)
        valid = np.minimum(self.layout.shape[1] - (word * lanes) % self.layout.pixel_bytes, lanes)
        if source is None:
            value = self.move.constants[part.of]
            for constant in np.unique(value):
                same = value == constant
                whole = np.bincount(position[same], minlength=word.size) == valid
                self._fill(word[whole], int(constant), inside)
                left = ~(whole[position] & same)
                part, position, value = part.chosen(left), position[left], value[left]
            return part
        start = part.of[first] - part.to[first] % lanes
        kept = (part.of - part.to % lanes == start[position]) & (start[position] % lanes == 0)
        worth = (np.bincount(position[kept], minlength=word.size) * 2 >= valid) & ~np.isin(word, self._taken)
        self._taken = np.concatenate([self._taken, word[worth]])
        if worth.any():
            for piece in self._fewest(word[worth], start[worth] // lanes, None, part.operand, lanes=lanes):
                assert source is not None, "words of an operand on chip"
                self._vector(piece, source, inside)
        return part.chosen(~(kept & worth[position]))

    def _fill(self, words: np.ndarray, constant: int, inside: Buffer) -> None:
        if words.size:
            for piece in self._fewest(words, np.zeros_like(words), None, None, lanes=self._lanes):
                self._vector(piece, None, inside, constant)

    def _vector(self, piece: Piece, source: Buffer | None, inside: Buffer, constant: int = 0) -> None:
        """One vector instruction: a maximum of one element; of a constant, one that lies out of bounds and so counts as zero."""
        vector = self.vector
        assert vector is not None, "words are copied by a vector unit"
        lanes, signed = vector.lanes, self.y.dtype == "i8"
        low, high = (-128, 127) if signed else (0, 255)
        loops = dict(zip(list(LOOPS)[VECTOR_LOOPS - len(piece.levels) :], piece.levels, strict=True))
        nest = self.context.nest(vector.engine, LOOPS, {name: loop.count for name, loop in loops.items()})
        if source is not None:
            steps = {name: loop.inside * lanes for name, loop in loops.items()}
            nest.stream("a", source, piece.inside * lanes, steps, signed=signed, element_bytes=1)
        else:
            nest.window("a", 0, 1, 1).window("a", 1, 0, 1).control(a_signed=int(signed))
        steps = {name: loop.outside * lanes for name, loop in loops.items()}
        nest.stream("y", inside, piece.outside * lanes, steps, element_bytes=1).control(y_low=low, y_high=high, y_zero=constant)
        self.context.add(nest, f"word {piece.outside}")

    def _inward(self, part: Part) -> None:
        """Write the rest of a part into y on chip, from external memory."""
        inside = self.inside
        assert inside is not None, "y lives on chip"
        if part.operand is None:
            content, of = self._constant(part)
            self._load(content, inside, of, part.to, None)
            return
        root = self.context.residency.root(part.operand.tensor)
        source = self.context.resident.get(root)
        if source is None:
            self._load(self.context.external[root], inside, part.of, part.to, part.operand)
            return
        bounce = self.context.buffer(f"{self.codelet.name}.bounce", self.context.target.external, self.layout.size_bytes)
        self._store(source, bounce, part.of, part.to, part.operand)
        pixels = np.unique(part.to // self.layout.pixel_bytes)
        if not self.layout.planes and part.to.size == pixels.size * self.layout.shape[1]:  # whole pixels: their padding comes too, so that rows are one copy
            padded = np.arange(self.layout.padded_channels) * self.unit
            whole = (pixels[:, None] * self.layout.pixel_bytes + padded).reshape(-1)
            self._load(bounce, inside, whole, whole, None)
        else:
            self._load(bounce, inside, part.to, part.to, None)

    # ---- external memory

    def _outward(self, part: Part) -> None:
        """Write a part into y in external memory."""
        assert self.outside is not None, "y lives outside"
        if part.operand is None:
            content, of = self._constant(part)
            assert content.content is not None, "constants are known"
            memory = self._staging(len(content.content))
            place = self.context.load_constant(content.name, content.content, memory, "constant")
            self._store(place, self.outside, of, part.to, None)
            return
        root = self.context.residency.root(part.operand.tensor)
        if root in self.context.resident:
            self._store(self.context.resident[root], self.outside, part.of, part.to, part.operand)
            return
        layout = self._layout(part.operand)
        memory = self._staging(layout.pixel_bytes)
        room = max(layout.pixel_bytes, self.context.budget_bytes[memory.name] // 2)
        unit = layout.row_bytes if layout.row_bytes <= room else layout.pixel_bytes
        chunk = room // unit * unit
        for start in range(0, layout.size_bytes, chunk):
            size = min(chunk, layout.size_bytes - start)
            mine = (part.of >= start) & (part.of < start + size)
            if mine.any():
                place = self.context.buffer(f"{self.codelet.name}.x", memory, size)
                bytes_ = np.arange(0, size, self.unit)
                self._load(self.context.external[root], place, bytes_ + start, bytes_, part.operand)
                self._store(place, self.outside, part.of[mine] - start, part.to[mine], part.operand)

    def _constant(self, part: Part) -> tuple[Buffer, np.ndarray]:
        """External buffer of a part's constants, and the place of each in it: a single one is repeated for as long as rows may be."""
        name = f"{self.codelet.name}.constants"
        values = self.move.constants.astype(np.uint8)
        if values.size > 1:
            return self.context.constant(name, values.tobytes()), part.of
        run = np.arange(part.to.size)
        breaks = np.concatenate([[True], np.diff(part.to) != 1])
        offset = (run - np.maximum.accumulate(np.where(breaks, run, 0))) % CONSTANT_BYTES
        return self.context.constant(name, values.tobytes() * CONSTANT_BYTES), offset

    def _staging(self, least_bytes: int) -> Memory:
        target = self.context.target
        for name in target.out_of:
            memory = target.partitions[name]
            if name in target.into and memory.element.bits == 8 and self.context.budget_bytes.get(name, 0) >= least_bytes:
                return memory
        raise CompilerError(
            f"node {self.codelet.name}", found=f"no memory that holds {least_bytes} bytes between a load and a store",
            expected="a larger scratchpad", do="use an architecture with larger memories",
        )

    def _borders(self, operand: Operand | None, unit: int = 1) -> tuple[int, int, int]:
        """Sizes of a pixel, a row and an image of an operand, or of y, in units of so many bytes."""
        operand = self.y if operand is None else operand
        pixel = self._layout(operand).pixel_bytes // unit
        return pixel, operand.shape[3] * pixel, operand.shape[2] * operand.shape[3] * pixel

    def _load(self, outside: Buffer, inside: Buffer, of: np.ndarray, to: np.ndarray, operand: Operand | None) -> None:
        path = self.context.target.load_path(inside.memory)
        pieces = self._fewest(of, to, operand, None)
        self._copy(path, outside, inside, pieces)

    def _store(self, inside: Buffer, outside: Buffer, of: np.ndarray, to: np.ndarray, operand: Operand | None) -> None:
        path = self.context.target.store_path(inside.memory)
        pieces = self._fewest(to, of, None, operand)
        self._copy(path, outside, inside, pieces)

    def _copy(self, path: CopyPath, outside: Buffer, inside: Buffer, pieces: list[Piece]) -> None:
        for piece in split_copies(pieces):
            self.context.copy(path, Ref(outside, piece.outside), Ref(inside, piece.inside), piece.row, piece.levels, f"byte {piece.outside}")


def _among(memories: tuple[Memory, ...], memory: Memory) -> bool:
    return any(m.name == memory.name for m in memories)


def move(context: TileContext, step: Assigned, memo: dict) -> None:
    """Emit the operations of a codelet that moves data; `memo` keeps what is laborious from one call to the next."""
    MoveTiler(context, step, memo).run()
