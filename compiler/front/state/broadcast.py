"""How the operands of an element-wise operator are seen as (N, C, H, W) so that ONNX's broadcasting becomes the IR's.

The axes of the result are cut into four runs, one for each of N, C, H, W. A cut fits where each operand has a whole run, or one element
there; constants may be repeated until it does. Of all cuts that fit, the one that moves fewest elements is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import prod

import numpy as np

from compiler.front.state.values import Shape
from compiler.ir.network import Shape4

Cuts = tuple[int, int, int]


@dataclass(frozen=True)
class Seen:
    """The result's view `out`, and that of each operand: of its tensor or, with some axes repeated first, of a constant."""

    out: Shape4
    operands: tuple[Shape4, ...]
    cuts: Cuts

    def constant(self, index: int, array: np.ndarray, shape: Shape) -> np.ndarray:
        """Return constant operand `index` as its (N, C, H, W), axes repeated where it has part of a run, or fewer channels."""
        array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        whole = [array.shape[i] if self.operands[index][run] == 1 else shape[i] for run, axes in enumerate(runs(len(shape), self.cuts)) for i in axes]
        return np.ascontiguousarray(np.broadcast_to(array, whole)).reshape(self.operands[index])


def runs(rank: int, cuts: Cuts) -> list[range]:
    """The axes that make N, C, H and W."""
    edges = (0, *cuts, rank)
    return [range(edges[i], edges[i + 1]) for i in range(4)]


def _view(own: Shape, shape: Shape, cuts: Cuts, *, constant: bool) -> Shape4 | None:
    own = (1,) * (len(shape) - len(own)) + tuple(own)
    sizes = []
    for run, axes in enumerate(runs(len(shape), cuts)):
        part, whole = [own[i] for i in axes], [shape[i] for i in axes]
        if part == whole or (prod(part) == 1 and not (constant and run == 1)):
            sizes.append(prod(part))
        elif constant:
            sizes.append(prod(whole))
        else:
            return None
    return tuple(sizes)  # type: ignore[return-value]


def elements_moved(current: Shape4 | None, wanted: Shape4, out: Shape4) -> int:
    """Elements that are moved until a tensor of the view `current` is seen as `wanted`, its channels repeated if it has one of many."""
    cost = 0
    if current is not None and current != wanted:
        alike = current[1] == wanted[1] and (current[1] == 1 or current[2] * current[3] == wanted[2] * wanted[3])
        cost += 1 if alike else prod(wanted)
    if wanted[1] != out[1]:
        cost += 2 * prod(wanted) * out[1]
    return cost


def views(shape: Shape, operands: Sequence[tuple[Shape, Shape4 | None]]) -> Iterator[tuple[int, Seen]]:
    """Yield (elements moved, views) of each way that fits; an operand is its ONNX shape and its tensor's view, None for a constant."""
    for cuts in combinations_with_replacement(range(len(shape) + 1), 3):
        found = [_view(own, shape, cuts, constant=current is None) for own, current in operands]
        if all(view is not None for view in found):
            out: Shape4 = tuple(prod(shape[i] for i in axes) for axes in runs(len(shape), cuts))  # type: ignore[assignment]
            kept = tuple(view for view in found if view is not None)
            cost = sum(elements_moved(current, view, out) for (_, current), view in zip(operands, kept, strict=True))
            yield cost, Seen(out, kept, cuts)


def common_view(shape: Shape, operands: Sequence[tuple[Shape, Shape4 | None]]) -> Seen | None:
    """Return the cheapest way to see operands that broadcast to `shape`; None where there is none.

    >>> common_view((2, 16, 7, 7), [((2, 16, 7, 7), (2, 16, 7, 7)), ((16, 1, 1), None)]).operands
    ((2, 16, 7, 7), (1, 16, 1, 1))
    >>> common_view((2, 9, 64), [((2, 9, 64), (18, 64, 1, 1)), ((9, 64), None)]).operands
    ((18, 64, 1, 1), (18, 64, 1, 1))
    """
    best = min(views(shape, operands), key=lambda pair: pair[0], default=None)
    return None if best is None else best[1]


__all__ = ["Seen", "common_view", "elements_moved", "runs", "views"]
