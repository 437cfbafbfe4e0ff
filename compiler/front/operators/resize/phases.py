"""Linear Resize of few phases: depthwise convolutions with integer weights, one for each phase of the output, and a movement that interleaves them.

On each axis an output's coordinate in the input is (A y + B) / D in integers, so outputs P = D / gcd(A, D) apart have the same fraction, and
their inputs lie A P / D apart: each such phase is a convolution with two weights, w and D - w, over D. Both axes together have the weights'
products over Dy Dx. Pixels beyond the edge repeat those at the edge, and are put there by a movement first.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.transposed_convolution import Interleaved, Phase
from compiler.front.operators.resize.coordinates import FRACTIONS
from compiler.front.operators.resize.reading import Axis, Resizing
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Real
from compiler.front.state.windows import Window

#: A convolution for each phase where the products of both axes' weights are up to the first, and there are no more phases than the second.
#: What has more is `compiler.front.operators.resize.passes`.
LARGEST_WEIGHT = 255
MOST_PHASES = 32


@dataclass(frozen=True)
class Phased:
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
        made = sorted(phase.first + i * self.period for phase, _ in found for i in range(phase.count))
        assert made == list(range(self.out)), f"{self}: each output is in one phase"
        return found


def _phased(mode: str, axis: Axis) -> Phased:
    if axis.kept:
        return Phased(axis.size, axis.out, 1, 0, 1)
    a, b, d = FRACTIONS[mode](axis.ratio.numerator, axis.ratio.denominator, axis.out, axis.size)
    least = lcm(*(Fraction(a * y + b, d).denominator for y in range(axis.out)))
    return Phased(axis.size, axis.out, a * least // d if axis.out > 1 else 0, b * least // d, least)


def few_phases(node: OnnxNode, value: Real, resizing: Resizing) -> Pending | None:
    """Return the linear interpolation of the last two axes, or of the last of rank 3; None of others, and where phases are many or weights large."""
    rank = len(value.shape)
    if resizing.mode != "linear" or resizing.antialias or resizing.crops or rank not in (3, 4) or not all(a.kept for a in resizing.axes[:2]):
        return None
    axes = [Phased(1, 1, 1, 0, 1)] * (4 - rank) + [_phased(resizing.coordinates, axis) for axis in resizing.axes[2:]]
    if min(axes[0].period, axes[0].out) * min(axes[1].period, axes[1].out) > MOST_PHASES:
        return None
    parts = [a.phases() for a in axes]
    largest = max(max(w) for _, w in parts[0]) * max(max(w) for _, w in parts[1])
    if largest > LARGEST_WEIGHT or not all(a.stride > 0 or a.out == 1 for a in axes):
        return None
    source = _with_edges(node, value, axes)
    channels = value.shape[1]
    whole = axes[0].d * axes[1].d
    products, places = [], []
    view = default_view(source.shape)
    for y, rows in parts[0]:
        for x, columns in parts[1]:
            weight = np.broadcast_to(np.outer(rows, columns).astype(np.uint8), (channels, 1, len(rows), len(columns)))
            strides = (max(axes[0].stride, 1), max(axes[1].stride, 1))
            window = Window((len(rows), len(columns)), strides, (1, 1), (0, 0, 0, 0), (y.out, x.out), rank)
            out = (view[0], channels, y.out, x.out)
            products.append(Product(
                node=node, tensor=source.tensor, view=view, x_scale=value.scale, x_zero=value.zero, weight=np.ascontiguousarray(weight),
                w_scale=np.array([1 / whole], np.float32), w_zero=0, out_view=out, shape=window.onnx_shape(*out[:2]), axis_from_end=rank - 1,
                window=window, group=channels,
            ))  # fmt: skip
            places.append((y, x))
    out_view = (view[0], channels, axes[0].out, axes[1].out)
    return Interleaved(tuple(products), tuple(places), (axes[0].period, axes[1].period), out_view, resizing.shape).pending()


def _with_edges(node: OnnxNode, value: Real, axes: list[Phased]) -> Real:
    """The input with its edge pixels repeated as often as the outputs need them."""
    (numbers,) = numbered([value])
    view = numbers.reshape(default_view(value.shape))
    padded = np.pad(view, ((0, 0), (0, 0), axes[0].edges, axes[1].edges), mode="edge")
    if padded.size == view.size:
        return value
    shape = (*value.shape[:2], *padded.shape[-(len(value.shape) - 2) :])
    result = moved(node, [value], padded.reshape(shape), name=f"{node.output}/edges")
    assert isinstance(result, Real), "movement keeps the quantisation"
    return result


__all__ = ["Phased", "few_phases"]
