"""Conv, Gemm, MatMul and their QLinear and Integer forms: sums of products with constant weights, all `Conv` in the IR."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compiler.front.constraints import (
    bias_fits,
    channel_bias,
    constant_bias,
    finite_constant,
    finite_requantisation,
)
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Pending, Quantisation, RealConst, Shape
from compiler.front.state.windows import Window
from compiler.ir.network import RANGES, Conv, Shape4

_POINT = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 2)


@dataclass(frozen=True, eq=False)
class Product:
    """A sum of products before its result is quantised.

    tensor, view: the input and the (N, C, H, W) it is seen as; weight (OC, IC/group, KH, KW);
    axis_from_end: distance of the output channels' axis from the end of the ONNX result (bias broadcasting). `own`: a bias and a number alone have joined it.
    """

    node: OnnxNode
    tensor: str
    view: Shape4
    x_scale: float | None
    x_zero: int
    weight: np.ndarray
    w_scale: np.ndarray
    w_zero: int
    out_view: Shape4
    shape: Shape
    axis_from_end: int
    window: Window = _POINT
    group: int = 1
    alpha: float = 1.0
    bias: np.ndarray | None = None
    own: bool = True

    def sum_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (least, greatest) sum of the products of each channel, int64 (OC,), whatever the bytes of its operand; they enclose 0."""
        low, high = (v - self.x_zero for v in RANGES[self.node.builder.tensors[self.tensor].dtype])
        weight = (self.weight.astype(np.int64) - self.w_zero).reshape(self.weight.shape[0], -1)
        return np.minimum(weight * low, weight * high).sum(1), np.maximum(weight * low, weight * high).sum(1)

    def ends(self) -> tuple[float, float]:
        """Return (least, greatest) that it can give, float64, whatever the bytes of its operand."""
        bias = np.zeros(1, np.int64) if self.bias is None else self.bias.astype(np.int64)
        numbers = np.stack([(part + bias) * self.product_scale.astype(np.float64) for part in self.sum_ends()])
        return float(numbers.min()), float(numbers.max())

    @property
    def product_scale(self) -> np.ndarray:
        """float32 (OC,): the real value of one step of the int32 sum."""
        with np.errstate(over="ignore"):
            scale = np.float32(self.alpha) * np.float32(self.x_scale or 1.0) * self.w_scale.astype(np.float32)
        return np.broadcast_to(scale, self.weight.shape[:1]).astype(np.float32)

    def with_bias(
        self, node: OnnxNode, bias: Const | RealConst | None, beta: float = 1.0, *, integers: bool = False, ends: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Product:
        """Return the product with `beta * bias` added; see `bias_integers`. `integers`: the bias is int32 already, and the sums are modulo 2^32.

        Else they stand for numbers, and so the bias gives way where they could turn round: it keeps the distance of `ends` (its own `sum_ends`, unless
        given) from the ends of int32.
        """
        if bias is None:
            return self
        node.require(constant_bias, bias, found=type(bias).__name__)
        channels = self.weight.shape[0]
        node.require(channel_bias, bias.shape, channels, self.axis_from_end, found=f"shape {bias.shape} for {channels} channels")
        if integers and isinstance(bias, Const):
            sums = np.broadcast_to(bias.array.reshape(-1), (channels,)).astype(np.int32)
        else:
            low, high = self.sum_ends() if ends is None else ends
            sums = np.clip(bias_integers(node, bias, self.product_scale, beta), -(2**31) - low, 2**31 - 1 - high).astype(np.int32)
        return replace(self, bias=sums)

    def with_affine(self, node: OnnxNode, factor: np.ndarray, addend: np.ndarray) -> Product:
        """Return factor * product + addend, float64 a channel: factors join the scales, addends the bias, in steps of the new scales.

        A channel with factor 0, or one beside which the addend would have more than 30 bits, gets weights of zero and a scale in which
        the addend has 20 bits.
        """
        channels = self.weight.shape[0]
        scale = np.broadcast_to(self.w_scale.astype(np.float32), (channels,))
        unit = np.float32(self.alpha) * np.float32(self.x_scale or 1.0)
        gone = _vanishing(factor, addend, (unit * (scale.astype(np.float64) * factor).astype(np.float32)).astype(np.float64))
        plain = np.where(addend == 0, 1.0, np.abs(addend) * 2.0**-20) / np.float64(unit)
        scaled = np.where(gone, plain, scale.astype(np.float64) * factor).astype(np.float32)
        weight = np.where(gone.reshape(-1, *[1] * (self.weight.ndim - 1)), np.asarray(self.w_zero, self.weight.dtype), self.weight)
        bias = np.zeros(channels, np.int64) if self.bias is None else np.where(gone, 0, self.bias.astype(np.int64))
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.rint(addend / (unit * scaled).astype(np.float64)) + bias
        node.require(bias_fits, steps, found=f"{np.abs(np.nan_to_num(steps, nan=np.inf)).max():.3g} steps")
        return replace(self, weight=weight, w_scale=scaled, bias=steps.astype(np.int32), own=False)

    def emit(self, target: Quantisation, origin: tuple[str, ...]) -> str:
        """Add the Conv node that writes `target`; return its tensor."""
        return self._emit(target.name, target.dtype, target, origin)

    def emit_integers(self, name: str, origin: tuple[str, ...]) -> str:
        """Add the Conv node that writes the int32 sums."""
        return self._emit(name, "i32", None, origin)

    def _attrs(self, target: Quantisation | None) -> Conv:
        return Conv(
            weight=self.weight,
            bias=self.bias,
            x_scale=self.x_scale,
            x_zero=self.x_zero,
            w_scale=self.w_scale,
            w_zero=self.w_zero,
            y_scale=target.scale if target else None,
            y_zero=target.zero if target else 0,
            strides=self.window.strides,
            dilations=self.window.dilations,
            pads=self.window.pads,
            group=self.group,
            y_low=target.low if target else -128,
            y_high=target.high if target else 127,
            alpha=self.alpha,
        )

    def sums(self) -> tuple[Conv, tuple[str, ...]]:
        """Return the Conv whose int32 sums are the product, in steps of `product_scale`, and its operand."""
        return self._attrs(None), (self.node.builder.view(self.tensor, self.view),)

    def _emit(self, name: str, dtype: str, target: Quantisation | None, origin: tuple[str, ...]) -> str:
        builder, attrs = self.node.builder, self._attrs(target)
        scales = attrs.scale
        self.node.require(finite_requantisation, scales, found=f"scales from {scales.min()} to {scales.max()}")
        source = builder.view(self.tensor, self.view)
        out = builder.tensor(name, self.out_view, dtype, attrs.y_scale, attrs.y_zero)
        return builder.node(self.node.label, attrs, (source,), out, origin)

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.weight.shape[0])

    @property
    def biasable(self) -> bool:
        """Whether nothing has been added yet."""
        return self.bias is None

    @property
    def scalable(self) -> bool:
        """Whether no number has been multiplied with yet, or the scale is nothing but numbers that have: an Integer operator's."""
        return self.alpha == 1 or self.x_scale is None

    def scaled(self, factor: float) -> Product:
        """Return the product times a positive number."""
        return replace(self, alpha=float(np.float32(self.alpha) * np.float32(factor)))

    def of_channels(self, taken: np.ndarray, shape: Shape) -> Product:
        """Return some of the channels, of one group, in ONNX shape `shape`."""
        scale = np.broadcast_to(self.w_scale, self.weight.shape[:1])[taken] if self.w_scale.size > 1 else self.w_scale
        out_view: Shape4 = (self.out_view[0], taken.size, *self.out_view[2:])  # type: ignore[assignment]
        bias = None if self.bias is None else np.broadcast_to(self.bias, self.weight.shape[:1])[taken]
        return replace(self, weight=np.ascontiguousarray(self.weight[taken]), w_scale=scale, bias=bias, out_view=out_view, shape=shape)

    def pending(self) -> Pending:
        """Return the product as a float result that waits for its quantisation."""
        return Pending(self.shape, (self.node.label,), self.emit, self)


