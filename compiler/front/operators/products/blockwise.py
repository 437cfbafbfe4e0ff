"""Products by constant weights whose scales vary along the reduction (blockwise quantisation): `BlockwiseConv` in the IR.

The sums of the blocks meet in float32, so that a constant that is added does too; nothing else joins such a product.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from compiler.front.constraints import channel_bias, constant_bias, finite_constant, finite_requantisation
from compiler.front.floats.formula import operation
from compiler.front.operators.products.linear import Product
from compiler.front.operators.products.weights import Weights
from compiler.front.state.onnx_node import OnnxNode
from compiler.front.state.values import Const, Formula, Pending, Quantisation, RealConst, Shape
from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.network import Shape4


@dataclass(frozen=True, eq=False)
class BlockwiseProduct:
    """`plain`: the product, but for its scales; `part`, `scale` (sets, OC): see `weights.Weights`; `addend` float32 (OC,)."""

    plain: Product
    part: np.ndarray
    scale: np.ndarray
    addend: np.ndarray | None = None

    def with_bias(self, node: OnnxNode, bias: Const | RealConst | None, beta: float = 1.0) -> BlockwiseProduct:
        """Return the product with float32(beta) * bias added."""
        if bias is None:
            return self
        channels = self.plain.weight.shape[0]
        node.require(constant_bias, bias, found=type(bias).__name__)
        node.require(channel_bias, bias.shape, channels, self.plain.axis_from_end, found=f"shape {bias.shape} for {channels} channels")
        numbers = np.float32(beta) * (bias.real() if isinstance(bias, RealConst) else bias.array).astype(np.float32)
        node.require(finite_constant, numbers, found="an infinite bias")
        return replace(self, addend=np.broadcast_to(numbers.reshape(-1), (channels,)).astype(np.float32))

    def emit(self, target: Quantisation, origin: tuple[str, ...]) -> str:
        """Add the node that writes `target`; return its tensor."""
        p, builder = self.plain, self.plain.node.builder
        assert p.x_scale is not None, "integers have no blocks"
        attrs = BlockwiseConv(
            weight=p.weight, part=self.part, x_scale=p.x_scale, x_zero=p.x_zero, w_scale=self.scale, w_zero=p.w_zero, y_scale=target.scale,
            y_zero=target.zero, addend=self.addend, strides=p.window.strides, dilations=p.window.dilations, pads=p.window.pads, group=p.group,
            y_low=target.low, y_high=target.high, alpha=p.alpha,
        )  # fmt: skip
        p.node.require(finite_requantisation, attrs.scales, found=f"scales from {attrs.scales.min()} to {attrs.scales.max()}")
        out = builder.tensor(target.name, p.out_view, target.dtype, target.scale, target.zero)
        return builder.node(p.node.label, attrs, (builder.view(p.tensor, p.view),), out, origin)

    def pending(self) -> Pending:
        """Return the product as a float result that waits for its quantisation."""
        return Pending(self.shape, (self.node.label,), self.emit, self, formula=self.formula)

    def formula(self) -> Formula:
        """Return the same as sums of float32 products, a block each, for float operations on it."""
        parts: list[Formula] = []
        for number, scale in enumerate(self.scale):
            weight = np.where(self.part == number, self.plain.weight, np.asarray(self.plain.w_zero, self.plain.weight.dtype))
            parts.append(replace(self.plain, weight=weight, w_scale=scale, own=False).pending())
        if self.addend is not None:
            parts.append(Const(self.addend.reshape(-1, *[1] * (self.plain.axis_from_end - 1))))
        return reduce(lambda a, b: operation(self.node, "ADD", a, b), parts)

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.plain.channels

    @property
    def biasable(self) -> bool:
        """Whether nothing has been added yet."""
        return self.addend is None

    @property
    def node(self) -> OnnxNode:
        """The ONNX node."""
        return self.plain.node

    @property
    def out_view(self) -> Shape4:
        """(N, C, H, W) of the result."""
        return self.plain.out_view

    @property
    def shape(self) -> Shape:
        """ONNX shape of the result."""
        return self.plain.shape

    @property
    def axis_from_end(self) -> int:
        """Distance of the output channels' axis from the end of the ONNX result."""
        return self.plain.axis_from_end


def product_of(weights: Weights, **geometry: Any) -> Product | BlockwiseProduct:
    """Return the product by these weights, (OC, IC/group, KH, KW); `geometry`: the other fields of `linear.Product`."""
    scale = weights.scale if weights.part is None else np.ones(1, np.float32)
    plain = Product(weight=np.ascontiguousarray(weights.array), w_scale=scale, w_zero=weights.zero, **geometry)
    if weights.part is None:
        return plain
    there, part = np.unique(weights.part, return_inverse=True)
    return BlockwiseProduct(plain, part.reshape(weights.part.shape), weights.scale[there])


__all__ = ["BlockwiseProduct", "product_of"]
