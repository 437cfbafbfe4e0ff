"""Tile the product of two computed matrices: a contraction whose weight blocks come from a tensor.

    before   codelet: for n, oc, oy: reduce ic: acc = MATMUL(x[..], w[..]); y = REQUANTIZE(acc)
    after    for each product and tile: [load blocks of w] [load zero rows] [load input box] matrix+ vector [store]

The tensor w is in external memory, its pixels the reduced dimension. A block of the matrix unit's columns is a strip of `columns` bytes of
each pixel; the strips of a piece of the reduction, one block of columns after another, are the order of the passes (`pack_weights`):
one strided copy. Rows beyond the reduced dimension are filled with w's zero point, beside which the activation's padded lanes, which
hold anything, contribute nothing. Columns beyond the last are whatever stands there: they make lanes that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from compiler.mapping.assign_engines import Assigned
from compiler.mapping.divide import Share
from compiler.tiles import Buffer, Ref, View, ceil_div
from compiler.tiling.contraction.contraction import Chunk, ContractionTiler, Spot
from compiler.tiling.contraction.price import Choice, ContractionPricer, ContractionSizes
from compiler.tiling.copy_nest import Level
from compiler.tiling.tile_context import TileContext

#: Cycles of external memory for a row of few bytes: a burst each, several under way.
ROW_CYCLES = 3.5


class ProductSizes(ContractionSizes):
    """Sizes of a product; `images` counts products, which never take the place of rows, as each has weights of its own."""

    @property
    def batched(self) -> bool:
        """False."""
        return False


def _product_sizes(sizes: ContractionSizes, images: int) -> ProductSizes:
    return ProductSizes(**{item.name: getattr(sizes, item.name) for item in fields(ContractionSizes)} | {"images": images})


class ProductPricer(ContractionPricer):
    """Prices one product of the codelet: all are alike, and each loads its own weights."""

    def __init__(self, context: TileContext, step: Assigned, share: Share | None = None) -> None:
        super().__init__(context, step, share)
        self.sizes = _product_sizes(self.sizes, 1)

    def price(self, choice: Choice) -> float:
        """Cycles; the strips of the weights cost a burst each."""
        s = self.sizes
        reloaded = 1 if choice.keep_weights else ceil_div(s.out_rows, choice.rows)
        strips = s.in_channels * s.blocks * reloaded * ROW_CYCLES
        return max(super().price(choice), strips)


class ProductTiler(ContractionTiler):
    """Emits the operations of a product under a given choice of tile."""

    def __init__(self, context: TileContext, step: Assigned, sizes: ContractionSizes, choice: Choice, share: Share | None = None) -> None:
        products = step.codelet.operands["y"].shape[0]
        super().__init__(context, step, _product_sizes(sizes, products), choice, share)
        self._a_batch, self._b_batch = step.codelet.batches
        self._product = 0 if share is None else share.box[0]

    def reduce(self, spot: Spot, block: tuple[int, int], acc: Buffer, pitch: int, label: str) -> None:
        """All sums of a tile of one product."""
        if self._b_batch[spot[0]] != self._b_batch[self._product]:
            self._weights.clear()
        self._product = spot[0]
        super().reduce(spot, block, acc, pitch, label)

    def input_view(self, spot: Spot, chunk: Chunk, label: str) -> View:
        """View of the rows of x; its images are those that the products read."""
        image = self._a_batch[spot[0]]
        view = super().input_view((image, image + 1, *spot[2:]), chunk, label)
        return replace(view, n0=view.n0 + spot[0] - image)

    def weights(self, group: tuple[int, int], chunk: Chunk, plane: int, label: str, piece: int = 0) -> Buffer:
        """Buffer of the blocks of w, loaded unless it still stands there."""
        key = (group, chunk, plane, piece)
        if key not in self._weights:
            self._weights[key] = self._load_blocks(group, (chunk[4], chunk[5]), label)
        return self._weights[key]

    def _load_blocks(self, group: tuple[int, int], reduction: tuple[int, int], label: str) -> Buffer:
        memory, rows, columns = self.matrix.weight, self.rows, self.columns
        depth = self.w.shape[2]
        first, last = reduction[0] * rows, min(depth, reduction[1] * rows)
        block_bytes = (reduction[1] - reduction[0]) * rows * columns
        place = self.context.buffer(f"{self.codelet.name}.w", memory, (group[1] - group[0]) * block_bytes)
        outside = self.context.whole(self.w, outside=True)
        image = self._b_batch[self._product]
        wide = outside.pixel_bytes
        full = min(group[1], wide // columns)
        for lo, hi, width in ((group[0], full, columns), (max(full, group[0]), group[1], wide % columns)):
            if lo < hi and width:
                levels = [Level(hi - lo, columns, block_bytes), Level(last - first, outside.pixel_bytes, columns)]
                source = Ref(outside.buffer, outside.at(image, first, 0, lo * columns))
                self._copy(source, Ref(place, (lo - group[0]) * block_bytes), width, levels, label)
        missing = reduction[1] * rows - last
        if missing > 0:
            zeros = self.context.constant("zero rows", bytes([self.w.zero & 0xFF]) * (missing * columns))
            target = Ref(place, (last - first) * columns)
            self._copy(Ref(zeros), target, missing * columns, [Level(group[1] - group[0], 0, block_bytes)], label)
        return place

    def _copy(self, source: Ref, target: Ref, row_bytes: int, levels: Sequence[Level], label: str) -> None:
        path = self.context.target.load_path(self.matrix.weight, constant=True)
        self.context.copy(path, source, target, row_bytes, levels, label)
