"""Resize by interpolation, axis by axis: weighted sums of the axis, which is seen as channels, and movements in between.

    shrinking    (N, C, H, W) -> (N C H, W) weighted sums -> (N C H, W') -> (N C W', H) weighted sums -> (N C W', H') -> (N, C, H', W')
    growing      (N, C, H, W) -> (N C W, H) weighted sums -> (N C W, H') -> (N C H', W) weighted sums -> (N C H', W')

    order                           axes that shrink from the last to the first, then those that grow from the first to the last: few numbers on the way

    sums of all axes but the last   T = round_half_even(float32(S) / 2^s) of each sum S, in two bytes: s is the least for which N L <= 65534 * 2^s,
                                    L being the greatest sum of an element's weights in magnitude, N = 255 for the first axis and then N L / 2^s,
                                    rounded up. Up to a denominator of 256 nothing rounds (s = 0)
    result                          QuantizeLinear of S * scale, scale = float32(x_scale * float32(2^(all s) / (product of denominators)))

    90 x 160 to 56 x 56, half_pixel      denominators 56 and 14: s = 0, exact, and one rounding of the result
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.front.constraints import finite_requantisation
from compiler.front.floats.integers import quantise
from compiler.front.operators.resize.reading import Resizing
from compiler.front.operators.resize.weights import Weights
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Pending, Quantisation, Real
from compiler.ir.interpolation import MOST, Interpolation, rounded
from compiler.ir.network import Move

#: Greatest number of a byte, and of the span of numbers in two bytes, which may round up.
BYTE, ROOM = 255, MOST - 1


@dataclass(frozen=True)
class _Planes:
    """Digits of the numbers on their way, the lower first, with their zeros; the order of the ONNX axes and their sizes, by axis.

    most: greatest number that the digits make; span: N of the module.
    """

    names: tuple[str, ...]
    zeros: tuple[int, ...]
    order: tuple[int, ...]
    sizes: tuple[int, ...]
    most: int = BYTE
    span: int = BYTE

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the order."""
        return tuple(self.sizes[axis] for axis in self.order)


def shift_of(span: int) -> int:
    """Return by how many bits sums of this span are rounded before they leave in two bytes."""
    return next(s for s in range(32) if span <= ROOM << s)


