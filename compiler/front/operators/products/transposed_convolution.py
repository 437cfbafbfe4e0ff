"""ConvTranspose: convolutions of the input itself, one for each phase of the output, and a movement that interleaves them.

With stride s the outputs at positions a, a+s, a+2s, .. of an axis see the same kernel positions, every s-th one. Each such phase is a plain
convolution of stride 1, and together they do no multiplication by the zeros that spreading the input apart would put between its pixels.
Where kernel positions are spread apart too (dilation), the input is spread apart and one convolution reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compiler.front.constraints import constant_parameters, constant_weights, kernel_of_weights, output_not_empty, quantised_operand, two_dimensions_at_most
from compiler.front.operators.movement.movement import moved, numbered
from compiler.front.operators.products.blockwise import BlockwiseProduct, product_of
from compiler.front.operators.products.convolution import column
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.weights import Weights, weights_of
from compiler.front.state.builder import default_view
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Pending, Quantisation, Real, RealConst, Shape, Value
from compiler.front.state.windows import Window
from compiler.ir.network import Move


@dataclass(frozen=True)
class Axis:
    """One axis: sizes of input and output, kernel positions, stride, dilation, and what is cut off at the beginning of the whole result."""

    size: int
    out: int
    taps: int
    stride: int
    dilation: int
    begin: int


@dataclass(frozen=True)
class Phase:
    """Outputs `first`, `first` + stride, ..: `count` of them, with kernel positions `taps` (-1: a zero), padding and size of the convolution."""

    first: int
    count: int
    taps: tuple[int, ...]
    pads: tuple[int, int]
    out: int


def phases(axis: Axis) -> list[Phase]:
    """Return the phases of an axis without dilation: output t of phase a is the sum over m of x[t + q - m] * w[r + m*stride],
    with q, r = divmod(a + begin, stride).

    >>> [(p.first, p.taps, p.pads) for p in phases(Axis(4, 8, 4, 2, 1, 1))]
    [(0, (3, 1), (1, 0)), (1, (2, 0), (0, 1))]
    """
    found = []
    for first in range(min(axis.stride, axis.out)):
        ahead, least = divmod(first + axis.begin, axis.stride)
        taps = tuple(range(least, axis.taps, axis.stride))[::-1] or (-1,)
        before = len(taps) - 1 - ahead
        taps, before = ((-1,) * -before + taps, 0) if before < 0 else (taps, before)
        count = -(-(axis.out - first) // axis.stride)
        after = max(0, count + len(taps) - 1 - axis.size - before)
        found.append(Phase(first, count, taps, (before, after), axis.size + before + after - len(taps) + 1))
    return found


def _axes(node: OnnxNode, sizes: Sequence[int], kernel: Sequence[int]) -> list[Axis]:
    spatial = len(sizes)
    given = list(node.attribute("kernel_shape", kernel))
    node.require(kernel_of_weights, given, kernel, found=f"{given} for weights of {list(kernel)}")
    strides = list(node.attribute("strides", [1] * spatial))
    dilations = list(node.attribute("dilations", [1] * spatial))
    extra = list(node.attribute("output_padding", [0] * spatial))
    whole = [(sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + extra[i] for i in range(spatial)]
    mode = node.attribute("auto_pad", b"NOTSET").decode()
    target = node.attribute("output_shape", None)
    if target is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        target = [n * s for n, s in zip(sizes, strides, strict=True)]
    if target is not None:
        total = [max(w - t, 0) for w, t in zip(whole, target, strict=True)]
        begins = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total]
        out = list(target)
    else:
        pads = list(node.attribute("pads", [0] * 2 * spatial)) if mode == "NOTSET" else [0] * 2 * spatial
        begins = pads[:spatial]
        out = [w - b - e for w, b, e in zip(whole, begins, pads[spatial:], strict=True)]
    node.require(output_not_empty, out, found=f"kernel {list(kernel)} on {tuple(sizes)} with {begins} cut off")
    found = [Axis(*numbers) for numbers in zip(sizes, out, kernel, strides, dilations, begins, strict=True)]
    return [Axis(1, 1, 1, 1, 1, 0), *found] if spatial == 1 else found


@dataclass(frozen=True, eq=False)
class Interleaved:
    """Convolutions of one input and, for each, where its outputs go: (first, step, count) of both axes; `view` (N, C, H, W) of the result."""

    products: tuple[Product | BlockwiseProduct, ...]
    places: tuple[tuple[Phase, Phase], ...]
    steps: tuple[int, int]
    view: tuple[int, int, int, int]
    shape: Shape

    def with_bias(self, node: OnnxNode, bias: Const | RealConst | None) -> Interleaved:
        """Return the same with a bias added."""
        plain = [p for p in self.products if isinstance(p, Product)]
        ends = tuple(np.sum([p.sum_ends()[k] for p in plain], axis=0) for k in (0, 1)) if plain else None
        made = (p.with_bias(node, bias, ends=ends) if isinstance(p, Product) else p.with_bias(node, bias) for p in self.products)
        return replace(self, products=tuple(made))

    def with_affine(self, node: OnnxNode, factor: np.ndarray, addend: np.ndarray) -> Interleaved:
        """Return factor * result + addend, float64 a channel."""
        assert all(isinstance(p, Product) for p in self.products), "sums of blocks take no factors"
        return replace(self, products=tuple(p.with_affine(node, factor, addend) for p in self.products if isinstance(p, Product)))

    @property
    def product_scale(self) -> np.ndarray | None:
        """float32 (OC,): the real value of one step of the int32 sums."""
        return getattr(self.products[0], "product_scale", None)

    def emit(self, target: Quantisation, origin: tuple[str, ...]) -> str:
        """Add the nodes that write `target`; return its tensor."""
        if len(self.products) == 1 and self.products[0].out_view == self.view:
            return self.products[0].emit(target, origin)
        node = self.products[0].node
        parts = [p.emit(replace(target, name=f"{target.name}/phase{i}"), origin) for i, p in enumerate(self.products)]
        out = node.builder.tensor(target.name, self.view, target.dtype, target.scale, target.zero)
        return node.builder.node(f"{node.label}/interleave", Move(self._index()), tuple(parts), out, origin)

    def scattered(self) -> tuple[tuple[Pending, ...], np.ndarray]:
        """Return the products as results, and which of their elements each element of the result is."""
        return tuple(product.pending() for product in self.products), self._index()

    def _index(self) -> np.ndarray:
        index, base = np.zeros(self.view, np.int64), 0
        for product, (y, x) in zip(self.products, self.places, strict=True):
            numbers = base + np.arange(np.prod(product.out_view)).reshape(product.out_view)
            index[:, :, y.first :: self.steps[0], x.first :: self.steps[1]] = numbers[:, :, : y.count, : x.count]
            base += numbers.size
        return index

    @property
    def axis_from_end(self) -> int:
        """Distance of the channels' axis from the end of the ONNX shape."""
        return self.products[0].axis_from_end

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.view[1]

    @property
    def biasable(self) -> bool:
        """Whether nothing has been added yet."""
        return self.products[0].biasable

    def pending(self) -> Pending:
        """Return the result as floats that wait for their quantisation."""
        return Pending(self.shape, (self.products[0].node.label,), self.emit, self)


