"""Tile the reinterpretation of a tensor's elements.

    before   codelet: y[i] = COPY(x[i]) in row-major order
    after    [load rows] store of elements at the strides of their new places, in external memory
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.codelets import Operand
from compiler.codelets.base import pixel
from compiler.errors import CompilerError
from compiler.passes.assign_engines import Assigned
from compiler.passes.tile_context import Level, TileContext, copy_fields
from compiler.tiles import Ref, spans


def reshape(context: TileContext, step: Assigned) -> None:
    """Write every element of x to its place in y, which is external."""
    x, y = step.codelet.operands["x"], step.codelet.operands["y"]
    n, c, h, w = x.shape
    source_root, y_layout = context.plan.root(x.tensor), context.plan.layouts[context.plan.root(y.tensor)]
    x_layout = context.plan.layouts[source_root]
    resident = context.is_resident(x)
    memory = context.plan.resident.get(source_root) or _staging(context, x_layout.row_bytes)
    order = np.arange(n * c * h * w).reshape(n, c, h, w)
    images = n * h
    rows = images if resident else max(1, min(images, context.budget_bytes[memory.name] // 2 // x_layout.row_bytes))
    flat = order.transpose(0, 2, 3, 1).reshape(images, w, c)
    as_rows = Operand(x.dtype, (1, c, images, w), pixel("c"), tensor=x.tensor)
    target = context.external[context.plan.root(y.tensor)]
    for y0, y1 in spans(images, rows):
        box = (0, 1, y0, y1, 0, w, 0, c)
        if resident:
            context.require(as_rows, (0, 1, 0, images), f"y{y0}")
            view = context.whole(as_rows)
        else:
            view = context.view_box(as_rows, box, memory, f"{step.codelet.name}.x")
            context.load_box(as_rows, box, view, f"y{y0}")
        elements = flat[y0:y1].reshape(-1)
        positions = np.arange(y0, y1)[:, None, None] * view.row_bytes + np.arange(w)[None, :, None] * view.pixel_bytes
        inside = (positions + np.arange(c) * x_layout.element_bytes).reshape(-1) + view.offset - view.y0 * view.row_bytes
        outside = _places(elements, y.shape, y_layout)
        by_place = np.argsort(outside, kind="stable")
        path = context.target.store_path(view.buffer.memory)
        for first, row_bytes, levels in strided(outside[by_place], inside[by_place], x_layout.element_bytes):
            fields: dict[str, int | Ref] = {
                "select": path.select, "ext_address": Ref(target, int(first[0])), "local_address": Ref(view.buffer, int(first[1])),
                **copy_fields(row_bytes, levels),
            }
            context.emit(path.engine.name, fields, [view.buffer], [target], f"y{y0}")


def _staging(context: TileContext, row_bytes: int):
    for name in context.target.out_of:
        memory = context.target.graph.memories[name]
        if name in context.target.into and memory.element.bits == 8 and context.budget_bytes.get(name, 0) >= row_bytes:
            return memory
    raise CompilerError(
        "reshape", found=f"no memory that holds a row of {row_bytes} bytes between a load and a store", expected="a larger scratchpad",
        do="use an architecture with larger memories",
    )


def _places(elements: np.ndarray, shape: tuple[int, int, int, int], layout) -> np.ndarray:
    _, c, h, w = shape
    column, rest = elements % w, elements // w
    row, rest = rest % h, rest // h
    channel, image = rest % c, rest // c
    return image * layout.image_bytes + row * layout.row_bytes + column * layout.pixel_bytes + channel * layout.element_bytes


#: ((outside, inside) of the first byte, (bytes a row, loops (count, outside, inside) outermost first)).
Piece = tuple[tuple[int, int], tuple[int, tuple[tuple[int, int, int], ...]]]


def strided(outside: np.ndarray, inside: np.ndarray, element_bytes: int) -> Iterator[tuple[tuple[int, int], int, list[Level]]]:
    """Cut pairs of byte addresses into strided copies: yields ((outside, inside) of the first, bytes a row, loops outermost first).

    >>> list(strided(np.array([0, 1, 4, 5]), np.array([0, 8, 1, 9]), 1))
    [((0, 0), 1, [Level(count=2, outside=4, inside=1), Level(count=2, outside=1, inside=8)])]
    """
    groups: list[Piece] = [((int(o), int(i)), (element_bytes, ())) for o, i in zip(outside, inside, strict=True)]
    groups = _merge(groups, contiguous=True)
    for _ in range(3):
        groups = _merge(groups, contiguous=False)
    for first, (row, loops) in groups:
        yield first, row, [Level(*loop) for loop in loops]


def _merge(groups: list[Piece], *, contiguous: bool) -> list[Piece]:
    """Join runs of equal pieces that lie at one distance from each other into one piece with a further loop."""
    merged: list[Piece] = []
    index = 0
    while index < len(groups):
        (o, i), shape = groups[index]
        last = index
        step: tuple[int, int] | None = None
        while last + 1 < len(groups) and groups[last + 1][1] == shape:
            (po, pi), (no, ni) = groups[last][0], groups[last + 1][0]
            distance = (no - po, ni - pi)
            if step is None:
                step = distance
            if distance != step or (contiguous and distance != (shape[0], shape[0])):
                break
            last += 1
        count = last - index + 1
        if count == 1:
            merged.append(groups[index])
        elif contiguous or step is None:
            merged.append(((o, i), (shape[0] * count, ())))
        else:
            merged.append(((o, i), (shape[0], ((count, step[0], step[1]), *shape[1]))))
        index = last + 1
    return merged