class _Emitter:
    """Adds the nodes of one Resize to the IR."""

    def __init__(self, node: OnnxNode, value: Real, resizing: Resizing, axes: list[tuple[int, Weights]], target: Quantisation, origin: tuple[str, ...]) -> None:
        self.node, self.value, self.resizing, self.axes, self.target, self.origin = node, value, resizing, axes, target, origin
        self.builder = node.builder

    def _node(self, name: str, attrs: Interpolation | Move, inputs: tuple[str, ...], out: str) -> str:
        return self.builder.node(f"{self.node.label}/{name}", attrs, inputs, out, self.origin)

    def _arranged(self, planes: _Planes, axis: int) -> _Planes:
        """The same with an axis last, seen as (all others, axis, 1, 1)."""
        order = (*(a for a in planes.order if a != axis), axis)
        view = (int(np.prod(planes.sizes)) // planes.sizes[axis], planes.sizes[axis], 1, 1)
        if order == planes.order:
            return replace(planes, names=tuple(self.builder.view(name, view) for name in planes.names))
        index = np.arange(np.prod(planes.sizes)).reshape(planes.shape).transpose([planes.order.index(a) for a in order])
        names = []
        for name in planes.names:
            t = self.builder.tensors[name]
            out = self.builder.tensor(f"{self.target.name}/axis{axis}", view, t.dtype, t.scale, t.zero_point)
            names.append(self._node(f"axis{axis}", Move(index), (name,), out))
        return replace(planes, names=tuple(names), order=order)

    def run(self) -> str:
        """Add everything; return the result's tensor."""
        planes = _Planes((self.value.tensor,), (self.value.zero,), tuple(range(len(self.value.shape))), self.value.shape)
        bits, whole = 0, 1
        for number, (axis, weights) in enumerate(self.axes):
            planes = self._arranged(planes, axis)
            whole *= weights.denominator
            if number < len(self.axes) - 1:
                shift = shift_of(planes.span * weights.largest)
                bits += shift
                planes = self._digits(planes, axis, weights, shift)
        return self._result(planes, weights, float(np.float32(2**bits / whole)))

    def _digits(self, planes: _Planes, axis: int, weights: Weights, shift: int) -> _Planes:
        """The sums of an axis in two bytes."""
        base = Interpolation(weights.matrix, planes.zeros, shift=shift, most=planes.most)
        low, high = (rounded(total, shift) for total in base.sums(self.value.dtype))
        offset, span = -low, -(-planes.span * weights.largest >> shift)
        view = (int(np.prod(planes.sizes)) // planes.sizes[axis], len(weights.matrix), 1, 1)
        names = []
        for part in ("low", "high"):
            out = self.builder.tensor(f"{self.target.name}/{part}", view, "u8")
            names.append(self._node(part, replace(base, part=part, offset=offset), planes.names, out))
        sizes = tuple(len(weights.matrix) if a == axis else size for a, size in enumerate(planes.sizes))
        return _Planes(tuple(names), (offset & BYTE, offset >> 8), planes.order, sizes, high - low, span)

    def _result(self, planes: _Planes, weights: Weights, w_scale: float) -> str:
        """The sums of the last axis, quantised, and their elements put in order."""
        target, axis = self.target, self.axes[-1][0]
        attrs = Interpolation(
            weights.matrix, planes.zeros, most=planes.most, x_scale=self.value.scale, w_scale=w_scale, y_scale=target.scale, y_zero=target.zero,
            y_low=target.low, y_high=target.high,
        )  # fmt: skip
        self.node.require(finite_requantisation, np.array([attrs.scale]), found=f"{attrs.scale}")
        sizes = self.resizing.shape
        view = (int(np.prod(sizes)) // sizes[axis], sizes[axis], 1, 1)
        fill = self._outside()
        inner = planes.order == tuple(range(len(sizes))) and fill is None
        made = self.builder.tensor(target.name if inner else f"{target.name}/sums", view, target.dtype, target.scale, target.zero)
        self._node("sums", attrs, planes.names, made)
        if inner:
            return made
        index = np.arange(np.prod(sizes)).reshape([sizes[a] for a in planes.order]).transpose(np.argsort(planes.order))
        constants = np.zeros(0, np.int16)
        if fill is not None:
            index = np.where(fill, -1, index)
            number = quantise(np.array([self.resizing.extrapolation], np.float32), target.scale, target.zero, target.dtype)
            constants = np.clip(number, target.low, target.high).astype(np.int16)
        out = self.builder.tensor(target.name, default_view(sizes), target.dtype, target.scale, target.zero)
        return self._node("order", Move(index, constants), (made,), out)

    def _outside(self) -> np.ndarray | None:
        """Which elements lie outside on some axis, an array that broadcasts to the result; None where none does."""
        found = np.zeros([1] * len(self.resizing.axes), bool)
        for axis, weights in self.axes:
            found = found | weights.outside.reshape([-1 if a == axis else 1 for a in range(len(self.resizing.axes))])
        return found if found.any() else None


def interpolated(node: OnnxNode, value: Real, resizing: Resizing, weights: dict[int, Weights]) -> Pending:
    """Return the interpolation along axes with these weights, which waits for its quantisation."""
    shrinking = [item for item in sorted(weights.items(), reverse=True) if resizing.axes[item[0]].out < resizing.axes[item[0]].size]
    axes = [*shrinking, *(item for item in sorted(weights.items()) if item[0] not in dict(shrinking))]

    def emit(target: Quantisation, origin: tuple[str, ...]) -> str:
        return _Emitter(node, value, resizing, axes, target, origin).run()

    return Pending(resizing.shape, (node.label,), emit)


__all__ = ["interpolated", "shift_of"]
