"""Several engines read one tensor at the same time, and a bank has one read port: each gets the pixels that it reads in a place of its own.

    before   layers that read t: rows 0..16 by one engine, rows 15..31 by another
    after    copies of t: pixels of rows 0..16, pixels of rows 15..31; whoever writes rows 15 and 16 writes both

Whoever reads all of a tensor reads the first copy, which is whole then. A tensor has copies only if every layer that writes or reads it is able to; of
another one the pixel where the second engine begins would best lie at the border of two banks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.layout import Layout
from compiler.mapping.divide import LANES, Box, reach

if TYPE_CHECKING:
    from compiler.mapping.insert_transfers import Residency

#: Pixels [from, to) of a tensor, counted through rows and images.
Span = tuple[int, int]

#: Families that write a tile to all copies.
WRITERS = ("contraction", *LANES)


def span(shape: tuple[int, ...], box: Box) -> Span:
    """The pixels of a view from the first to the last of a box of it (n0, n1, y0, y1, x0, x1)."""
    (_, _, h, w), (n0, n1, y0, y1, x0, x1) = shape, box
    if n1 <= n0 or y1 <= y0 or x1 <= x0:
        return 0, 0
    return (n0 * h + y0) * w + x0, ((n1 - 1) * h + y1 - 1) * w + x1


def boxed(shape: tuple[int, ...], found: Span) -> Box | None:
    """The box of a view that a run of pixels is; None where it is none."""
    n, _, h, w = shape
    lo, hi = found
    if lo % (h * w) == 0 == hi % (h * w):
        return lo // (h * w), hi // (h * w), 0, h, 0, w
    if n == 1 and lo % w == 0 == hi % w:
        return 0, 1, lo // w, hi // w, 0, w
    if n == 1 and h == 1:
        return 0, 1, 0, 1, lo, hi
    return None


def copies(residency: Residency) -> tuple[dict[str, tuple[Span, ...]], dict[str, int]]:
    """Of each resident tensor that has copies their pixels, by the number of the member that reads them; nothing is read from an empty one. And of others
    that several engines read or write at the same time the byte that would best lie at the border of two banks."""
    needs: dict[str, dict[int, list[Span]]] = {}
    written: dict[str, int] = {}
    views: dict[str, list[tuple[int, ...]]] = {}
    unable: set[str] = set()
    for step, (shares, _) in zip(residency.steps, residency.shares, strict=True):
        for role, operand in step.codelet.operands.items():
            root = residency.root(operand.tensor)
            if root not in residency.resident:
                continue
            everything = (0, residency.layouts[root].shape[0] * residency.layouts[root].shape[2] * residency.layouts[root].shape[3])
            if role == "y":
                unable |= set() if step.codelet.family in WRITERS and root not in residency.external else {root}
                views.setdefault(root, []).append(operand.shape)
                if len(shares) > 1 and shares[1].channels == shares[0].channels:
                    written[root] = span(operand.shape, shares[1].box)[0]
                continue
            boxes = {share.index: reach(step, share, role) for share in shares}
            if not boxes or None in boxes.values():
                found = dict.fromkeys((0, *boxes), everything)
                views.setdefault(root, [])  # an input that nobody reads in boxes has no view
            else:
                found = {member: span(operand.shape, box) for member, box in boxes.items() if box is not None}
                views.setdefault(root, []).append(operand.shape)
            for member, pixels in found.items():
                needs.setdefault(root, {}).setdefault(member, []).append(pixels)
    result, borders = {}, {root: pixel * residency.layouts[root].pixel_bytes for root, pixel in written.items()}
    for root, members in needs.items():
        starts = [min(lo for lo, _ in members[member]) for member in sorted(members)[1:]]
        if any(starts):
            borders[root] = next(filter(None, starts)) * residency.layouts[root].pixel_bytes
        if root in unable or len(members) < 2:
            continue
        layout = residency.layouts[root]
        spans = tuple(_aligned(layout, views[root], members.get(i, [])) for i in range(max(members) + 1))
        whole = layout.shape[0] * layout.shape[2] * layout.shape[3]
        alike = all(n * h * w == whole and c == layout.shape[1] for n, c, h, w in views[root])
        if alike and all(boxed(view, each) is not None for view in views[root] for each in spans if each != (0, 0)):
            result[root] = spans
            borders.pop(root, None)
    return result, borders


def _aligned(layout: Layout, views: list[tuple[int, ...]], spans: list[Span]) -> Span:
    """One run of pixels over all these, of whole rows, and of whole images where there are several."""
    spans = [each for each in spans if each != (0, 0)]
    if not spans:
        return 0, 0
    unit = max([h * w if n > 1 else w if h > 1 else 1 for n, _, h, w in (layout.shape, *views)])
    lo, hi = min(a for a, _ in spans), max(b for _, b in spans)
    return lo // unit * unit, -(-hi // unit) * unit
