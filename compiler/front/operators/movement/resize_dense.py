"""Resize by linear interpolation where there are many phases, or large weights: a convolution for neighbouring phases together.

Phases whose inputs begin at one place read the same pixels. One convolution of every channel's image by itself makes them all, one output channel
for each: (N, C, H, W) becomes (N C, r, rows, columns), where r copies share a weight that 8 bits cannot hold, 255 each and the last the rest.

    6 x 6 to 96 x 96, half_pixel        256 phases, which begin in 2 x 2 places: 4 convolutions of 64 channels, r = 4 for weights up to 31 * 31
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from compiler.constraints import small_weights
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.transposed_convolution import Phase
from compiler.front.state.builder import default_view
from compiler.front.state.step import Step
from compiler.front.state.values import Pending, Quantisation, Real, Shape
from compiler.front.state.windows import Window
from compiler.ir.graph import Move

LARGEST_PART = 255
#: Bytes of weights of one Resize; copies of the input; convolutions along an axis, in which places are put together where there are more.
MOST_WEIGHTS = 1 << 20
MOST_COPIES = 255
MOST_GROUPS = 8


@dataclass(frozen=True)
class Axis:
    """One axis: sizes of input and output, the coordinate (A y + B) / D in lowest terms, and the edge pixels repeated before and after."""

    size: int
    out: int
    a: int
    b: int
    d: int

    @property
    def period(self) -> int:
        """Outputs after which the fraction is the same again."""
        return self.d // gcd(self.a, self.d)

    @property
    def stride(self) -> int:
        """Inputs between two outputs a period apart."""
        return self.a * self.period // self.d

    def coordinate(self, y: int) -> tuple[int, int]:
        """Return (input before the coordinate, numerator of the fraction over D) of output y."""
        return divmod(self.a * y + self.b, self.d)

    @property
    def edges(self) -> tuple[int, int]:
        """Pixels to repeat before the first and after the last."""
        least, most = self.coordinate(0)[0], self.coordinate(self.out - 1)
        return max(0, -least), max(0, most[0] + (most[1] > 0) - (self.size - 1))

    def phases(self) -> list[tuple[Phase, list[int]]]:
        """Each phase, as a convolution of the input with its edges, and the weights of its taps."""
        found = []
        for first in range(min(self.period, self.out)):
            at, weight = self.coordinate(first)
            begin = at + self.edges[0]
            weights = [0] * begin + [self.d - weight] + ([weight] if weight else [])
            count = -(-(self.out - first) // self.period)
            room = self.size + sum(self.edges) - len(weights)
            found.append((Phase(first, count, tuple(range(len(weights))), (0, 0), room // max(self.stride, 1) + 1), weights))
        return found


@dataclass(frozen=True, eq=False)
class Group:
    """Phases of an axis in one convolution: first outputs, weights (phases, taps), the input of the first tap, and how many outputs a phase has."""

    first: tuple[int, ...]
    weights: np.ndarray
    least: int
    count: int

    def inputs(self, axis: Axis) -> np.ndarray:
        """Return the pixels that the convolution reads, those beyond an edge at the edge."""
        stride = max(axis.stride, 1)
        return np.clip(self.least + np.arange((self.count - 1) * stride + self.weights.shape[1]), 0, axis.size - 1)


def groups(axis: Axis) -> list[Group]:
    """Return the groups of an axis, at most MOST_GROUPS.

    >>> [(g.first, g.weights.tolist(), g.least) for g in groups(Axis(2, 8, 2, -3, 8))]
    [((0, 1), [[3, 5], [1, 7]], -1), ((2, 3), [[7, 1], [5, 3]], 0)]
    """
    places = [axis.coordinate(first) for first in range(min(axis.period, axis.out))]
    starts = sorted({at for at, _ in places})
    together = -(-len(starts) // MOST_GROUPS)
    found = []
    for some in (starts[i : i + together] for i in range(0, len(starts), together)):
        low = some[0]
        members = [(first, at - low, weight) for first, (at, weight) in enumerate(places) if low <= at <= some[-1]]
        weights = np.zeros((len(members), max(offset + 1 + (weight > 0) for _, offset, weight in members)), np.int64)
        for row, (_, offset, weight) in enumerate(members):
            weights[row, offset] = axis.d - weight
            if weight:
                weights[row, offset + 1] = weight
        count = max(-(-(axis.out - first) // axis.period) for first, _, _ in members)
        found.append(Group(tuple(first for first, _, _ in members), weights, low, count))
    assert sorted(first for g in found for first in g.first) == list(range(len(places))), f"{axis}: each phase in one group"
    return found


def _shares(weights: np.ndarray, copies: int) -> np.ndarray:
    """Return weights (OC, KH, KW) as (OC, copies, KH, KW), at most LARGEST_PART each."""
    used = np.arange(copies).reshape(1, -1, 1, 1) * LARGEST_PART
    return np.clip(weights[:, None] - used, 0, LARGEST_PART).astype(np.uint8)


def _product(step: Step, value: Real, axes: list[Axis], y: Group, x: Group, whole: int) -> Product:
    """The convolution of two groups."""
    weights = np.einsum("ak,bl->abkl", y.weights, x.weights).reshape(-1, y.weights.shape[1], x.weights.shape[1])
    copies = -(-int(weights.max()) // LARGEST_PART)
    (numbers,) = numbered([value])
    image = numbers.reshape(default_view(value.shape))
    image = image.reshape(-1, 1, *image.shape[2:])[:, :, y.inputs(axes[0])][..., x.inputs(axes[1])]
    index = np.broadcast_to(image, (image.shape[0], copies, *image.shape[2:]))
    source = moved(step, [value], index, name=f"{step.output}/pixels")
    assert isinstance(source, Real), "movement keeps the quantisation"
    strides = (max(axes[0].stride, 1), max(axes[1].stride, 1))
    window = Window(weights.shape[1:], strides, (1, 1), (0, 0, 0, 0), (y.count, x.count), 4)  # type: ignore[arg-type]
    out = (image.shape[0], weights.shape[0], y.count, x.count)
    return Product(
        step=step, tensor=source.tensor, view=source.shape, x_scale=value.scale, x_zero=value.zero,  # type: ignore[arg-type]
        weight=_shares(weights, copies), w_scale=np.array([1 / whole], np.float32), w_zero=0, out_view=out, shape=out, axis_from_end=3, window=window,
    )  # fmt: skip


def interpolated(step: Step, value: Real, axes: list[Axis], shape: Shape) -> Pending:
    """Return the interpolation of the last two axes, which waits for its QuantizeLinear."""
    parts = [groups(axis) for axis in axes]
    phases = [sum(len(g.first) for g in part) for part in parts]
    largest = int(np.prod([max(g.weights.max() for g in part) for part in parts]))
    copies = -(-largest // LARGEST_PART)
    size = copies * int(np.prod([sum(g.weights.size for g in part) for part in parts]))
    fits = size <= MOST_WEIGHTS and copies <= MOST_COPIES and all(a.stride > 0 or a.out == 1 for a in axes)
    step.require(small_weights, fits, found=f"{phases[0]} x {phases[1]} phases with weights up to {largest}, {size} bytes of them")
    n, channels = value.shape[:2]
    view = (n, channels, axes[0].out, axes[1].out)
    whole = axes[0].d * axes[1].d

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        index, base = np.zeros(view, np.int64), 0
        names: list[str] = []
        for y in parts[0]:
            for x in parts[1]:
                product = _product(step, value, axes, y, x, whole)
                names.append(product.emit(Quantisation(f"{target.name}/phases{len(names)}", *_quantisation(target)), origin))
                numbers = base + np.arange(np.prod(product.out_view)).reshape(n, channels, len(y.first), len(x.first), y.count, x.count)
                for i, top in enumerate(y.first):
                    for j, left in enumerate(x.first):
                        place = index[:, :, top :: axes[0].period, left :: axes[1].period]
                        place[...] = numbers[:, :, i, j, : place.shape[2], : place.shape[3]]
                base += numbers.size
        out = step.builder.tensor(target.name, default_view(shape), target.dtype, target.scale, target.zero)
        return step.builder.node(f"{step.label}/interleave", Move(index), tuple(names), out, origin)

    return Pending(shape, (step.label,), emit)


def _quantisation(target: Quantisation) -> tuple[str, float, int, int, int]:
    return target.dtype, target.scale, target.zero, target.low, target.high


__all__ = ["Axis", "Group", "groups", "interpolated"]