def _vanishing(factor: np.ndarray, addend: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Channels whose product counts for nothing beside their addend."""
    return (factor == 0) | (np.abs(addend) >= 2.0**30 * np.abs(scale)) & (addend != 0)


def bias_integers(node: OnnxNode, bias: Const | RealConst, product_scale: np.ndarray, beta: float = 1.0) -> np.ndarray:
    """Return the bias as int32 (OC,), in steps of the int32 sum.

    A bias dequantised with the scale of the sum (to 1e-5, the usual case) is the integers that it was; any other is
    round_half_even(beta * bias / product_scale), computed in float64, and saturates: the channels of which it does, whose scale is next to nothing
    beside it, are noted.
    """
    channels = product_scale.size
    scale = product_scale.astype(np.float64)
    if isinstance(bias, RealConst) and bias.array.dtype == np.int32 and not bias.zero.any():
        given = np.broadcast_to((np.broadcast_to(bias.scale, bias.shape).astype(np.float64) * beta).reshape(-1), (channels,))
        if np.allclose(given, scale, rtol=1e-5, atol=0):
            return np.broadcast_to(bias.array.reshape(-1), (channels,)).astype(np.int32)
    real = bias.real() if isinstance(bias, RealConst) else bias.array
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(beta * np.broadcast_to(real.reshape(-1), (channels,)).astype(np.float64) / scale)
    node.require(finite_constant, real, found=f"a number that is infinite in a bias of shape {bias.shape}")
    integers = np.clip(np.nan_to_num(steps), -(2**31), 2**31 - 1).astype(np.int64)
    wanted = beta * np.broadcast_to(real.reshape(-1), (channels,)).astype(np.float64)
    lost = np.flatnonzero((steps > 2**31 - 1) | (steps < -(2**31)))
    if lost.size:
        c = lost[0]
        node.builder.notes.append(
            f"{node.label} ({node.op}): the bias of {lost.size} of {channels} channels is beyond int32 in steps of x_scale * w_scale and saturates, as "
            f"onnxruntime's does: channel {c} adds {integers[c] * scale[c]:.3g} in place of {wanted[c]:.3g}"
        )
    return integers.astype(np.int32)