def _spread(node: OnnxNode, value: Real, axes: list[Axis]) -> tuple[Real, list[Axis]]:
    """Put zeros between the pixels, so that the stride is 1."""
    (numbers,) = numbered([value])
    view = numbers.reshape(default_view(value.shape))
    sizes = [(a.size - 1) * a.stride + 1 for a in axes]
    apart = np.full((*view.shape[:2], *sizes), -1)
    apart[:, :, :: axes[0].stride, :: axes[1].stride] = view
    shape = (*value.shape[:2], *sizes[-(len(value.shape) - 2) :])
    spread = moved(node, [value, Const(np.zeros(1, np.float32))], apart.reshape(shape), name=f"{node.output}/spread")
    assert isinstance(spread, Real), "zero is a value of every quantisation"
    return spread, [replace(a, size=size, stride=1) for a, size in zip(axes, sizes, strict=True)]


def _dilated(axis: Axis) -> Phase:
    """The one phase of an axis of stride 1, whose kernel positions may be spread apart: those beyond `begin` become padding."""
    reach = (axis.taps - 1) * axis.dilation
    before = reach - axis.begin
    after = axis.out + reach - axis.size - before
    return Phase(0, axis.out, tuple(range(axis.taps))[::-1], (before, after), axis.out)


def conv_transpose(node: OnnxNode) -> list[Value]:
    """ConvTranspose of dequantised tensors: waits for its QuantizeLinear."""
    value, weights, bias = node.value(0), node.value(1), node.value(2)
    node.require(quantised_operand, value, found=node.describe(0))
    node.require(constant_weights, weights, found=node.describe(1))
    node.require(constant_parameters, bias, found=node.describe(2) if bias is not None else "")
    assert isinstance(value, Real) and isinstance(weights, RealConst)
    node.require(two_dimensions_at_most, len(value.shape), found=f"an input of shape {value.shape}")
    group = node.attribute("group", 1)
    axes = _axes(node, value.shape[2:], weights.shape[2:])
    channels, filters = weights.shape[:2]
    taps = [a.taps for a in axes]

    def outputs_first(array: np.ndarray) -> np.ndarray:
        """(C, M/group, KH, KW) -> (M, C/group, KH, KW): each group's own matrix is transposed."""
        grouped = array.reshape(group, channels // group, filters, *taps).swapaxes(1, 2)
        return grouped.reshape(group * filters, channels // group, *taps)

    kernel = weights_of(node, weights.moved(outputs_first), node.describe(1))
    if any(a.stride > 1 and a.dilation > 1 for a in axes):
        value, axes = _spread(node, value, axes)
    if any(a.dilation > 1 for a in axes):
        value, axes = _cut(node, value, axes)
        splits = [[_dilated(a)] if a.dilation > 1 else phases(a) for a in axes]
    else:
        splits = [phases(a) for a in axes]
    out = (value.shape[0], group * filters, axes[0].out, axes[1].out)
    shape = (*out[:2], *[a.out for a in axes[-(len(value.shape) - 2) :]])
    places = tuple((y, x) for y in splits[0] for x in splits[1])
    made = [_product(node, value, kernel, group, axes, y, x) for y, x in places]
    whole = Interleaved(tuple(made), places, (axes[0].stride, axes[1].stride), out, shape)
    if isinstance(bias, Const | RealConst):
        whole = whole.with_bias(node, column(bias, len(shape) - 2))
    return [whole.pending()]


def _cut(node: OnnxNode, value: Real, axes: list[Axis]) -> tuple[Real, list[Axis]]:
    """Leave out the pixels whose whole kernel is cut off, so that no padding of a dilated axis is negative."""
    (numbers,) = numbered([value])
    view = numbers.reshape(default_view(value.shape))
    new = []
    for axis, a in zip((2, 3), axes, strict=True):
        reach = (a.taps - 1) * a.dilation
        if a.dilation == 1:
            new.append(a)
            continue
        first = max(0, a.begin - reach)
        last = min(a.size, a.begin + a.out)
        view = np.take(view, np.arange(first, last), axis)
        new.append(replace(a, size=last - first, begin=a.begin - first))
    if view.size == numbers.size:
        return value, new
    shape = (*value.shape[:2], *view.shape[-(len(value.shape) - 2) :])
    kept = moved(node, [value], view.reshape(shape), name=f"{node.output}/cut")
    assert isinstance(kept, Real), "movement keeps the quantisation"
    return kept, new


def _product(node: OnnxNode, value: Real, kernel: Weights, group: int, axes: list[Axis], y: Phase, x: Phase) -> Product | BlockwiseProduct:
    """The convolution of one phase."""

    def taps(array: np.ndarray, outside: int) -> np.ndarray:
        padded = np.concatenate([array, np.full_like(array[:, :, :1], outside)], axis=2)
        padded = np.concatenate([padded, np.full_like(padded[..., :1], outside)], axis=3)
        return padded[:, :, list(y.taps)][..., list(x.taps)]

    part = None if kernel.part is None else taps(kernel.part[None], int(kernel.part.flat[0]))[0]
    phase = replace(kernel, array=taps(kernel.array, kernel.zero), part=part)
    rank = len(value.shape)
    pads = (y.pads[0], x.pads[0], y.pads[1], x.pads[1])
    window = Window((len(y.taps), len(x.taps)), (1, 1), (axes[0].dilation, axes[1].dilation), pads, (y.out, x.out), rank)
    view = default_view(value.shape)
    out = (value.shape[0], kernel.array.shape[0], y.out, x.out)
    return product_of(
        phase, node=node, tensor=value.tensor, view=view, x_scale=value.scale, x_zero=value.zero, out_view=out,
        shape=window.onnx_shape(*out[:2]), axis_from_end=rank - 1, window=window, group=group,
    )  # fmt: skip
